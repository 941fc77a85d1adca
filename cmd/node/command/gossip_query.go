package command

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"concord/gossip/agent/ipc"
	"concord/swim/coordinate"
)

// ask makes a query and hands on what comes back, until nothing more will.
func ask(a *ipc.Client, q ipc.Query, each func(ipc.QueryRecord)) error {
	next, err := a.Query(q)
	if err != nil {
		return fmt.Errorf("Error sending query: %w", err)
	}
	for {
		r, err := next()
		if err != nil {
			return err
		}
		if r.Type == ipc.RecordDone {
			return nil
		}
		each(r)
	}
}

func gossipQuery(fs *flag.FlagSet) func(*call) error {
	format := fs.String("format", "text", formatHelp)
	var nodes, tags list
	fs.Var(&nodes, "node", "NAME: ask only this member. May be given more than once.")
	fs.Var(&tags, "tag", "KEY=REGEXP: ask only members whose tag matches. May be given more than once.")
	timeout := fs.Duration("timeout", 0, "How long to wait for answers; by default as long as the size of the pool asks for.")
	noAck := fs.Bool("no-ack", false, "Do not have members acknowledge the query.")
	relay := fs.Int("relay-factor", 0, "Through how many other members answers are sent as well.")
	return func(c *call) error {
		name, payload, err := c.namePayload("A query")
		if err != nil {
			return err
		}
		if *relay < 0 || *relay > 255 {
			return errors.New("Relay factor must be between 0 and 255")
		}
		filter, err := parseTags(tags)
		if err != nil {
			return err
		}
		if *format != "text" && *format != "json" {
			return fmt.Errorf("Invalid format: %s", *format)
		}
		q := ipc.Query{Name: name, Payload: payload, FilterNodes: nodes, FilterTags: filter, RequestAck: !*noAck, RelayFactor: uint8(*relay), Timeout: *timeout}
		return withAgent(func(c *call, a *ipc.Client) error {
			if *format == "json" {
				return c.queryJSON(a, q)
			}
			return c.queryText(a, q)
		})(c)
	}
}

func (c *call) queryText(a *ipc.Client, q ipc.Query) error {
	begun, acks, responses := false, 0, 0
	dispatched := func() {
		if !begun {
			c.ui.Output(fmt.Sprintf("Query '%s' dispatched", q.Name))
			begun = true
		}
	}
	err := ask(a, q, func(r ipc.QueryRecord) {
		dispatched()
		if r.Type == ipc.RecordAck {
			acks++
			c.ui.Info(fmt.Sprintf("Ack from '%s'", r.From))
			return
		}
		responses++
		c.ui.Info(fmt.Sprintf("Response from '%s': %s", r.From, strings.TrimSuffix(string(r.Payload), "\n")))
	})
	if err != nil {
		return err
	}
	dispatched()
	if q.RequestAck {
		c.ui.Output(fmt.Sprintf("Total Acks: %d", acks))
	}
	c.ui.Output(fmt.Sprintf("Total Responses: %d", responses))
	return nil
}

func (c *call) queryJSON(a *ipc.Client, q ipc.Query) error {
	out := struct {
		Acks      []string
		Responses map[string]string
	}{Responses: map[string]string{}}
	err := ask(a, q, func(r ipc.QueryRecord) {
		if r.Type == ipc.RecordAck {
			out.Acks = append(out.Acks, r.From)
		} else {
			out.Responses[r.From] = string(r.Payload)
		}
	})
	if err != nil {
		return err
	}
	return c.format("json", out, nil)
}

// pingQuery is the query that every member acknowledges.
const pingQuery = "_serf_ping"

func reachability(fs *flag.FlagSet) func(*call) error {
	verbose := fs.Bool("verbose", false, "Show who answers.")
	return withAgent(func(c *call, a *ipc.Client) error {
		members, err := a.Members(ipc.Filter{})
		if err != nil {
			return fmt.Errorf("Error getting members: %w", err)
		}
		live := map[string]bool{}
		for _, m := range members {
			if m.Status == "alive" {
				live[m.Name] = true
			}
		}
		c.ui.Output(fmt.Sprintf("Total members: %d, live members: %d", len(members), len(live)))
		c.ui.Output("Starting reachability test...")
		start := time.Now()
		last, acks := start, map[string]int{}
		err = ask(a, ipc.Query{Name: pingQuery, RequestAck: true}, func(r ipc.QueryRecord) {
			if r.Type != ipc.RecordAck {
				return
			}
			last = time.Now()
			acks[r.From]++
			if *verbose {
				c.ui.Output(fmt.Sprintf("\tAck from '%s'", r.From))
			}
			if acks[r.From] > 1 {
				c.ui.Output(fmt.Sprintf("Duplicate response from '%s'", r.From))
			}
		})
		if err != nil {
			return err
		}
		if *verbose {
			c.ui.Output(fmt.Sprintf("Query time: %0.2f sec, time to last response: %0.2f sec", time.Since(start).Seconds(), last.Sub(start).Seconds()))
		}
		return c.judge(live, acks)
	})
}

