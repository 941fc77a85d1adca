package sim

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"concord/internal/prng"
	"concord/node"
	"concord/swim"
)

// Two datacenters: each is a World, with servers that form a cluster of their own; all servers are members of one WAN pool.

// connect makes the two datacenters of a run know each other.
func (w *Timeline) connect(a, b *World) {
	o := w.run.Remote
	for _, x := range a.hosts {
		for _, y := range b.hosts {
			w.net.slow[link{x.index, y.index}] = o.Latency
			w.net.slow[link{y.index, x.index}] = o.Latency
		}
	}
	for _, d := range []struct{ from, to *World }{{a, b}, {b, a}} {
		// They are clients of the datacenter on whose state they work, which checks what they see, but ask in the other one.
		for _, c := range d.to.clients[:min(o.Abroad, len(d.to.clients))] {
			c.at = d.from
		}
		for _, x := range d.to.watchers[:min(o.Abroad, len(d.to.watchers))] {
			x.at = d.from
		}
	}
}

// other is the other datacenter, nil if there is but one.
func (w *World) other() *World {
	for _, d := range w.worlds {
		if d != w {
			return d
		}
	}
	return nil
}

// wanConfig makes a server a member of the WAN pool.
func (w *World) wanConfig(h *Host, c *node.Config) {
	if w.other() == nil {
		return
	}
	c.WAN.Swim = swim.WAN()
	if w.run.Remote.Fast {
		c.WAN.Swim = swim.Fast()
	}
	c.WAN.Swim.Addr = netip.MustParseAddrPort(h.wan)
	if saved, err := strconv.ParseUint(string(h.disk.files[node.SavedRemoteIncarnation]), 10, 64); err == nil {
		c.WAN.Swim.Incarnation = saved
	}
}

// wanSeeds are whom a server joins in the WAN pool as it starts: those it knew before and, at one server of one datacenter, one of the other,
// which is all that anybody is ever told.
func (w *World) wanSeeds(h *Host) (seeds []netip.AddrPort) {
	other := w.other()
	if other == nil || !h.server {
		return nil
	}
	for _, line := range strings.Fields(string(h.disk.files[node.SavedRemotePeers])) {
		seeds = append(seeds, netip.MustParseAddrPort(line))
	}
	if h == w.worlds[0].hosts[0] {
		seeds = append(seeds, netip.MustParseAddrPort(other.hosts[0].wan))
	}
	return seeds
}

// servers lists the servers of all datacenters.
func (w *Timeline) servers() (out []*Host) {
	for _, h := range w.all() {
		if h.server {
			out = append(out, h)
		}
	}
	return out
}

// wanStuck compares what the servers believe of each other in the WAN pool with who runs; "" if that is right.
func (w *Timeline) wanStuck() string {
	if len(w.worlds) < 2 {
		return ""
	}
	for _, h := range w.servers() {
		if h.state != hostUp {
			return h.name + " does not run"
		}
		believed := map[string]swim.State{}
		for _, m := range h.node.WANMembers() {
			believed[m.Name] = m.State
		}
		for _, o := range w.servers() {
			name := o.name + "." + o.w.Datacenter
			if s := believed[name]; s != swim.StateAlive {
				return fmt.Sprintf("%s takes %s for %v in the WAN pool", h.name, name, s)
			}
			delete(believed, name)
		}
		for name, s := range believed {
			if s == swim.StateAlive || s == swim.StateSuspect {
				return fmt.Sprintf("%s takes %s for %v in the WAN pool, which was replaced", h.name, name, s)
			}
		}
	}
	return ""
}

// datacenterOf is the datacenter that the client which wrote a value meant; "" where there is no other one, or no such client.
func (w *Timeline) datacenterOf(value string) string {
	text, _, _ := strings.Cut(value, ".")
	id, err := strconv.Atoi(text)
	if err != nil || len(w.worlds) == 1 {
		return ""
	}
	for _, d := range w.worlds {
		if i := id - d.Options.firstClient; i >= 0 && i < len(d.clients) {
			return d.Datacenter
		}
	}
	return ""
}

