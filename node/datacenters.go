package node

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"concord/internal/prng"
	"concord/swim"
	"concord/transport"
	"concord/wire"
)

// datacenters are the live servers of the other datacenters, as the WAN pool shows them.
type datacenters struct {
	rng      *prng.Rand
	servers  map[string][]remote
	failures map[transport.Addr]failure // of servers that others go before
	count    uint64                     // of failures
}

// failure is the last one of a server.
type failure struct {
	until time.Duration // others go first
	seq   uint64
}

// remote is a server of another datacenter.
type remote struct {
	name string // in the WAN pool
	addr transport.Addr
	// chance orders servers at the same distance, at each node differently, so that they share the load.
	chance uint64
}

const (
	// avoidFor is how long a server that did not answer comes after the others of its datacenter.
	avoidFor = 30 * time.Second
	// distanceGrain is the difference of two distances that is none: coordinates are not more exact.
	distanceGrain = time.Millisecond
)

func newDatacenters(rng *prng.Rand) *datacenters {
	return &datacenters{rng: rng, servers: map[string][]remote{}, failures: map[transport.Addr]failure{}}
}

// update takes over what the WAN pool has.
func (d *datacenters) update(own string, members []swim.Member) {
	chances := map[transport.Addr]uint64{}
	for _, list := range d.servers {
		for _, r := range list {
			chances[r.addr] = r.chance
		}
	}
	clear(d.servers)
	live := map[transport.Addr]bool{}
	for _, m := range members {
		info, ok := serverAt(m)
		dc := m.Tags[tagDatacenter]
		if !ok || dc == own || m.State != swim.StateAlive && m.State != swim.StateSuspect {
			continue
		}
		chance, known := chances[info.Addr]
		if !known {
			chance = d.rng.Uint64()
		}
		live[info.Addr] = true
		d.servers[dc] = append(d.servers[dc], remote{name: m.Name, addr: info.Addr, chance: chance})
	}
	maps.DeleteFunc(d.failures, func(a transport.Addr, _ failure) bool { return !live[a] })
}

// failed lets the others of its datacenter come before a server.
func (d *datacenters) failed(now time.Duration, a transport.Addr) {
	for _, list := range d.servers {
		if slices.ContainsFunc(list, func(r remote) bool { return r.addr == a }) {
			d.count++
			d.failures[a] = failure{now + avoidFor, d.count}
		}
	}
}

// pick is the server of a datacenter to ask, "" if none is known to be alive: of those that did not fail lately the nearest,
// or else the one whose failure is longest ago.
func (d *datacenters) pick(now time.Duration, dc string, distance func(name string) time.Duration) transport.Addr {
	list := d.servers[dc]
	if len(list) == 0 {
		return ""
	}
	failed := func(r remote) uint64 {
		if f := d.failures[r.addr]; now < f.until {
			return f.seq
		}
		return 0
	}
	return slices.MinFunc(list, func(a, b remote) int {
		return cmp.Or(cmp.Compare(failed(a), failed(b)), cmp.Compare(distance(a.name)/distanceGrain, distance(b.name)/distanceGrain),
			cmp.Compare(a.chance, b.chance))
	}).addr
}

// unknownDistance is that of a server about whose round trips nothing is known yet: it comes last.
const unknownDistance = never

// distance is the round trip that is expected to a member of the WAN pool, from the coordinates of both.
func (n *Node) distance(name string) time.Duration {
	if n.wan == nil {
		return unknownDistance
	}
	if rtt, known := n.wan.RTT(n.wan.Local().Name, name); known {
		return rtt
	}
	return unknownDistance
}

// Datacenters lists all datacenters that the WAN pool knows of, the nearest first, this one at the head. The distance of one is the median
// of those of its servers; of the same distance, they are in the order of their names.
func (n *Node) Datacenters() []string {
	distances := map[string][]time.Duration{}
	for _, m := range n.WANMembers() {
		if _, ok := serverAt(m); ok && m.State != swim.StateLeft {
			dc := m.Tags[tagDatacenter]
			distances[dc] = append(distances[dc], n.distance(m.Name))
		}
	}
	median := map[string]time.Duration{}
	for dc, all := range distances {
		slices.Sort(all)
		median[dc] = all[len(all)/2]
	}
	median[n.cfg.Datacenter] = -1
	names := slices.Collect(maps.Keys(median))
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(median[a], median[b]), strings.Compare(a, b))
	})
	return names
}

// abroad tells whether a request is for another datacenter.
func (n *Node) abroad(req *wire.Request) bool {
	return req.Datacenter != "" && req.Datacenter != n.cfg.Datacenter
}

// sendAbroad sends a call on to a server of the datacenter that it is for. One that came from another datacenter goes no
// further: who sent it is mistaken about which datacenter this server is of.
func (n *Node) sendAbroad(c *call) {
	target := n.remotes.pick(n.now, c.req.Datacenter, n.distance)
	if target == "" || c.req.Hops >= maxHops {
		n.answer(c, noPath())
		return
	}
	n.sendOn(c, target)
}

// sendElsewhere sends a call, which a server of another datacenter did not take, to the next one; once all had their turn,
// after a pause.
func (n *Node) sendElsewhere(c *call) {
	c.tries++
	if c.tries%(len(n.remotes.servers[c.req.Datacenter])+1) == 0 {
		n.tryAgain(c)
		return
	}
	n.route(c)
}

func noPath() *wire.Response {
	return &wire.Response{Code: wire.NoPath, Err: "No path to datacenter"}
}
