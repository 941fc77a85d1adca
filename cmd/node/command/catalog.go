package command

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl"
)

// catalogVerbs: https://developer.hashicorp.com/consul/commands/catalog
var catalogVerbs = []verb{
	{name: "catalog datacenters", usage: "[options]", synopsis: "Lists all known datacenters", about: "Lists all known datacenters.",
		example: "catalog datacenters", setup: none(datacenters)},
	{name: "catalog nodes", usage: "[options]", synopsis: "Lists all nodes", about: "Lists the nodes in the catalog.",
		example: "catalog nodes -service=web", setup: nodes},
	{name: "catalog services", usage: "[options]", synopsis: "Lists all registered services", about: "Lists the services in the catalog.",
		example: "catalog services -tags", setup: services},
}

// servicesVerbs: https://developer.hashicorp.com/consul/commands/services
var servicesVerbs = []verb{
	{name: "services register", usage: "[options] [FILE...]", synopsis: "Registers services with the agent",
		about: "Registers the services in configuration files, or the one that the flags describe.", example: "services register -name=web -port=8080", setup: register},
	{name: "services deregister", usage: "[options] [FILE...]", synopsis: "Deregisters services from the agent",
		about: "Deregisters the services in configuration files, or the one named by -id.", example: "services deregister -id=web", setup: deregister},
}

func datacenters(c *call) error {
	var names []string
	if err := c.api.Get("/v1/catalog/datacenters", nil, &names); err != nil {
		return fmt.Errorf("Error listing datacenters: %w", err)
	}
	for _, n := range names {
		c.ui.Output(n)
	}
	return nil
}

type catalogNode struct {
	ID, Node, Address, Datacenter string
	TaggedAddresses, Meta         map[string]string
}

func nodes(fs *flag.FlagSet) func(*call) error {
	detailed := fs.Bool("detailed", false, "Show tagged addresses and metadata, too.")
	service := fs.String("service", "", "Only nodes that have an instance of the service.")
	filter := fs.String("filter", "", "Filter expression.")
	near := fs.String("near", "", "Sort by the estimated round trip from this node, or from this agent (_agent).")
	var meta list
	fs.Var(&meta, "node-meta", "Only nodes with this metadata, key=value. May be given more than once.")
	return func(c *call) error {
		query := url.Values{}
		pairs, err := meta.pairs()
		if err != nil {
			return err
		}
		for _, k := range slices.Sorted(maps.Keys(pairs)) {
			query.Add("node-meta", k+":"+pairs[k])
		}
		for name, v := range map[string]string{"filter": *filter, "near": *near} {
			if v != "" {
				query.Set(name, v)
			}
		}
		path := "/v1/catalog/nodes"
		if *service != "" {
			path = "/v1/catalog/service/" + *service
		}
		var found []catalogNode
		if err := c.api.Get(path, query, &found); err != nil {
			return fmt.Errorf("Error listing nodes: %w", err)
		}
		if len(found) == 0 {
			c.ui.Error("No nodes match the given query - try expanding your search.")
			return nil
		}
		if *near == "" {
			slices.SortFunc(found, func(a, b catalogNode) int { return strings.Compare(a.Node, b.Node) })
		}
		c.table(nodeRows(found, *detailed))
		return nil
	}
}

func nodeRows(found []catalogNode, detailed bool) [][]string {
	rows := [][]string{{"Node", "ID", "Address", "DC"}}
	if detailed {
		rows[0] = append(rows[0], "TaggedAddresses", "Meta")
	}
	for _, n := range found {
		row := []string{n.Node, n.ID, n.Address, n.Datacenter}
		if detailed {
			row = append(row, joined(n.TaggedAddresses), joined(n.Meta))
		} else if len(n.ID) > 8 {
			row[1] = n.ID[:8]
		}
		rows = append(rows, row)
	}
	return rows
}

func joined(m map[string]string) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, k+"="+m[k])
	}
	return strings.Join(out, ", ")
}

func services(fs *flag.FlagSet) func(*call) error {
	tags := fs.Bool("tags", false, "Show each service's tags, too.")
	node := fs.String("node", "", "Only services of this node, by name or ID.")
	var meta list
	fs.Var(&meta, "node-meta", "Only services on nodes with this metadata, key=value. May be given more than once.")
	return func(c *call) error {
		found, err := c.servicesOf(*node, meta)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			c.ui.Error("No services match the given query - try expanding your search.")
			return nil
		}
		var rows [][]string
		for _, name := range slices.Sorted(maps.Keys(found)) {
			row := []string{name}
			if *tags {
				slices.Sort(found[name])
				row = append(row, strings.Join(slices.Compact(found[name]), ","))
			}
			rows = append(rows, row)
		}
		c.table(rows)
		return nil
	}
}