// wanBeliefs looks at what the servers believe of each other in the WAN pool.
func (c *checkers) wanBeliefs() {
	for _, h := range c.w.hosts {
		if h.node == nil {
			continue
		}
		viewer := fmt.Sprintf("%s (life %d)", h.name, h.epoch)
		for _, m := range h.node.WANMembers() {
			c.verify("membership", c.wan.Seen(viewer, m))
			c.verify("datacenter", c.datacenter.WANMember(viewer, m))
			if m.State == swim.StateDead {
				c.w.cover("member of the WAN pool failed")
			}
		}
	}
}

// wanFaultKinds are the faults between two datacenters.
var wanFaultKinds = []faultKind{
	{"wan-cut", 4 * second, 12 * second, (*nemesis).wanCut},
	{"wan-one-way", 5 * second, 15 * second, (*nemesis).wanOneWay},
	{"wan-part", 4 * second, 12 * second, (*nemesis).wanPart},
	{"wrong-join", 5 * second, 15 * second, (*nemesis).wrongJoin},
}

// across lists the links between the datacenters for which so says yes.
func (n *nemesis) across(so func(from, to *Host) bool) (links []link) {
	other := n.w.other()
	if other == nil {
		return nil
	}
	for _, a := range n.w.hosts {
		for _, b := range other.hosts {
			if so(a, b) {
				links = append(links, link{a.index, b.index})
			}
			if so(b, a) {
				links = append(links, link{b.index, a.index})
			}
		}
	}
	return links
}

// wanCut cuts the datacenters off from each other, for long enough that they take each other for failed in half of the cases.
func (n *nemesis) wanCut(r *prng.Rand) string {
	hi := 6 * second
	if r.Chance(1, 2) {
		hi = 90 * second
	}
	return n.cutAll(r, 500*ms, hi, "the datacenters apart", n.across(func(_, _ *Host) bool { return true }))
}

// wanOneWay loses what one datacenter sends to the other.
func (n *nemesis) wanOneWay(r *prng.Rand) string {
	return n.cutAll(r, 500*ms, 6*second, "one way out of "+n.w.Datacenter, n.across(func(from, _ *Host) bool { return from.w == n.w }))
}

// wanPart cuts some pairs of servers of different datacenters.
func (n *nemesis) wanPart(r *prng.Rand) string {
	cut := map[link]bool{}
	return n.cutAll(r, 500*ms, 10*second, "some servers of the datacenters apart", n.across(func(from, to *Host) bool {
		l := link{min(from.index, to.index), max(from.index, to.index)}
		if _, drawn := cut[l]; !drawn {
			cut[l] = r.Chance(1, 2)
		}
		return cut[l]
	}))
}

// wrongJoin has an operator mistake the LAN pool of the other datacenter for that of this one.
func (n *nemesis) wrongJoin(r *prng.Rand) string {
	h, other := n.any(r), n.w.other()
	if other == nil || h.state != hostUp {
		return ""
	}
	to := other.nemesis.any(r)
	h.input(func() { h.node.Join([]netip.AddrPort{netip.MustParseAddrPort(to.gossip)}, func(swim.JoinResult) {}) })
	return h.name + " of " + n.w.Datacenter + " to " + to.name
}

// drawRemote draws a second datacenter and the faults between the two.
func (o *Options) drawRemote(r *prng.Rand) {
	o.Remote = Remote{Servers: 3, Agents: r.IntN(2), Clients: 1 + r.IntN(3), Abroad: 1 + r.IntN(2), Latency: r.Duration(5*ms, 80*ms), Fast: r.Chance(1, 2)}
	o.Settle = 5 * 60 * second
	for _, k := range wanFaultKinds {
		if r.Chance(2, 3) {
			o.Faults.Every[k.name] = r.Duration(k.lo, k.hi)
		}
	}
	o.Remote.Routers = r.Chance(1, 3)
}
