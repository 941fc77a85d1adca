package command

import (
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

// keyringVerbs: https://developer.hashicorp.com/consul/commands/keyring
var keyringVerbs = []verb{
	{name: "keyring", usage: "[options]", synopsis: "Manages gossip layer encryption keys",
		about: "Lists the keys that encrypt gossip, and installs, uses and removes them at all members. A key is rotated by -install, then -use, " +
			"then -remove of the old one; none of them interrupts the cluster. Must be run against a server.",
		example: "keyring -install $(node keygen)", setup: keyring},
}

// keyringFlags are what an operation on keys was called with.
type keyringFlags struct {
	install, use, remove         string
	list, listPrimary, localOnly bool
	relay                        int
}

// maxRelay is the highest relay factor.
const maxRelay = 5

func keyring(fs *flag.FlagSet) func(*call) error {
	var f keyringFlags
	fs.StringVar(&f.install, "install", "", "Install a key at all members, which then read what is encrypted with it.")
	fs.StringVar(&f.use, "use", "", "Make an installed key the one that encrypts. Every member must have it.")
	fs.StringVar(&f.remove, "remove", "", "Remove a key, which must not be the one that encrypts anywhere.")
	fs.BoolVar(&f.list, "list", false, "List the keys and how many members have each.")
	fs.BoolVar(&f.listPrimary, "list-primary", false, "List the keys that encrypt and how many members use each.")
	fs.BoolVar(&f.localOnly, "local-only", false, "With -list or -list-primary: neither the WAN pool nor other datacenters.")
	fs.IntVar(&f.relay, "relay-factor", 0, "Through how many other members each answer is sent besides directly, against loss; at most 5.")
	return f.run
}

func (f *keyringFlags) run(c *call) error {
	actions := 0
	for _, given := range []bool{f.list, f.listPrimary, f.install != "", f.use != "", f.remove != ""} {
		if given {
			actions++
		}
	}
	switch {
	case actions == 0:
		return badUsage("One of -install, -use, -remove, -list and -list-primary must be given")
	case actions > 1:
		return badUsage("Only a single action is allowed")
	case f.relay < 0 || f.relay > maxRelay:
		return badUsage("Error parsing relay factor: Relay factor must be in range: [0, %d]", maxRelay)
	case f.localOnly && !f.list && !f.listPrimary:
		return badUsage("Error validating local-only: local-only can only be set for list requests")
	}
	query := url.Values{}
	if f.relay > 0 {
		query.Set("relay-factor", strconv.Itoa(f.relay))
	}
	switch {
	case f.install != "":
		return f.change(c, query, http.MethodPost, f.install, "Installing new gossip encryption key...")
	case f.use != "":
		return f.change(c, query, http.MethodPut, f.use, "Changing primary gossip encryption key...")
	case f.remove != "":
		return f.change(c, query, http.MethodDelete, f.remove, "Removing gossip encryption key...")
	}
	if f.localOnly {
		query.Set("local-only", "true")
	}
	return f.show(c, query)
}

func (f *keyringFlags) change(c *call, query url.Values, method, key, what string) error {
	c.ui.Output("==> " + what)
	if _, err := c.api.Do(method, "/v1/operator/keyring", query, map[string]string{"Key": key}); err != nil {
		return fmt.Errorf("error: %w", err)
	}
	return nil
}

func (f *keyringFlags) show(c *call, query url.Values) error {
	what := "Gathering installed encryption keys..."
	if f.listPrimary {
		what = "Gathering installed primary encryption keys..."
	}
	c.ui.Output("==> " + what)
	var pools []struct {
		WAN                 bool
		Datacenter, Segment string
		Keys, PrimaryKeys   map[string]int
		NumNodes            int
		Messages            map[string]string
	}
	if err := c.api.Get("/v1/operator/keyring", query, &pools); err != nil {
		return fmt.Errorf("error: %w", err)
	}
	for _, p := range pools {
		name := p.Datacenter + " (LAN)"
		if p.WAN {
			name = "WAN"
		}
		keys := p.Keys
		if f.listPrimary {
			keys = p.PrimaryKeys
		}
		c.ui.Output("\n" + name + ":")
		for _, k := range slices.Sorted(maps.Keys(keys)) {
			c.ui.Output(fmt.Sprintf("  %s [%d/%d]", k, keys[k], p.NumNodes))
		}
		for _, node := range slices.Sorted(maps.Keys(p.Messages)) {
			c.ui.Warn(node + ": " + p.Messages[node])
		}
	}
	return nil
}
