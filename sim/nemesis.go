package sim

import (
	"fmt"
	"time"

	"concord/internal/prng"
	lin "concord/linearizability"
	"concord/raft"
	"concord/wire"
)

// nemesis makes the faults. Each kind has a stream of randomness of its own, so that removing one leaves the
// others as they were.
type nemesis struct {
	w    *World
	over bool
	heal []func()
}

// start lets the faults begin.
func (n *nemesis) start() {
	f := n.w.faults
	n.every("partition", f.Partition, n.partition)
	n.every("one-way", f.OneWay, n.oneWay)
	n.every("crash", f.Crash, n.crash)
	n.every("pause", f.Pause, n.pause)
	n.every("disk-stall", f.DiskStall, n.stall)
	n.every("transfer", f.Transfer, n.transfer)
}

func (n *nemesis) every(kind string, interval time.Duration, f func(r *prng.Rand)) {
	if interval == 0 {
		return
	}
	r := n.w.rng.Fork("nemesis/" + kind)
	var next func()
	next = func() {
		if n.over {
			return
		}
		n.w.stats.Faults[kind]++
		f(r)
		n.w.after(r.Duration(interval/2, interval*3/2), kind, -1, next)
	}
	n.w.after(r.Duration(interval/2, interval*3/2), kind, -1, next)
}

// stop ends the faults and repairs everything.
func (n *nemesis) stop() {
	n.over = true
	for _, f := range n.heal {
		f()
	}
	n.heal = nil
	n.w.faults.LossPercent, n.w.faults.ReorderPercent, n.w.faults.DupPercent, n.w.faults.HeavyTail = 0, 0, 0, false
	for _, h := range n.w.hosts {
		switch h.state {
		case hostDown:
			h.boot()
		case hostPaused:
			h.resume()
		}
		h.disk.stalled = 0
	}
	n.w.logf("all faults end")
}

// lasts repairs something after a while, or when the faults end.
func (n *nemesis) lasts(r *prng.Rand, lo, hi time.Duration, repair func()) {
	repaired := false
	once := func() {
		if !repaired {
			repaired = true
			repair()
		}
	}
	n.heal = append(n.heal, once)
	n.w.after(r.Duration(lo, hi), "heal", -1, once)
}

func (n *nemesis) any(r *prng.Rand) *Host { return n.w.hosts[r.IntN(len(n.w.hosts))] }

func (n *nemesis) anyServer(r *prng.Rand) *Host { return n.w.hosts[r.IntN(n.w.Options.Servers)] }

// partition splits the hosts in two, in one half of the cases right around the leader.
func (n *nemesis) partition(r *prng.Rand) {
	side := map[int]bool{}
	for _, h := range n.w.hosts {
		side[h.index] = r.Chance(1, 2)
	}
	if r.Chance(1, 2) {
		if leader := n.w.leader(); leader != nil {
			for _, h := range n.w.hosts {
				side[h.index] = h == leader
			}
		}
	}
	n.w.logf("partition %v", side)
	end := n.w.span("network", "partition", fmt.Sprint("partition ", side))
	var undo []func()
	for _, a := range n.w.hosts {
		for _, b := range n.w.hosts {
			if side[a.index] != side[b.index] {
				undo = append(undo, n.w.net.cut(link{a.index, b.index}))
			}
		}
	}
	n.lasts(r, 500*time.Millisecond, 5*time.Second, func() {
		for _, f := range undo {
			f()
		}
		end()
		n.w.logf("partition heals")
	})
}

func (n *nemesis) oneWay(r *prng.Rand) {
	a, b := n.anyServer(r), n.anyServer(r)
	if a == b {
		return
	}
	n.w.logf("one-way partition %s -> %s", a.name, b.name)
	end := n.w.span("network", "partition", "one-way "+a.name+" to "+b.name)
	undo := n.w.net.cut(link{a.index, b.index})
	n.lasts(r, 300*time.Millisecond, 4*time.Second, func() { undo(); end() })
}

func (n *nemesis) crash(r *prng.Rand) {
	h := n.any(r)
	if r.Chance(1, 3) {
		if leader := n.w.leader(); leader != nil {
			h = leader
		}
	}
	if h.state == hostDown {
		return
	}
	h.crash()
	n.lasts(r, 50*time.Millisecond, 4*time.Second, func() {
		if h.state == hostDown {
			h.boot()
		}
	})
}

func (n *nemesis) pause(r *prng.Rand) {
	h := n.any(r)
	if h.state != hostUp {
		return
	}
	n.w.logf("%s is paused", h.name)
	h.state = hostPaused
	h.beginSpan("paused", "paused")
	epoch := h.epoch
	n.lasts(r, 50*time.Millisecond, 3*time.Second, func() {
		if h.epoch == epoch && h.state == hostPaused {
			h.resume()
		}
	})
}

func (h *Host) resume() {
	h.w.logf("%s goes on", h.name)
	h.endSpan("paused")
	h.state = hostUp
	held := h.held
	h.held = nil
	h.input(func() {
		if h.node.NextDeadline() <= h.Now() {
			h.node.OnTick()
		}
	})
	for _, f := range held {
		h.input(f)
	}
}

func (n *nemesis) stall(r *prng.Rand) {
	h := n.anyServer(r)
	h.disk.stalled = n.w.now + r.Duration(100*time.Millisecond, 2*time.Second)
	n.w.logf("the disk of %s stalls until %v", h.name, h.disk.stalled)
	n.w.spans = append(n.w.spans, lin.Span{Lane: h.name + " disk", Kind: "stall", Text: "stalled", Start: n.w.now, End: h.disk.stalled})
}

func (n *nemesis) transfer(r *prng.Rand) {
	leader := n.w.leader()
	if leader == nil || leader.state != hostUp {
		return
	}
	n.w.logf("leadership transfer away from %s", leader.name)
	leader.request(&wire.Request{Operator: &wire.Operator{Kind: wire.TransferLeader}}, func(*wire.Response) {})
}

// leader is the server that leads in the highest term, nil if none does.
func (w *World) leader() *Host {
	var best *Host
	for _, h := range w.hosts {
		if h.server && h.node != nil && h.role.role == raft.Leader && (best == nil || h.role.term > best.role.term) {
			best = h
		}
	}
	return best
}
