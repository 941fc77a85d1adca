package command

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"concord/gossip/agent/ipc"
)

// gossipVerbs are the verbs of Serf's command line. They speak Serf's RPC protocol and print what Serf prints.
var gossipVerbs = []verb{
	{name: "gossip members", gossip: true, usage: "[options]", synopsis: "Lists the members of the pool", about: "Lists the members that the agent knows.",
		example: "gossip members -tag role=web", setup: gossipMembers},
	{name: "gossip join", gossip: true, usage: "[options] ADDRESS...", synopsis: "Tells the agent to join members", about: "Tells the agent to join the members at the addresses.",
		example: "gossip join 10.0.0.1", setup: gossipJoin},
	{name: "gossip leave", gossip: true, usage: "[options]", synopsis: "Leaves the pool and ends the agent", about: "Tells the agent to leave the pool; it then ends.",
		example: "gossip leave", setup: none(gossipLeave)},
	{name: "gossip force-leave", gossip: true, usage: "[options] NAME", synopsis: "Forces a failed member into the left state",
		about: "Takes a failed member for one that has left, so that nobody tries to reach it any more.", example: "gossip force-leave web-7", setup: gossipForceLeave},
	{name: "gossip event", gossip: true, usage: "[options] NAME [PAYLOAD]", synopsis: "Sends an event to all members",
		about: "Sends a user event to all members, whose handlers are run.", example: "gossip event deploy v7", setup: gossipEvent},
	{name: "gossip query", gossip: true, usage: "[options] NAME [PAYLOAD]", synopsis: "Asks members and shows their answers",
		about: "Asks the members, whose handlers answer, and shows who got the query and what they say.", example: "gossip query load", setup: gossipQuery},
	{name: "gossip tags", gossip: true, usage: "[options]", synopsis: "Changes the tags of the agent", about: "Sets and deletes tags of the agent while it runs.",
		example: "gossip tags -set role=db -delete spare", setup: gossipTags},
	{name: "gossip reachability", gossip: true, usage: "[options]", synopsis: "Tests whether gossip reaches all members",
		about: "Sends a query that every member acknowledges, and tells who does not.", example: "gossip reachability -verbose", setup: reachability},
	{name: "gossip rtt", gossip: true, usage: "[options] NAME [NAME]", synopsis: "Estimates the round trip between two members",
		about: "Estimates the round trip between two members, or between one and the agent, from their network coordinates.", example: "gossip rtt web-1 web-2", setup: none(gossipRTT)},
	{name: "gossip monitor", gossip: true, usage: "[options]", synopsis: "Shows the agent's log as it is written", about: "Shows the last lines of the agent's log, and goes on with new ones.",
		example: "gossip monitor -log-level debug", setup: monitor},
	{name: "gossip keys", gossip: true, usage: "[options]", synopsis: "Changes and lists the encryption keys of all members",
		about:   "Installs, uses, removes or lists keys at all members. Install a new one, use it, and then remove the old one.",
		example: "gossip keys -list", setup: gossipKeys},
	{name: "gossip info", gossip: true, usage: "[options]", synopsis: "Shows counters of the agent", about: "Shows what the agent counts, for finding faults.",
		example: "gossip info", setup: gossipInfo},
	{name: "gossip keygen", offline: true, synopsis: "Makes a key for gossip encryption", about: "Prints 32 random bytes in base64.", example: "gossip keygen", setup: none(keygen)},
}

// rpcAddress is where a gossip-only agent is, and the token that it wants.
type rpcAddress struct{ addr, token string }

func (a *rpcAddress) flags(fs *flag.FlagSet) {
	addr := cmp.Or(os.Getenv("SERF_RPC_ADDR"), "127.0.0.1:7373")
	fs.StringVar(&a.addr, "rpc-addr", addr, "Address of the agent, host:port or unix:///path; by default SERF_RPC_ADDR, else 127.0.0.1:7373.")
	fs.StringVar(&a.token, "rpc-auth", os.Getenv("SERF_RPC_AUTH"), "Token that the agent wants; by default SERF_RPC_AUTH.")
}

