package node

import (
	"maps"
	"slices"
	"strings"
	"time"

	"concord/catalog"
	"concord/swim/coordinate"
	"concord/wire"
)

// CoordinateConfig says how the coordinates of agents get into the catalog. Zero fields have Consul's defaults.
type CoordinateConfig struct {
	// Interval is the least time between two that an agent sends. Rate is how many all agents together send in a second:
	// in large clusters each sends more seldom.
	Interval time.Duration
	Rate     int
	// Period is the time between two rounds in which the leader writes what it got, in at most MaxBatches commands of BatchSize
	// coordinates; what is more is dropped.
	Period                time.Duration
	BatchSize, MaxBatches int
}

func (c CoordinateConfig) withDefaults() CoordinateConfig {
	if c.Interval == 0 {
		c.Interval = 15 * time.Second
	}
	if c.Rate == 0 {
		c.Rate = 64
	}
	if c.Period == 0 {
		c.Period = 5 * time.Second
	}
	if c.BatchSize == 0 {
		c.BatchSize = catalog.MaxCoordinates
	}
	if c.MaxBatches == 0 {
		c.MaxBatches = 5
	}
	return c
}

const (
	// minMove is how far a coordinate has moved when it is worth being told.
	minMove = 50 * time.Microsecond
	// tellAgain is after how many intervals it is told though it did not move: the node may have been registered anew, or
	// the coordinate have been dropped.
	tellAgain = 20
)

// locator sends this agent's coordinate to the servers.
type locator struct {
	at   time.Duration // when to look again
	told bool
	sent coordinate.Coordinate
	then time.Duration // when it was sent
}

// interval is the time between two coordinates: longer the more members there are.
func (n *Node) coordinateInterval() time.Duration {
	c := n.cfg.Coordinates
	return max(c.Interval, time.Duration(n.lan.NumAlive())*time.Second/time.Duration(c.Rate))
}

// planCoordinate sets when to look again, so that agents that started together do not send together.
func (n *Node) planCoordinate() {
	n.locator.at = never
	if _, on := n.lan.Coordinate(); on {
		d := n.coordinateInterval()
		n.locator.at = n.now + d + n.rng.Duration(0, d)
	}
}

func (n *Node) coordinateTick() {
	l := &n.locator
	if l.at > n.now {
		return
	}
	c, _ := n.lan.Coordinate()
	n.planCoordinate()
	if l.told && c.Moved(&l.sent) < minMove && n.now-l.then < tellAgain*n.coordinateInterval() || n.leave.phase != staying {
		return
	}
	now := n.now
	update := &catalog.Coordinate{Node: n.cfg.Name, Coord: c}
	n.ask(&wire.Request{Operator: &wire.Operator{Kind: wire.CoordinateUpdate, Coordinate: update}}, func(resp *wire.Response) {
		if resp.Code != wire.OK {
			n.log(Debug, "coordinate", "the servers did not take the coordinate", "error", resp.Err)
			return
		}
		l.told, l.sent, l.then = true, c, now
	})
}

// Coordinate is this agent's coordinate in the LAN pool; false if it keeps none.
func (n *Node) Coordinate() (coordinate.Coordinate, bool) { return n.lan.Coordinate() }

// gatherer keeps the coordinates that agents sent to the leader, the newest of each node, until they are written.
type gatherer struct {
	at      time.Duration
	pending map[string]catalog.Coordinate // by name in lower case
	dropped uint64
}

func newGatherer() gatherer {
	return gatherer{at: never, pending: map[string]catalog.Coordinate{}}
}

// gatherCoordinate takes in a coordinate (PUT /v1/coordinate/update).
func (s *server) gatherCoordinate(c *call) {
	u := c.req.Operator.Coordinate
	if u == nil {
		s.n.answer(c, &wire.Response{Code: wire.Refused, Err: catalog.ErrCoordinate.Error()})
		return
	}
	if err := u.Validate(); err != nil {
		s.n.answer(c, &wire.Response{Code: wire.Refused, Err: err.Error()})
		return
	}
	g, cfg, name := &s.gather, &s.n.cfg.Coordinates, strings.ToLower(u.Node)
	if _, known := g.pending[name]; !known && len(g.pending) >= cfg.BatchSize*cfg.MaxBatches {
		g.dropped++
		s.n.answer(c, &wire.Response{Code: wire.Busy, Err: "too many coordinates at once, try again"})
		return
	}
	g.pending[name] = *u
	g.at = min(g.at, s.n.now+cfg.Period)
	s.n.answer(c, &wire.Response{})
}

// gatherTick writes what was gathered.
func (s *server) gatherTick() {
	g := &s.gather
	if g.at > s.n.now {
		return
	}
	if g.dropped > 0 {
		s.n.log(Warn, "coordinate", "Discarded coordinate updates", "count", g.dropped)
	}
	names := slices.Sorted(maps.Keys(g.pending))
	for batch := range slices.Chunk(names, s.n.cfg.Coordinates.BatchSize) {
		cmd := &catalog.UpdateCoordinates{}
		for _, name := range batch {
			cmd.Updates = append(cmd.Updates, g.pending[name])
		}
		s.propose(cmd, func(resp *wire.Response) {
			if resp.Code != wire.OK {
				s.n.log(Warn, "coordinate", "Batch update failed", "error", resp.Err)
			}
		})
	}
	*g = newGatherer()
}

// areaWAN names the WAN pool.
const areaWAN = "wan"

// datacenterMaps are the coordinates of the servers of each datacenter in the WAN pool, by name.
func (n *Node) datacenterMaps() []catalog.DatacenterMap {
	byName := map[string][]catalog.Coordinate{n.cfg.Datacenter: {}}
	for _, m := range n.WANMembers() {
		s, ok := serverAt(m)
		if !ok {
			continue
		}
		dc := m.Tags[tagDatacenter]
		list := byName[dc]
		if c, known := n.wan.CoordinateOf(m.Name); known {
			list = append(list, catalog.Coordinate{Node: strings.TrimSuffix(s.Name, "."+dc), Coord: c})
		}
		byName[dc] = list
	}
	var out []catalog.DatacenterMap
	for _, dc := range slices.Sorted(maps.Keys(byName)) {
		out = append(out, catalog.DatacenterMap{Datacenter: dc, AreaID: areaWAN, Coordinates: byName[dc]})
	}
	return out
}
