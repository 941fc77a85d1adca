package sim

import (
	"fmt"
	"time"

	"concord/internal/prng"
	lin "concord/linearizability"
	"concord/node"
	"concord/swim"
)

const never = node.Never

// Report is what came of a run.
type Report struct {
	Options Options
	Hash    string // of the trace
	Stats   Stats
	History *lin.History
	Spans   []lin.Span
	Err     error // nil: every property held
}

// Run runs one seed. log, if not nil, is given a line for what happens.
func Run(o Options, log func(format string, args ...any)) Report {
	w := newWorld(o, log)
	n := &nemesis{w: w}
	w.boot()
	w.runUntil(5 * time.Second)
	for _, c := range w.clients {
		c.start()
	}
	n.start()
	w.runUntil(w.now + o.Duration)
	if w.failure == nil {
		n.stop()
		w.converge()
	}
	for _, c := range w.clients {
		c.over = true
	}
	if w.failure == nil {
		w.runUntil(w.now + 20*time.Second) // lets what is under way end
		w.checkHistory()
	}
	w.stats.Simulated = w.now
	for i := range w.spans {
		if w.spans[i].End < 0 {
			w.spans[i].End = w.now
		}
	}
	return Report{Spans: w.spans, Options: o, Hash: fmt.Sprintf("%x", w.trace.Sum(nil)), Stats: w.stats, History: w.history, Err: w.failure}
}

func newWorld(o Options, log func(string, ...any)) *World {
	w := &World{Options: o, trace: newTrace(), log: log, rng: prng.New(o.Seed), byAddr: map[string]*Host{}, faults: o.Faults,
		history: &lin.History{}}
	w.stats.Faults = map[string]int{}
	w.checks = checkers{w: w, placed: map[string]uint64{}}
	w.net = newNetwork(w)
	for i := range o.Servers + o.Agents {
		w.hosts = append(w.hosts, newHost(w, i, i < o.Servers))
	}
	for i := range o.Clients {
		w.clients = append(w.clients, newClient(w, i))
	}
	return w
}

func (w *World) boot() {
	r := w.rng.Fork("boot")
	for _, h := range w.hosts {
		w.after(r.Duration(0, 500*time.Millisecond), "boot", h.index, h.boot)
	}
}

// converge lets a healed cluster come to rest: a leader that all know, a write at every agent, and gossip that
// sees everybody alive. It fails if that takes longer than Options.Settle.
func (w *World) converge() {
	end := w.now + w.Options.Settle
	for w.failure == nil {
		stuck := w.stuck()
		if stuck == "" {
			w.logf("converged")
			return
		}
		if w.now >= end {
			w.fail("liveness", "not converged %v after the last fault: %s", w.Options.Settle, stuck)
			return
		}
		w.runUntil(w.now + 500*time.Millisecond)
	}
}

// stuck names what has not converged yet, "" if everything has.
func (w *World) stuck() string {
	leader := w.leader()
	if leader == nil {
		return "nobody leads"
	}
	want, _ := leader.node.RaftStatus()
	for _, h := range w.hosts {
		if h.state != hostUp {
			return h.name + " does not run"
		}
		for _, m := range h.node.Members() {
			if m.State != swim.StateAlive {
				return fmt.Sprintf("%s takes %s for %v", h.name, m.Name, m.State)
			}
		}
		if n := len(h.node.Members()); n != len(w.hosts) {
			return fmt.Sprintf("%s knows %d of %d members", h.name, n, len(w.hosts))
		}
		if !h.server {
			continue
		}
		st, _ := h.node.RaftStatus()
		if st.Leader != want.ID {
			return fmt.Sprintf("%s does not follow %s", h.name, leader.name)
		}
		if st.CommitIndex < want.CommitIndex-min(want.CommitIndex, 50) {
			return fmt.Sprintf("%s has come to %d of %d", h.name, st.CommitIndex, want.CommitIndex)
		}
	}
	if len(want.Config.Servers) != w.Options.Servers {
		return fmt.Sprintf("the configuration has %d of %d servers", len(want.Config.Servers), w.Options.Servers)
	}
	return ""
}

// searchTimeout bounds each search for a linearization, in real time; one that takes longer fails the run.
const searchTimeout = 20 * time.Second

func (w *World) checkHistory() {
	ops := w.history.Ops()
	placed := func(value string) uint64 { return w.checks.placed[value] }
	err := lin.Witness(ops, placed)
	if err == nil {
		err = lin.Gated(lin.Place(ops, placed), searchTimeout)
	}
	if err == nil {
		err = lin.BlackBox(ops, 100, searchTimeout)
	}
	if err != nil {
		w.fail("linearizability", "%v", err)
	}
}