// agent connects to the gossip-only agent.
func (c *call) agent() (*ipc.Client, error) {
	a, err := ipc.Dial(context.Background(), c.rpc.addr, c.rpc.token)
	if err != nil {
		return nil, fmt.Errorf("Error connecting to Serf agent: %w", err)
	}
	return a, nil
}

// withAgent runs f with a connection to the agent.
func withAgent(f func(*call, *ipc.Client) error) func(*call) error {
	return func(c *call) error {
		a, err := c.agent()
		if err != nil {
			return err
		}
		defer a.Close()
		return f(c, a)
	}
}

// format prints in JSON or what text returns.
func (c *call) format(format string, v any, text func() string) error {
	var out string
	switch format {
	case "text":
		out = text()
	case "json":
		data, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			return fmt.Errorf("Encoding error: %w", err)
		}
		out = string(data)
	default:
		return fmt.Errorf("Encoding error: Invalid output format %q", format)
	}
	c.ui.Output(strings.TrimSpace(out))
	return nil
}

const formatHelp = "Format of the output: text or json."

type gossipMember struct {
	Name   string            `json:"name"`
	Addr   string            `json:"addr"`
	Port   uint16            `json:"port"`
	Tags   map[string]string `json:"tags"`
	Status string            `json:"status"`
	Proto  map[string]uint8  `json:"protocol"`
}

func memberShown(m *ipc.Member) gossipMember {
	ip, _ := netip.AddrFromSlice(m.Addr)
	tags := m.Tags
	if tags == nil {
		tags = map[string]string{}
	}
	return gossipMember{Name: m.Name, Addr: netip.AddrPortFrom(ip.Unmap(), m.Port).String(), Port: m.Port, Tags: tags, Status: m.Status,
		Proto: map[string]uint8{"min": m.DelegateMin, "max": m.DelegateMax, "version": m.DelegateCur}}
}

func gossipMembers(fs *flag.FlagSet) func(*call) error {
	detailed := fs.Bool("detailed", false, "Show protocol versions too, in text.")
	format := fs.String("format", "text", formatHelp)
	var f ipc.Filter
	fs.StringVar(&f.Name, "name", "", "List only members whose name matches this regular expression.")
	fs.StringVar(&f.Status, "status", "", "List only members whose status matches this regular expression.")
	role := fs.String("role", "", "Deprecated: '-tag role=REGEXP'.")
	var tags list
	fs.Var(&tags, "tag", "KEY=REGEXP: list only members whose tag matches. May be given more than once.")
	return func(c *call) (err error) {
		if *role != "" {
			c.ui.Output("Deprecation warning: 'Role' has been replaced with 'Tags'")
			tags = append(tags, "role="+*role)
		}
		if f.Tags, err = parseTags(tags); err != nil {
			return err
		}
		return withAgent(func(c *call, a *ipc.Client) error {
			members, err := a.Members(f)
			if err != nil {
				return fmt.Errorf("Error retrieving members: %w", err)
			}
			shown := make([]gossipMember, len(members))
			for i := range members {
				shown[i] = memberShown(&members[i])
			}
			return c.format(*format, struct {
				Members []gossipMember `json:"members"`
			}{shown}, func() string { return membersText(shown, *detailed) })
		})(c)
	}
}

func membersText(members []gossipMember, detailed bool) string {
	var rows [][]string
	for _, m := range members {
		row := []string{m.Name, m.Addr, m.Status, pairsText(m.Tags)}
		if detailed {
			row = append(row, fmt.Sprintf("Protocol Version: %d", m.Proto["version"]), fmt.Sprintf("Available Protocol Range: [%d, %d]", m.Proto["min"], m.Proto["max"]))
		}
		rows = append(rows, row)
	}
	return columns(rows)
}

// pairsText writes a map as "a=1,b=2".
func pairsText(m map[string]string) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, k+"="+m[k])
	}
	return strings.Join(out, ",")
}

