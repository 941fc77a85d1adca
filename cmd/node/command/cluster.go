package command

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// clusterVerbs are about the agent and its pool.
var clusterVerbs = []verb{
	{name: "members", usage: "[options]", synopsis: "Lists the members of the cluster", about: "Lists the members that the agent knows by gossip.",
		example: "members -detailed", setup: members},
	{name: "join", usage: "[options] ADDRESS...", synopsis: "Tells the agent to join a cluster", about: "Tells the agent to join the members at the addresses.",
		example: "join 10.0.0.1 10.0.0.2:8301", setup: join},
	{name: "leave", usage: "[options]", synopsis: "Gracefully leaves the cluster and shuts down", about: "Tells the agent to leave the cluster; it then ends.",
		example: "leave", setup: none(leave)},
	{name: "force-leave", usage: "[options] NODE", synopsis: "Forces a failed member into the left state",
		about: "Takes a failed member for one that has left, so that nobody waits for it any more.", example: "force-leave -prune web-7", setup: forceLeave},
	{name: "info", usage: "[options]", synopsis: "Shows counters of the agent", about: "Shows what the agent counts, for finding faults.", example: "info", setup: none(info)},
	{name: "reload", usage: "[options]", synopsis: "Tells the agent to read its configuration again",
		about: "Tells the agent to read its configuration again; it takes over services, checks and the log level.", example: "reload", setup: none(reload)},
	{name: "keygen", usage: "", synopsis: "Makes a key for gossip encryption", about: "Prints 32 random bytes in base64.", example: "keygen", setup: none(keygen)},
}

func versionVerb(version string) verb {
	return verb{name: "version", synopsis: "Prints the version", about: "Prints the version of Concord.", example: "version",
		setup: none(func(c *call) error {
			c.ui.Output("Concord v" + version)
			return nil
		})}
}

type member struct {
	Name, Addr  string
	Port        uint16
	Tags        map[string]string
	Status      int
	ProtocolCur uint8
}

const roleServer = "consul"

// nameSegment names the segment as Consul shows it: servers are in all of them.
func (m member) nameSegment() {
	switch {
	case m.Tags == nil || m.Tags["segment"] != "":
	case m.Tags["role"] == roleServer:
		m.Tags["segment"] = "<all>"
	default:
		m.Tags["segment"] = "<default>"
	}
}

var memberStatus = map[int]string{0: "none", 1: "alive", 2: "leaving", 3: "left", 4: "failed"}

func members(fs *flag.FlagSet) func(*call) error {
	detailed := fs.Bool("detailed", false, "Show all tags of each member.")
	wan := fs.Bool("wan", false, "List the servers of all datacenters, as a server knows them.")
	status := fs.String("status", ".*", "List only members whose status matches this regular expression.")
	segment := fs.String("segment", "_all", "List only members of this network segment; there is but one, to which all belong.")
	return func(c *call) error {
		match, err := regexp.Compile("^(" + *status + ")$")
		if err != nil {
			return badUsage("-status: %v", err)
		}
		query := url.Values{"segment": {*segment}}
		if *wan {
			query.Set("wan", "1")
		}
		var all []member
		if err := c.api.Get("/v1/agent/members", query, &all); err != nil {
			return fmt.Errorf("Error retrieving members: %w", err)
		}
		all = slices.DeleteFunc(all, func(m member) bool { return !match.MatchString(memberStatus[m.Status]) })
		if len(all) == 0 {
			return exit(2) // as Consul: nobody matches
		}
		for _, m := range all {
			m.nameSegment()
		}
		slices.SortFunc(all, func(a, b member) int {
			return cmp.Or(strings.Compare(a.Tags["segment"], b.Tags["segment"]), strings.Compare(a.Name, b.Name))
		})
		if *detailed {
			c.table(detailedRows(all))
		} else {
			c.table(memberRows(all))
		}
		return nil
	}
}

func memberRows(all []member) [][]string {
	rows := [][]string{{"Node", "Address", "Status", "Type", "Build", "Protocol", "DC", "Segment"}}
	for _, m := range all {
		kind := "client"
		if m.Tags["role"] == roleServer {
			kind = "server"
		}
		build, _, _ := strings.Cut(m.Tags["build"], ":")
		rows = append(rows, []string{m.Name, fmt.Sprintf("%s:%d", m.Addr, m.Port), memberStatus[m.Status], kind, build, m.Tags["vsn"], m.Tags["dc"], m.Tags["segment"]})
	}
	return rows
}

func detailedRows(all []member) [][]string {
	rows := [][]string{{"Node", "Address", "Status", "Tags"}}
	for _, m := range all {
		var tags []string
		for _, k := range slices.Sorted(maps.Keys(m.Tags)) {
			tags = append(tags, k+"="+m.Tags[k])
		}
		rows = append(rows, []string{m.Name, fmt.Sprintf("%s:%d", m.Addr, m.Port), memberStatus[m.Status], strings.Join(tags, ",")})
	}
	return rows
}

func join(fs *flag.FlagSet) func(*call) error {
	wan := fs.Bool("wan", false, "Join servers of other datacenters.")
	return func(c *call) error {
		if len(c.args) == 0 {
			return badUsage("At least one address to join must be specified.")
		}
		query := url.Values{}
		if *wan {
			query.Set("wan", "1")
		}
		joined := 0
		for _, addr := range c.args {
			if err := c.api.Put("/v1/agent/join/"+addr, query, nil); err != nil {
				c.ui.Error(fmt.Sprintf("Error joining address '%s': %s", addr, err))
				continue
			}
			joined++
		}
		if joined == 0 {
			return fmt.Errorf("Failed to join any nodes.")
		}
		c.ui.Output(fmt.Sprintf("Successfully joined cluster by contacting %d nodes.", joined))
		return nil
	}
}

func leave(c *call) error {
	if err := c.api.Put("/v1/agent/leave", nil, nil); err != nil {
		return fmt.Errorf("Error leaving: %w", err)
	}
	c.ui.Output("Graceful leave complete")
	return nil
}

func forceLeave(fs *flag.FlagSet) func(*call) error {
	prune := fs.Bool("prune", false, "Forget the member at once.")
	return func(c *call) error {
		if len(c.args) != 1 {
			return badUsage("A single node name must be specified to force leave.")
		}
		query := url.Values{}
		if *prune {
			query.Set("prune", "1")
		}
		if err := c.api.Put("/v1/agent/force-leave/"+c.args[0], query, nil); err != nil {
			return fmt.Errorf("Error force leaving: %w", err)
		}
		return nil
	}
}

func info(c *call) error {
	var self struct{ Stats map[string]map[string]string }
	if err := c.api.Get("/v1/agent/self", nil, &self); err != nil {
		return fmt.Errorf("Error querying agent: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(self.Stats)) {
		c.ui.Output(name + ":")
		for _, k := range slices.Sorted(maps.Keys(self.Stats[name])) {
			c.ui.Output(fmt.Sprintf("\t%s = %s", k, self.Stats[name][k]))
		}
	}
	return nil
}

func reload(c *call) error {
	if _, err := c.api.Do(http.MethodPut, "/v1/agent/reload", nil, nil); err != nil {
		return fmt.Errorf("Error reloading: %w", err)
	}
	c.ui.Output("Configuration reload triggered")
	return nil
}

func keygen(c *call) error {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return fmt.Errorf("Error reading random data: %w", err)
	}
	c.ui.Output(base64.StdEncoding.EncodeToString(key))
	return nil
}
