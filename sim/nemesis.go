package sim

import (
	"time"

	"concord/internal/prng"
	"concord/raft"
)

// nemesis makes the faults of a schedule, and repairs what is broken when they are over.
type nemesis struct {
	w    *World
	heal []func()
	over bool
}

const (
	ms     = time.Millisecond
	second = time.Second
)

// faultKinds are all kinds of faults, in the order in which the swarm draws them.
var faultKinds = []faultKind{
	{"partition", 2 * second, 8 * second, (*nemesis).partition},
	{"isolate-leader", 3 * second, 8 * second, (*nemesis).isolateLeader},
	{"one-way", 2 * second, 8 * second, (*nemesis).oneWay},
	{"bridge", 4 * second, 10 * second, (*nemesis).bridge},
	{"ring", 4 * second, 10 * second, (*nemesis).ring},
	{"swizzle", 5 * second, 12 * second, (*nemesis).swizzle},
	{"flap", 3 * second, 9 * second, (*nemesis).flap},
	{"slow-link", 2 * second, 8 * second, (*nemesis).slowLink},
	{"drop-type", 2 * second, 8 * second, (*nemesis).dropType},
	{"reset", 1 * second, 5 * second, (*nemesis).reset},
	{"false-alarm", 2 * second, 6 * second, (*nemesis).falseAlarm},
	{"crash", 1 * second, 6 * second, (*nemesis).crash},
	{"crash-leader", 3 * second, 8 * second, (*nemesis).crashLeader},
	{"crash-writing", 2 * second, 6 * second, (*nemesis).crashWriting},
	{"power-loss", 6 * second, 15 * second, (*nemesis).powerLoss},
	{"pause", 2 * second, 8 * second, (*nemesis).pause},
	{"slow-cpu", 3 * second, 9 * second, (*nemesis).slowCPU},
	{"disk-stall", 1 * second, 6 * second, (*nemesis).diskStall},
	{"disk-slow", 3 * second, 9 * second, (*nemesis).diskSlow},
	{"disk-full", 4 * second, 12 * second, (*nemesis).diskFull},
	{"fsync-fail", 3 * second, 10 * second, (*nemesis).fsyncFail},
	{"disk-corrupt", 5 * second, 15 * second, (*nemesis).corrupt},
	{"clock-rate", 3 * second, 9 * second, (*nemesis).clockRate},
	{"clock-jump", 3 * second, 9 * second, (*nemesis).clockJump},
	{"clock-freeze", 4 * second, 10 * second, (*nemesis).clockFreeze},
	{"transfer", 2 * second, 6 * second, (*nemesis).transfer},
	{"leave", 6 * second, 15 * second, (*nemesis).leave},
	{"wipe", 5 * second, 15 * second, (*nemesis).wipe},
	{"replace", 6 * second, 15 * second, (*nemesis).replace},
	{"rotate-key", 500 * ms, 3 * second, (*nemesis).rotateKey},
	{"stranger", 200 * ms, 2 * second, (*nemesis).stranger},
}

// start lets the faults begin.
func (n *nemesis) start() {
	began := n.w.now
	for _, f := range schedule(n.w.Options, n.w.rng) {
		k := kindOf(f.Kind)
		if k == nil {
			n.w.fail("schedule", "unknown kind of fault %q", f.Kind)
			return
		}
		n.w.at(began+f.At, f.Kind, -1, func() {
			if did := k.make(n.hit(f), n.w.rng.Fork(f.label())); did != "" {
				n.w.cover("fault: " + f.Kind)
				n.w.logf("%s: %s", f.label(), did)
			}
		})
	}
}

// hit is the nemesis of the datacenter that a fault is made in: drawn, where there are two.
func (n *nemesis) hit(f Fault) *nemesis {
	if len(n.w.worlds) == 1 {
		return n
	}
	return n.w.worlds[n.w.rng.Fork(f.label()+"/datacenter").IntN(len(n.w.worlds))].nemesis
}

// stop ends the faults and repairs everything.
func (n *nemesis) stop() {
	for _, f := range n.heal {
		f()
	}
	n.heal, n.over = nil, true
	f := &n.w.faults
	f.LossPercent, f.ReorderPercent, f.DupPercent, f.HeavyTail, f.FaultPoints = 0, 0, 0, false, 0
	for _, h := range n.w.hosts {
		h.restart()
		if h.state == hostPaused {
			h.resume()
		}
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

// victim is any host or, in one of three cases, the leader.
func (n *nemesis) victim(r *prng.Rand) *Host {
	h := n.any(r)
	if r.Chance(1, 3) {
		if leader := n.w.leader(); leader != nil {
			h = leader
		}
	}
	return h
}

// server is the host with the given ID, nil if there is none.
func (w *World) server(id raft.ID) *Host {
	for _, h := range w.hosts[:w.Options.Servers] {
		if h.raftID() == id {
			return h
		}
	}
	return nil
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