// columns writes rows in columns as Serf's command line does: all cells but the last of a row are as wide as the widest.
func columns(rows [][]string) string {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		for i, cell := range row {
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		b.WriteByte('\n')
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// parseTags reads the -tag and -set flags.
func parseTags(l list) (map[string]string, error) {
	out := map[string]string{}
	for _, t := range l {
		k, v, ok := strings.Cut(t, "=")
		if !ok || k == "" {
			return nil, fmt.Errorf("Error: Invalid tag: '%s'", t)
		}
		out[k] = v
	}
	return out, nil
}

func gossipJoin(fs *flag.FlagSet) func(*call) error {
	replay := fs.Bool("replay", false, "Have past user events told.")
	return func(c *call) error {
		if len(c.args) == 0 {
			return badUsage("At least one address to join must be specified.")
		}
		return withAgent(func(c *call, a *ipc.Client) error {
			n, err := a.Join(c.args, *replay)
			if err != nil {
				return fmt.Errorf("Error joining the cluster: %w", err)
			}
			c.ui.Output(fmt.Sprintf("Successfully joined cluster by contacting %d nodes.", n))
			return nil
		})(c)
	}
}

func gossipLeave(c *call) error {
	return withAgent(func(c *call, a *ipc.Client) error {
		if err := a.Leave(); err != nil {
			return fmt.Errorf("Error leaving: %w", err)
		}
		c.ui.Output("Graceful leave complete")
		return nil
	})(c)
}

func gossipForceLeave(fs *flag.FlagSet) func(*call) error {
	prune := fs.Bool("prune", false, "Forget the member at once.")
	return func(c *call) error {
		if len(c.args) != 1 {
			return badUsage("A node name must be specified to force leave.")
		}
		return withAgent(func(c *call, a *ipc.Client) error {
			if err := a.ForceLeave(c.args[0], *prune); err != nil {
				return fmt.Errorf("Error force leaving: %w", err)
			}
			return nil
		})(c)
	}
}

// namePayload are the arguments of an event or a query.
func (c *call) namePayload(what string) (name string, payload []byte, err error) {
	switch len(c.args) {
	case 0:
		return "", nil, badUsage("%s name must be specified.", what)
	case 1:
		return c.args[0], nil, nil
	case 2:
		return c.args[0], []byte(c.args[1]), nil
	}
	return "", nil, badUsage("Too many command line arguments. Only a name and payload must be specified.")
}

func gossipEvent(fs *flag.FlagSet) func(*call) error {
	coalesce := fs.Bool("coalesce", true, "Of several such events in short succession, handlers get the last one only.")
	return func(c *call) error {
		name, payload, err := c.namePayload("An event")
		if err != nil {
			return err
		}
		return withAgent(func(c *call, a *ipc.Client) error {
			if err := a.Event(name, payload, *coalesce); err != nil {
				return fmt.Errorf("Error sending event: %w", err)
			}
			c.ui.Output(fmt.Sprintf("Event '%s' dispatched! Coalescing enabled: %s", name, strconv.FormatBool(*coalesce)))
			return nil
		})(c)
	}
}

func gossipTags(fs *flag.FlagSet) func(*call) error {
	var set, remove list
	fs.Var(&set, "set", "KEY=VALUE: set a tag. May be given more than once.")
	fs.Var(&remove, "delete", "KEY: delete a tag. May be given more than once.")
	return func(c *call) error {
		if len(set)+len(remove) == 0 {
			return badUsage("Something to -set or to -delete must be specified.")
		}
		tags, err := parseTags(set)
		if err != nil {
			return err
		}
		return withAgent(func(c *call, a *ipc.Client) error {
			if err := a.ChangeTags(tags, remove); err != nil {
				return fmt.Errorf("Error setting tags: %w", err)
			}
			c.ui.Output("Successfully updated agent tags")
			return nil
		})(c)
	}
}

func gossipInfo(fs *flag.FlagSet) func(*call) error {
	format := fs.String("format", "text", formatHelp)
	return withAgent(func(c *call, a *ipc.Client) error {
		stats, err := a.Stats()
		if err != nil {
			return fmt.Errorf("Error querying agent: %w", err)
		}
		return c.format(*format, stats, func() string { return statsText(stats) })
	})
}

func statsText(stats ipc.Stats) string {
	var b strings.Builder
	for _, group := range slices.Sorted(maps.Keys(stats)) {
		b.WriteString(group + ":\n")
		for _, k := range slices.Sorted(maps.Keys(stats[group])) {
			fmt.Fprintf(&b, "\t%s = %s\n", k, stats[group][k])
		}
	}
	return b.String()
}
