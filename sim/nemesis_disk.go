package sim

import (
	"fmt"

	"concord/internal/prng"
	lin "concord/linearizability"
)

// The faults of disks and clocks.

func (n *nemesis) diskStall(r *prng.Rand) string {
	h := n.anyServer(r)
	h.disk.stalled = n.w.now + r.Duration(100*ms, 2*second)
	n.heal = append(n.heal, func() { h.disk.stalled = 0 })
	n.w.spans = append(n.w.spans, lin.Span{Lane: h.name + " disk", Kind: "stall", Text: "stalled", Start: n.w.now, End: h.disk.stalled})
	return fmt.Sprintf("%s until %v", h.name, h.disk.stalled)
}

func (n *nemesis) diskSlow(r *prng.Rand) string {
	h := n.anyServer(r)
	d := h.disk
	by := r.Duration(5*ms, 150*ms)
	d.slow += by
	end := n.w.span(h.name+" disk", "stall", "slow")
	n.lasts(r, 500*ms, 4*second, func() { d.slow -= by; end() })
	return fmt.Sprintf("%s by %v", h.name, by)
}

// diskFull makes writes fail for a while: the server stops, and cannot write after it was started again either.
func (n *nemesis) diskFull(r *prng.Rand) string {
	h := n.anyServer(r)
	d := h.disk
	d.full++
	end := n.w.span(h.name+" disk", "full", "full")
	n.lasts(r, 500*ms, 4*second, func() { d.full--; end() })
	return h.name
}

// fsyncFail lets one write fail. How much of it is on the disk nobody knows.
func (n *nemesis) fsyncFail(r *prng.Rand) string {
	h := n.anyServer(r)
	d := h.disk
	d.failing = true
	n.heal = append(n.heal, func() { d.failing = false })
	return h.name
}

// corrupt changes a byte on the disk of a server that is down. It must notice, or not need what was there.
func (n *nemesis) corrupt(r *prng.Rand) string {
	h := n.anyServer(r)
	if !n.w.expendable(h) {
		return ""
	}
	h.crash("corrupted")
	n.w.checks.loses(h)
	what, err := h.disk.logs.corrupt(r)
	if err != nil {
		n.w.fail("storage", "%s: %v", h.name, err)
	}
	h.doomed = true
	n.lasts(r, 50*ms, 2*second, h.restart)
	return h.name + ": " + what
}

// clockRate lets a clock run far faster or slower than leases allow for.
func (n *nemesis) clockRate(r *prng.Rand) string {
	h := n.any(r)
	rate := int64(500 + r.IntN(1000))
	h.setClock(rate, 0)
	h.beginSpan("clock", fmt.Sprintf("clock at %d per mille", rate))
	n.lasts(r, 500*ms, 5*second, func() { h.setClock(h.drift, 0); h.endSpan("clock") })
	return fmt.Sprintf("%s at %d per mille", h.name, rate)
}

func (n *nemesis) clockJump(r *prng.Rand) string {
	h := n.any(r)
	by := r.Duration(20*ms, 3*second)
	h.setClock(h.clock.rate, by)
	return fmt.Sprintf("%s by %v", h.name, by)
}

func (n *nemesis) clockFreeze(r *prng.Rand) string {
	h := n.any(r)
	h.setClock(0, 0)
	h.beginSpan("clock", "clock stands still")
	n.lasts(r, 50*ms, 2*second, func() { h.setClock(h.drift, 0); h.endSpan("clock") })
	return h.name
}
