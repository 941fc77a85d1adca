package pool

import (
	"fmt"
	"time"

	"concord/gossip"
	"concord/internal/prng"
)

// nemesis breaks things.
type nemesis struct {
	t    *Trial
	rng  *prng.Rand
	met  map[string]int // how often each fault was made
	tags int
}

type fault struct {
	name   string
	weight int
	do     func(n *nemesis, h *Host)
}

// faults are what may happen. Each has a weight, and each seed leaves some out.
var faults = []fault{
	{"crash", 3, func(_ *nemesis, h *Host) { h.Crash() }},
	{"restart", 6, (*nemesis).restart},
	{"pause", 2, func(n *nemesis, h *Host) { h.Hold(n.rng.Duration(0, 20*time.Second)) }},
	{"slow", 1, func(n *nemesis, h *Host) { h.Slow(n.rng.Duration(0, 800*time.Millisecond)) }},
	{"quick", 2, func(_ *nemesis, h *Host) { h.Slow(0) }},
	{"mute", 2, func(n *nemesis, h *Host) { h.Mute(n.rng.Duration(0, 10*time.Second)) }},
	{"partition", 2, (*nemesis).partition},
	{"isolate", 1, (*nemesis).isolate},
	{"one way", 1, (*nemesis).oneWay},
	{"mend", 4, func(n *nemesis, _ *Host) { n.t.w.Mend() }},
	{"long partition", 1, (*nemesis).longPartition},
	{"network", 2, (*nemesis).network},
	{"mass restart", 1, (*nemesis).massRestart},
	{"leave", 2, (*nemesis).leave},
	{"force-leave", 1, (*nemesis).forceLeave},
	{"tags", 2, (*nemesis).setTags},
	{"event", 3, func(n *nemesis, h *Host) { n.t.fire(h) }},
}

// choose returns the faults of a seed.
func choose(rng *prng.Rand) []fault {
	var chosen []fault
	for _, f := range faults {
		if rng.Chance(3, 4) || f.name == "restart" || f.name == "mend" {
			for range f.weight {
				chosen = append(chosen, f)
			}
		}
	}
	return chosen
}

// restart starts a member that does not run, as its machine was or with some of it changed.
func (n *nemesis) restart(h *Host) {
	if h.Pool != nil && !h.left {
		return
	}
	h.Crash()
	switch n.rng.IntN(6) {
	case 0:
		n.mark("restart without incarnation")
		n.t.forget(h, false)
	case 1:
		n.mark("restart at a new address")
		h.Move()
	case 2:
		n.mark("restart at a new address without incarnation")
		h.Move()
		n.t.forget(h, false)
	case 3:
		n.mark("restart with an empty disk")
		n.t.forget(h, true)
	}
	n.t.start(h)
}

func (n *nemesis) mark(what string) {
	n.met[what]++
	n.t.w.logf("fault: %s", what)
}

func (n *nemesis) partition(*Host) {
	w := n.t.w
	w.Mend()
	for _, h := range w.Hosts {
		h.Group = n.rng.IntN(2)
	}
	w.Cut(0, 1)
	w.Cut(1, 0)
}

func (n *nemesis) isolate(h *Host) {
	w := n.t.w
	w.Mend()
	h.Group = 1
	w.Cut(0, 1)
	w.Cut(1, 0)
}

func (n *nemesis) oneWay(*Host) {
	n.partition(nil)
	n.t.w.groups[n.rng.IntN(2)] = [maxGroups]bool{}
}

// longPartition lasts until the members of each part have forgotten those of the other.
func (n *nemesis) longPartition(h *Host) {
	if n.rng.Chance(1, 2) {
		n.partition(h)
	} else {
		n.isolate(h)
	}
	w := n.t.w
	w.Run(w.Swim.ReconnectTimeout + n.rng.Duration(0, 2*w.Swim.ReconnectTimeout))
	w.Mend()
}

func (n *nemesis) network(*Host) {
	net := &n.t.w.Net
	net.Latency = n.rng.Duration(100*time.Microsecond, 20*time.Millisecond)
	net.HeavyTail = n.rng.Chance(1, 2)
	net.LossPercent, net.DupPercent, net.ReorderPercent = n.rng.Uint64N(31), n.rng.Uint64N(20), n.rng.Uint64N(20)
}

func (n *nemesis) massRestart(*Host) {
	w := n.t.w
	within := n.rng.Duration(time.Millisecond, 20*time.Second)
	for _, h := range w.Hosts {
		h.Crash()
		w.After(n.rng.Duration(0, within), func() { n.restart(h) })
	}
	w.Run(within)
}

// leave lets the member depart; its process ends when it has told enough others, or a little too early.
func (n *nemesis) leave(h *Host) {
	if !h.Up() {
		return
	}
	h.Do(func(p *gossip.Pool, now time.Duration) { p.Leave(now) })
	n.t.w.Run(n.rng.Duration(0, 6*time.Second))
	h.Crash()
}

func (n *nemesis) forceLeave(h *Host) {
	o := n.t.any()
	if !h.Up() || o == h {
		return
	}
	prune := n.rng.Chance(1, 2)
	if prune {
		n.t.checks.reaping.Pruned(o.name)
	}
	h.Do(func(p *gossip.Pool, now time.Duration) { _ = p.ForceLeave(now, o.name, prune) })
}

func (n *nemesis) setTags(h *Host) {
	if !h.Up() {
		return
	}
	n.tags++
	h.Tags = map[string]string{"n": fmt.Sprint(n.tags)}
	h.Do(func(p *gossip.Pool, now time.Duration) { _ = p.SetTags(now, h.Tags) })
}