// judge tells what the acks of a reachability test mean.
func (c *call) judge(live map[string]bool, acks map[string]int) error {
	total := 0
	for _, n := range acks {
		total += n
	}
	var missing, strange []string
	for name := range live {
		if acks[name] == 0 {
			missing = append(missing, name)
		}
	}
	for name := range acks {
		if !live[name] {
			strange = append(strange, name)
		}
	}
	list := func(names []string) {
		slices.Sort(names)
		for _, n := range names {
			c.ui.Output("\t" + n)
		}
	}
	switch {
	case len(missing)+len(strange) == 0 && total == len(live):
		c.ui.Output("Successfully contacted all live nodes")
		return nil
	case len(missing)+len(strange) == 0:
		c.ui.Output("All live nodes answered, some of them twice: do two agents have one name?")
	case len(missing) > 0:
		c.ui.Output("Received less acks than live nodes! Missing acks from:")
		list(missing)
		c.ui.Output("Their packets, or those to them, get lost: look at firewalls (TCP and UDP), address translation, and what they advertise.")
	default:
		c.ui.Output("Received more acks than live nodes! Acks from non-live nodes:")
		list(strange)
		c.ui.Output("The agent does not hold them for alive: it may have just met them, or packets between them get lost.")
	}
	return exit(1)
}

func gossipRTT(c *call) error {
	if len(c.args) != 1 && len(c.args) != 2 {
		return badUsage("One or two node names must be specified")
	}
	return withAgent(func(c *call, a *ipc.Client) error {
		names := slices.Clone(c.args)
		if len(names) == 1 {
			stats, err := a.Stats()
			if err != nil {
				return fmt.Errorf("Error querying agent: %w", err)
			}
			names = append(names, stats["agent"]["name"])
		}
		var places [2]coordinate.Coordinate
		for i, name := range names {
			got, known, err := a.Coordinate(name)
			if err != nil {
				return fmt.Errorf("Error getting coordinates: %w", err)
			}
			if !known {
				return fmt.Errorf("Could not find a coordinate for node %q", name)
			}
			copy(places[i].Vec[:], got.Vec)
			places[i].Adjustment, places[i].Height = got.Adjustment, got.Height
		}
		rtt := places[0].Distance(&places[1]).Seconds() * 1000
		c.ui.Output(fmt.Sprintf("Estimated %s <-> %s rtt: %.3f ms", names[0], names[1], rtt))
		return nil
	})(c)
}

func monitor(fs *flag.FlagSet) func(*call) error {
	level := fs.String("log-level", "INFO", "Level from which on lines are shown: trace, debug, info, warn or err.")
	return withAgent(func(c *call, a *ipc.Client) error {
		next, err := a.Monitor(*level)
		if err != nil {
			return fmt.Errorf("Error starting monitor: %w", err)
		}
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
		defer signal.Stop(signals)
		ended := make(chan error, 1)
		go func() {
			for {
				line, err := next()
				if err != nil {
					ended <- err
					return
				}
				c.ui.Info(line)
			}
		}()
		select {
		case <-signals:
			return nil
		case err := <-ended:
			return fmt.Errorf("the agent ended the monitor: %w", err)
		}
	})
}

// keyVerb is what the keys verb does for one of its flags.
type keyVerb struct{ flag, operation, begin, done, failed, help string }

var keyVerbs = []keyVerb{
	{"install", ipc.InstallKey, "Installing key on all members...", "Successfully installed key!", "Error installing key", "Key to install at all members, which then understand what is encrypted with it."},
	{"use", ipc.UseKey, "Changing primary key on all members...", "Successfully changed primary key!", "Error changing primary key", "Key to encrypt with from now on; install it before."},
	{"remove", ipc.RemoveKey, "Removing key on all members...", "Successfully removed key!", "Error removing key", "Key to remove at all members; it must not be in use."},
}

func gossipKeys(fs *flag.FlagSet) func(*call) error {
	keys := make([]*string, len(keyVerbs))
	for i, v := range keyVerbs {
		keys[i] = fs.String(v.flag, "", v.help)
	}
	listed := fs.Bool("list", false, "List the keys, with how many members have each.")
	return func(c *call) error {
		var chosen []func(*call, *ipc.Client) error
		for i, v := range keyVerbs {
			if *keys[i] != "" {
				chosen = append(chosen, func(c *call, a *ipc.Client) error { return c.changeKey(a, v, *keys[i]) })
			}
		}
		if *listed {
			chosen = append(chosen, (*call).listKeys)
		}
		switch len(chosen) {
		case 0:
			return badUsage("One of -install, -use, -remove, or -list must be specified")
		case 1:
			return withAgent(chosen[0])(c)
		}
		return errors.New("Only one of -install, -use, -remove, or -list allowed")
	}
}

func (c *call) changeKey(a *ipc.Client, v keyVerb, key string) error {
	c.ui.Info("==> " + v.begin)
	r, err := a.Keys(v.operation, key)
	if err = c.keyFailures(r, err); err != nil {
		return fmt.Errorf("%s: %w", v.failed, err)
	}
	c.ui.Info("==> " + v.done)
	return nil
}

func (c *call) listKeys(a *ipc.Client) error {
	c.ui.Info("==> Asking all members for installed keys...")
	r, err := a.Keys(ipc.ListKeys, "")
	if err = c.keyFailures(r, err); err != nil {
		return fmt.Errorf("Failed to gather member keys: %w", err)
	}
	c.ui.Info("==> Keys gathered, listing cluster keys...")
	c.ui.Output("")
	var rows [][]string
	for _, key := range slices.Sorted(maps.Keys(r.Keys)) {
		rows = append(rows, []string{key, fmt.Sprintf("[%d/%d]", r.Keys[key], r.NumNodes)})
	}
	c.ui.Output(columns(rows))
	return nil
}

// keyFailures shows what members report, if something failed.
func (c *call) keyFailures(r ipc.KeyResponse, err error) error {
	if err == nil {
		return nil
	}
	var rows [][]string
	for _, name := range slices.Sorted(maps.Keys(r.Messages)) {
		rows = append(rows, []string{"failed:", name, r.Messages[name]})
	}
	if len(rows) > 0 {
		c.ui.Error(columns(rows))
	}
	c.ui.Error("")
	return err
}