// servicesOf are the services of a node, or all of them, with their tags.
func (c *call) servicesOf(node string, meta list) (map[string][]string, error) {
	found := map[string][]string{}
	if node == "" {
		query := url.Values{}
		pairs, err := meta.pairs()
		if err != nil {
			return nil, err
		}
		for _, k := range slices.Sorted(maps.Keys(pairs)) {
			query.Add("node-meta", k+":"+pairs[k])
		}
		if err := c.api.Get("/v1/catalog/services", query, &found); err != nil {
			return nil, fmt.Errorf("Error listing services: %w", err)
		}
		return found, nil
	}
	var n *struct {
		Services map[string]struct {
			Service string
			Tags    []string
		}
	}
	if err := c.api.Get("/v1/catalog/node/"+node, nil, &n); err != nil {
		return nil, fmt.Errorf("Error listing services: %w", err)
	}
	if n != nil {
		for _, s := range n.Services {
			found[s.Service] = append(found[s.Service], s.Tags...)
		}
	}
	return found, nil
}

// definitions are the service definitions in configuration files.
func definitions(files []string) ([]map[string]any, error) {
	var out []map[string]any
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		var m map[string]any
		if filepath.Ext(path) == ".json" {
			err = json.Unmarshal(text, &m)
		} else {
			err = hcl.Decode(&m, string(text))
		}
		if err != nil {
			return nil, fmt.Errorf("Error parsing %s: %w", path, err)
		}
		found := len(out)
		for _, key := range []string{"service", "services"} {
			switch v := m[key].(type) {
			case map[string]any:
				out = append(out, v)
			case []map[string]any:
				out = append(out, v...)
			case []any:
				for _, e := range v {
					if def, ok := e.(map[string]any); ok {
						out = append(out, def)
					}
				}
			}
		}
		if len(out) == found {
			return nil, fmt.Errorf("%s defines no service: expected a service or services block", path)
		}
	}
	return out, nil
}

// field reads a field of a definition, whatever its case.
func field(def map[string]any, name string) string {
	for k, v := range def {
		if strings.EqualFold(k, name) {
			return fmt.Sprint(v)
		}
	}
	return ""
}

func register(fs *flag.FlagSet) func(*call) error {
	name := fs.String("name", "", "Name of the service.")
	id := fs.String("id", "", "ID of the instance; by default the name.")
	address := fs.String("address", "", "Address of the instance; by default that of the node.")
	port := fs.Int("port", 0, "Port of the instance.")
	var tags, meta list
	fs.Var(&tags, "tag", "Tag of the instance. May be given more than once.")
	fs.Var(&meta, "meta", "Metadata of the instance, key=value. May be given more than once.")
	return func(c *call) error {
		defs, err := definitions(c.args)
		if err != nil {
			return err
		}
		switch {
		case *name != "" && len(defs) > 0:
			return badUsage("Service registration from arguments and flags cannot be combined.")
		case *name != "":
			pairs, err := meta.pairs()
			if err != nil {
				return err
			}
			defs = append(defs, map[string]any{"Name": *name, "ID": *id, "Address": *address, "Port": *port, "Tags": []string(tags), "Meta": pairs})
		case len(defs) == 0:
			return badUsage("Service registration requires at least one argument or flags.")
		}
		for _, def := range defs {
			if err := c.api.Put("/v1/agent/service/register", nil, def); err != nil {
				return fmt.Errorf("Error registering service %q: %w", field(def, "name"), err)
			}
			c.ui.Output("Registered service: " + field(def, "name"))
		}
		return nil
	}
}

func deregister(fs *flag.FlagSet) func(*call) error {
	id := fs.String("id", "", "ID of the instance.")
	return func(c *call) error {
		defs, err := definitions(c.args)
		if err != nil {
			return err
		}
		if (*id == "") == (len(defs) == 0) {
			return badUsage("Service deregistration requires either files or -id.")
		}
		ids := []string{*id}
		if *id == "" {
			ids = nil
			for _, def := range defs {
				if v := field(def, "id"); v != "" {
					ids = append(ids, v)
				} else {
					ids = append(ids, field(def, "name"))
				}
			}
		}
		for _, v := range ids {
			if err := c.api.Put("/v1/agent/service/deregister/"+v, nil, nil); err != nil {
				return fmt.Errorf("Error deregistering service %q: %w", v, err)
			}
			c.ui.Output("Deregistered service: " + v)
		}
		return nil
	}
}
