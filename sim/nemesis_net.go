package sim

import (
	"fmt"
	"strings"
	"time"

	"concord/internal/prng"
	"concord/raft"
	"concord/transport"
)

// The faults of the network.

// cutAll blocks links for a while.
func (n *nemesis) cutAll(r *prng.Rand, lo, hi time.Duration, text string, links []link) string {
	if len(links) == 0 {
		return ""
	}
	end := n.w.span("network", "partition", text)
	var undo []func()
	for _, l := range links {
		undo = append(undo, n.w.net.cut(l))
	}
	n.lasts(r, lo, hi, func() {
		for _, f := range undo {
			f()
		}
		end()
		n.w.logf("heals: %s", text)
	})
	return text
}

// between lists the links, both ways, between hosts for which apart says so.
func (n *nemesis) between(apart func(a, b int) bool) (links []link) {
	for a := range n.w.hosts {
		for b := range n.w.hosts {
			if a != b && apart(a, b) {
				links = append(links, link{n.w.hosts[a].index, n.w.hosts[b].index})
			}
		}
	}
	return links
}

// partition splits the hosts in two.
func (n *nemesis) partition(r *prng.Rand) string {
	side := make([]bool, len(n.w.hosts))
	var names []string
	for i, h := range n.w.hosts {
		if side[i] = r.Chance(1, 2); side[i] {
			names = append(names, h.name)
		}
	}
	return n.cutAll(r, 500*ms, 5*second, "{"+strings.Join(names, " ")+"} apart from the others",
		n.between(func(a, b int) bool { return side[a] != side[b] }))
}

// isolateLeader cuts the leader off from the servers or, in half of the cases, from everybody.
func (n *nemesis) isolateLeader(r *prng.Rand) string {
	leader := n.w.leader()
	if leader == nil {
		return ""
	}
	l, most := leader.index-n.w.base, n.w.Options.Servers
	if r.Chance(1, 2) {
		most = len(n.w.hosts)
	}
	return n.cutAll(r, 500*ms, 5*second, "leader "+leader.name+" alone",
		n.between(func(a, b int) bool { return (a == l || b == l) && a < most && b < most }))
}

func (n *nemesis) oneWay(r *prng.Rand) string {
	a, b := n.anyServer(r), n.anyServer(r)
	if a == b {
		return ""
	}
	return n.cutAll(r, 300*ms, 4*second, "one way from "+a.name+" to "+b.name, []link{{a.index, b.index}})
}

// bridge splits the servers in two halves that only one server sees both of.
func (n *nemesis) bridge(r *prng.Rand) string {
	servers := n.w.Options.Servers
	order := permutation(r, servers)
	half := make([]int, servers) // 0: the bridge
	for i, s := range order[1:] {
		half[s] = 1 + i%2
	}
	return n.cutAll(r, 1*second, 6*second, "bridge "+n.w.hosts[order[0]].name,
		n.between(func(a, b int) bool {
			return a < servers && b < servers && half[a] != 0 && half[b] != 0 && half[a] != half[b]
		}))
}

// ring lets each server see a majority, and no two of them the same one.
func (n *nemesis) ring(r *prng.Rand) string {
	servers := n.w.Options.Servers
	if servers < 5 {
		return ""
	}
	place := make([]int, servers)
	for i, s := range permutation(r, servers) {
		place[s] = i
	}
	near := servers / 4 // so many neighbours on each side are seen
	return n.cutAll(r, 1*second, 6*second, "majorities ring",
		n.between(func(a, b int) bool {
			if a >= servers || b >= servers {
				return false
			}
			d := (place[a] - place[b] + servers) % servers
			return min(d, servers-d) > near
		}))
}

// swizzle cuts hosts off one after the other, and lets them come back in another order (FoundationDB's
// "swizzle-clogging").
func (n *nemesis) swizzle(r *prng.Rand) string {
	hosts := permutation(r, len(n.w.hosts))
	hosts = hosts[:1+r.IntN(len(hosts))]
	back := permutation(r, len(hosts))
	step := r.Duration(50*ms, 400*ms)
	for i, victim := range hosts {
		away := time.Duration(len(hosts)-i+back[i]) * step
		n.w.after(time.Duration(i)*step, "swizzle", victim, func() {
			if !n.over {
				n.cutAll(r, away, away, "swizzled "+n.w.hosts[victim].name, n.between(func(a, b int) bool { return a == victim || b == victim }))
			}
		})
	}
	return fmt.Sprintf("%d hosts", len(hosts))
}

// flap cuts a link and heals it, again and again.
func (n *nemesis) flap(r *prng.Rand) string {
	a, b := n.anyServer(r), n.any(r)
	if a == b {
		return ""
	}
	links := []link{{a.index, b.index}, {b.index, a.index}}
	for i := range 3 + r.IntN(8) {
		n.w.after(time.Duration(i)*300*ms, "flap", a.index, func() {
			if !n.over {
				n.cutAll(r, 20*ms, 250*ms, "flapping "+a.name+" - "+b.name, links)
			}
		})
	}
	return a.name + " - " + b.name
}

func (n *nemesis) slowLink(r *prng.Rand) string {
	a, b := n.any(r), n.any(r)
	if a == b {
		return ""
	}
	l, by := link{a.index, b.index}, r.Duration(10*ms, 400*ms)
	n.w.net.slow[l] += by
	text := fmt.Sprintf("%s to %s by %v", a.name, b.name, by)
	end := n.w.span("network", "slow", text)
	n.lasts(r, 500*ms, 5*second, func() {
		n.w.net.slow[l] -= by
		end()
	})
	return text
}

// dropType loses one type of Raft's messages on the way to a server.
func (n *nemesis) dropType(r *prng.Rand) string {
	to := n.anyServer(r)
	kind := raft.MessageType(1 + r.IntN(int(raft.MsgReadIndexReply)))
	k := filter{to.index, kind}
	n.w.net.filters[k]++
	text := fmt.Sprintf("%v to %s", kind, to.name)
	end := n.w.span("network", "drop", text)
	n.lasts(r, 300*ms, 4*second, func() {
		if n.w.net.filters[k]--; n.w.net.filters[k] == 0 {
			delete(n.w.net.filters, k)
		}
		end()
	})
	return text
}

func (n *nemesis) reset(r *prng.Rand) string {
	h := n.any(r)
	n.w.net.reset(h)
	return "connections of " + h.name
}

// falseAlarm tells servers that the leader refuses connections, which it does not: another process may have had its address
// for a moment.
func (n *nemesis) falseAlarm(r *prng.Rand) string {
	leader := n.w.leader()
	if leader == nil {
		return ""
	}
	for _, h := range n.w.hosts[:n.w.Options.Servers] {
		if h != leader && h.state != hostDown && r.Chance(2, 3) {
			n.w.net.tell(h, leader.rpc, transport.Raft, transport.Refused, r.Duration(0, 50*ms))
		}
	}
	return "about " + leader.name
}

func permutation(r *prng.Rand, n int) []int {
	p := make([]int, n)
	for i := range p {
		p[i] = i
	}
	r.Shuffle(n, func(i, j int) { p[i], p[j] = p[j], p[i] })
	return p
}
