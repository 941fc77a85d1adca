package command

import (
	"flag"
	"fmt"
	"strings"

	"concord/catalog"
	"concord/swim/coordinate"
)

// rttVerbs: https://developer.hashicorp.com/consul/commands/rtt
var rttVerbs = []verb{
	{name: "rtt", usage: "[options] NODE1 [NODE2]", synopsis: "Estimates network round trip time between nodes",
		about:   "Estimates the round trip between two nodes, or a node and this agent, from their network coordinates.",
		example: "rtt web-1 web-2", setup: rtt},
}

func rtt(fs *flag.FlagSet) func(*call) error {
	wan := fs.Bool("wan", false, "Use the coordinates of servers in the WAN pool; nodes are named NODE.DATACENTER.")
	return func(c *call) error {
		if len(c.args) < 1 || len(c.args) > 2 {
			return badUsage("One or two node names must be specified")
		}
		nodes := c.args
		if len(nodes) == 1 {
			own, err := c.ownName(*wan)
			if err != nil {
				return err
			}
			nodes = append(nodes, own)
		}
		source, places := "LAN", c.lanCoordinates
		if *wan {
			source, places = "WAN", c.wanCoordinates
		}
		at, err := places(nodes)
		if err != nil {
			return err
		}
		for i, n := range nodes {
			if at[i] == nil {
				return fmt.Errorf("Could not find a coordinate for node %q", n)
			}
		}
		c.ui.Output(fmt.Sprintf("Estimated %s <-> %s rtt: %.3f ms (using %s coordinates)", nodes[0], nodes[1],
			at[0].Distance(at[1]).Seconds()*1000, source))
		return nil
	}
}

// ownName is what this agent is called in a pool.
func (c *call) ownName(wan bool) (string, error) {
	var self struct {
		Config struct{ NodeName, Datacenter string }
	}
	if err := c.api.Get("/v1/agent/self", nil, &self); err != nil {
		return "", fmt.Errorf("Unable to look up agent info: %w", err)
	}
	if wan {
		return self.Config.NodeName + "." + self.Config.Datacenter, nil
	}
	return self.Config.NodeName, nil
}

// lanCoordinates are where nodes of the agent's datacenter are; nil where that is not known.
func (c *call) lanCoordinates(nodes []string) ([]*coordinate.Coordinate, error) {
	var all []catalog.Coordinate
	if err := c.api.Get("/v1/coordinate/nodes", nil, &all); err != nil {
		return nil, fmt.Errorf("Error getting coordinates: %w", err)
	}
	return placesOf(nodes, all), nil
}

// wanCoordinates are where servers, named with their datacenters, are in the WAN pool.
func (c *call) wanCoordinates(nodes []string) ([]*coordinate.Coordinate, error) {
	for _, n := range nodes {
		if strings.Count(n, ".") != 1 {
			return nil, badUsage("Node names must be specified as <node name>.<datacenter> with -wan")
		}
	}
	var maps []catalog.DatacenterMap
	if err := c.api.Get("/v1/coordinate/datacenters", nil, &maps); err != nil {
		return nil, fmt.Errorf("Error getting coordinates: %w", err)
	}
	var all []catalog.Coordinate
	for _, m := range maps {
		for _, e := range m.Coordinates {
			e.Node += "." + m.Datacenter
			all = append(all, e)
		}
	}
	return placesOf(nodes, all), nil
}

func placesOf(nodes []string, all []catalog.Coordinate) []*coordinate.Coordinate {
	at := make([]*coordinate.Coordinate, len(nodes))
	for i, n := range nodes {
		for j := range all {
			if strings.EqualFold(all[j].Node, n) {
				at[i] = &all[j].Coord
			}
		}
	}
	return at
}
