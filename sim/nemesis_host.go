package sim

import (
	"fmt"
	"time"

	"concord/internal/prng"
	"concord/wire"
)

// The faults of machines and of the cluster's membership.

// crashFor crashes a host and starts it again after a while.
func (n *nemesis) crashFor(r *prng.Rand, h *Host, lo, hi time.Duration) string {
	if h.state == hostDown {
		return ""
	}
	h.crash("crashed")
	n.lasts(r, lo, hi, h.restart)
	return h.name
}

func (n *nemesis) crash(r *prng.Rand) string { return n.crashFor(r, n.victim(r), 50*ms, 4*second) }

func (n *nemesis) crashLeader(r *prng.Rand) string {
	leader := n.w.leader()
	if leader == nil {
		return ""
	}
	return n.crashFor(r, leader, 50*ms, 4*second)
}

// crashWriting crashes a server just as it is told that a write has ended, or just before.
func (n *nemesis) crashWriting(r *prng.Rand) string {
	h := n.anyServer(r)
	if h.state != hostUp {
		return ""
	}
	h.disk.trap = r.IntN(2) + 1
	n.lasts(r, 50*ms, 2*second, func() { h.disk.trap = 0; h.restart() })
	return fmt.Sprintf("%s at its next write (%d)", h.name, h.disk.trap)
}

// powerLoss crashes all servers at once.
func (n *nemesis) powerLoss(r *prng.Rand) string {
	for _, h := range n.w.hosts[:n.w.Options.Servers] {
		n.crashFor(r, h, 50*ms, 2*second)
	}
	return "all servers"
}

func (n *nemesis) pause(r *prng.Rand) string {
	h := n.victim(r)
	if h.state != hostUp {
		return ""
	}
	h.state = hostPaused
	h.beginSpan("paused", "paused")
	epoch := h.epoch
	n.lasts(r, 50*ms, 3*second, func() {
		if h.epoch == epoch && h.state == hostPaused {
			h.resume()
		}
	})
	return h.name
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

// slowCPU lets every input of a host take its time.
func (n *nemesis) slowCPU(r *prng.Rand) string {
	h := n.any(r)
	if h.slow > 0 {
		return ""
	}
	h.slow = r.Duration(200*time.Microsecond, 3*ms)
	h.beginSpan("slow", "slow processor")
	n.lasts(r, 500*ms, 3*second, func() { h.slow = 0; h.endSpan("slow") })
	return fmt.Sprintf("%s by %v", h.name, h.slow)
}

func (n *nemesis) transfer(*prng.Rand) string {
	leader := n.w.leader()
	if leader == nil || leader.state != hostUp {
		return ""
	}
	leader.request(&wire.Request{Operator: &wire.Operator{Kind: wire.TransferLeader}}, func(*wire.Response) {})
	return "away from " + leader.name
}

// leave lets a host leave in good order and, later, come back with the data it had.
func (n *nemesis) leave(r *prng.Rand) string {
	h := n.any(r)
	if h.state != hostUp || h.server && !n.w.expendable(h) {
		return ""
	}
	h.leaving = true
	epoch := h.epoch
	h.input(func() {
		h.node.Leave(func() {
			h.w.after(0, "left", h.index, func() {
				if h.epoch == epoch {
					h.crash("left")
				}
			})
		})
	})
	n.lasts(r, 2*second, 8*second, func() {
		if h.epoch == epoch {
			h.crash("left")
		}
		h.restart()
	})
	return h.name
}

// wipe takes a server's data away, but not its identity.
func (n *nemesis) wipe(r *prng.Rand) string {
	h := n.anyServer(r)
	if !n.w.expendable(h) {
		return ""
	}
	h.crash("wiped")
	n.w.checks.loses(h)
	h.disk = newDisk(h)
	n.lasts(r, 100*ms, 4*second, h.restart)
	return h.name
}

// replace puts a new server in the place of one that is gone for good.
func (n *nemesis) replace(r *prng.Rand) string {
	h := n.anyServer(r)
	if !n.w.expendable(h) {
		return ""
	}
	old := h.name
	h.crash("replaced")
	n.w.checks.loses(h)
	h.renew()
	n.lasts(r, 100*ms, 4*second, h.restart)
	return old + " by " + h.name
}

// expendable tells whether the cluster survives the loss of a server's disks, from what is on the other disks: a
// majority of the voters, without it, has all that was ever committed, and no change of the membership is under way.
func (w *World) expendable(h *Host) bool {
	leader := w.leader()
	if leader == nil || !h.server {
		return false
	}
	st, _ := leader.node.RaftStatus()
	if st.ConfigIndex > st.CommitIndex {
		return false
	}
	index, term := w.checks.completeness.Newest()
	have := 0
	for _, o := range w.hosts[:w.Options.Servers] {
		if o != h && st.Config.HasVoter(o.raftID()) && !o.doomed && !o.leaving && o.disk.synced.has(index, term) {
			have++
		}
	}
	return have > st.Config.Voters()/2
}
