package sim

import (
	"time"

	"concord/internal/prng"
	lin "concord/linearizability"
	"concord/node"
	"concord/raft"
	"concord/sim/trace"
)

const never = node.Never

// Report is what came of a run.
type Report struct {
	Options Options
	Hash    string // of the trace
	Stats   Stats
	History *lin.History
	Spans   []lin.Span
	Faults  []Fault  // that were to be made
	Begun   []string // operations, as Options.Operations names them
	Failure *Failure
}

// Err returns the failure as an error, nil if every property held.
func (r *Report) Err() error {
	if r.Failure == nil {
		return nil
	}
	return r.Failure
}

// Run runs one seed: first faults, then the healed cluster, which must come to rest. log, if not nil, is given a line for
// what happens.
func Run(o Options, log func(format string, args ...any)) Report {
	w := newWorld(o, log)
	defer w.close()
	for _, d := range w.worlds {
		d.boot()
	}
	w.runUntil(5 * time.Second)
	for _, d := range w.worlds {
		d.start()
	}
	w.nemesis.start()
	w.runUntil(w.now + o.Duration)
	if w.failure == nil {
		for _, d := range w.worlds {
			d.nemesis.stop()
		}
		w.converge()
		w.rest()
	}
	w.stats.Simulated = w.now
	for i := range w.spans {
		if w.spans[i].End < 0 {
			w.spans[i].End = w.now
		}
	}
	return Report{Spans: w.spans, Options: o, Hash: w.trace.String(), Stats: w.stats, History: w.shownHistory(),
		Faults: schedule(o, w.rng), Begun: w.begun, Failure: w.failure}
}

// start lets the clients begin.
func (w *World) start() {
	for _, c := range w.clients {
		c.start()
	}
	for _, x := range w.watchers {
		x.start()
	}
	w.herald.start()
	w.checks.beliefs()
}

// shownHistory is that of the datacenter in which something failed, or of the first one.
func (w *World) shownHistory() *lin.History {
	for _, d := range w.worlds {
		if d.unlinearizable {
			return d.history
		}
	}
	return w.history
}

// rest ends the clients, lets what is under way end, and looks at what was left.
func (w *World) rest() {
	for _, d := range w.worlds {
		for _, c := range d.clients {
			c.over = true
		}
		d.herald.over = true
	}
	for _, d := range w.worlds {
		d.announce()
	}
	for _, d := range w.worlds {
		d.rotate()
	}
	if w.failure == nil && w.Options.Seed%4 == 0 {
		w.drill()
	}
	if w.failure == nil {
		w.runUntil(w.now + 20*time.Second)
	}
	for _, d := range w.worlds {
		d.lookAtRest()
	}
}

// lookAtRest looks at a datacenter in which nothing happens any more.
func (w *World) lookAtRest() {
	if leader := w.leader(); w.failure == nil && leader == nil {
		w.fail("liveness", "nobody leads a cluster at rest")
	} else if w.failure == nil {
		// Nothing has changed for a while: who has not seen the last change was not woken by it.
		if stuck := w.watchersStuck(leader); stuck != "" {
			w.fail("watch", "a wake-up was missed: %s", stuck)
		}
	}
	if w.failure == nil {
		w.checkHistory()
	}
	if w.failure == nil {
		w.compareStates()
	}
}

func newWorld(o Options, log func(string, ...any)) *World {
	t := &Timeline{run: o, trace: trace.New(), log: log, byAddr: map[string]*Host{}}
	t.stats.Coverage = map[string]int{}
	w := newDatacenter(t, o, "dc1", prng.New(o.Seed))
	if o.Remote.Servers > 0 {
		t.connect(w, newDatacenter(t, o.remote(), "dc2", w.rng.Fork("dc2")))
	}
	return w
}

func newDatacenter(t *Timeline, o Options, name string, rng *prng.Rand) *World {
	w := &World{Timeline: t, Options: o, Datacenter: name, rng: rng, faults: o.Faults, history: &lin.History{}}
	w.base = len(t.all())
	t.worlds = append(t.worlds, w)
	w.checks = checkers{w: w, lost: map[raft.ID]mirror{}, placed: map[string]uint64{}, termStart: map[uint64]uint64{}}
	w.nemesis = &nemesis{w: w}
	w.herald, w.keys = newHerald(w), newKeyKeeper(w)
	if t.net == nil {
		t.net = newNetwork(w)
	}
	for i := range o.Servers + o.Agents {
		w.hosts = append(w.hosts, newHost(w, w.base+i, i < o.Servers))
	}
	for i := range o.Clients {
		w.clients = append(w.clients, newClient(w, o.firstClient+i))
	}
	for i := range o.Watchers {
		w.watchers = append(w.watchers, newWatcher(w, i))
	}
	return w
}

func (w *World) boot() {
	r := w.rng.Fork("boot")
	for _, h := range w.hosts {
		w.after(r.Duration(0, 500*time.Millisecond), "boot", h.index, h.restart)
	}
}

// close frees what the hosts hold.
func (w *Timeline) close() {
	for _, h := range w.all() {
		if h.state != hostDown {
			h.disk.crash()
		}
	}
}

// all lists the hosts of all datacenters.
func (w *Timeline) all() (hosts []*Host) {
	for _, d := range w.worlds {
		hosts = append(hosts, d.hosts...)
	}
	return hosts
}

// searchTimeout bounds each search for a linearization, in real time; one that takes longer fails the run.
const searchTimeout = 20 * time.Second

func (w *World) checkHistory() {
	ops := w.history.Ops()
	placed := func(value string) uint64 { return w.checks.placed[value] }
	err := lin.Witness(ops, placed)
	if err == nil {
		err = lin.WitnessStale(ops, w.stale, placed)
	}
	if err == nil {
		err = lin.Gated(lin.Place(ops, placed), searchTimeout)
	}
	if err == nil {
		err = lin.BlackBox(ops, 100, searchTimeout)
	}
	if err != nil {
		w.unlinearizable = true
		w.fail("linearizability", "%v", err)
	}
}
