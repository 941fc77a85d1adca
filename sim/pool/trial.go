package pool

import (
	"fmt"
	"time"

	"concord/gossip"
	"concord/internal/prng"
	own "concord/sim/pool/invariants"
	"concord/swim"
)

// Trial is a run of one seed: a pool under random faults, which then heals and has to keep what is promised of a pool
// in peace.
type Trial struct {
	w       *World
	rng     *prng.Rand
	checks  *checks
	bounds  own.Bounds
	met     map[string]int
	seeds   []*Host
	hostile *hostile // nil: nobody is
	fired   int      // user events
}

// trialKey encrypts the pools of some trials.
const trialKey = "c2ltdWxhdGVkIHBvb2xzIQ=="

// longMemory is for how long failed members are remembered in some trials.
const longMemory = 20 * time.Minute

// Report is what came of a trial.
type Report struct {
	Seed      uint64
	Hostile   bool
	Hash      string // of all that happened
	Hosts     int
	Simulated time.Duration
	Events    uint64
	Mistakes  int            // members taken for dead that ran, under faults
	Met       map[string]int // how often each fault and phase was met
	Failure   *Failure
}

// Err returns the failure, with the command that brings it about again; nil if all promises were kept.
func (r *Report) Err() error {
	if r.Failure == nil {
		return nil
	}
	mode := ""
	if r.Hostile {
		mode = "-hostile "
	}
	return fmt.Errorf("%s violated at %v of seed %d: %w\nreplay: go run ./cmd/sim gossip %s-seed=%d", r.Failure.Checker,
		r.Failure.At, r.Seed, r.Failure.Err, mode, r.Seed)
}

// Run runs a seed. log may be nil.
func Run(seed uint64, log func(format string, args ...any)) Report {
	t := newTrial(seed, log)
	return t.run(append([]func(){t.form, t.chaos, t.converge}, t.peace()...))
}

// run runs the phases until one fails.
func (t *Trial) run(phases []func()) (r Report) {
	defer func() {
		// An assertion of the core that fails is a finding like any other.
		if p := recover(); p != nil {
			t.checks.fail("core", fmt.Errorf("%v", p))
		}
		r = Report{Seed: t.w.Seed, Hostile: t.hostile != nil, Hash: t.w.Hash(), Hosts: len(t.w.Hosts), Simulated: t.w.now, Events: t.w.sent.Events,
			Mistakes: t.checks.accuracy.Mistakes, Met: t.met, Failure: t.checks.failure}
	}()
	for _, phase := range phases {
		if phase(); t.checks.failure != nil {
			break
		}
	}
	return r
}

func newTrial(seed uint64, log func(format string, args ...any)) *Trial {
	rng := prng.New(seed).Fork("trial")
	o := Options{Seed: seed, Hosts: 3 + rng.IntN(18), Swim: swim.LAN(), Net: Network{Latency: time.Millisecond}, Share: rng.Chance(1, 2)}
	if rng.Chance(1, 3) {
		o.Swim = swim.Fast()
	}
	o.Swim.ReconnectInterval = 10 * time.Second
	o.Swim.ReconnectTimeout = rng.Duration(45*time.Second, 90*time.Second)
	if rng.Chance(1, 4) {
		o.Swim.ReconnectTimeout = longMemory // so that the parts of a pool remember one another for longer than a partition lasts
	}
	o.Swim.TombstoneTimeout = rng.Duration(30*time.Second, 90*time.Second)
	o.Swim.GossipToTheDead = 15 * time.Second
	if rng.Chance(1, 4) {
		o.Key = trialKey
	}
	c := newChecks(o.Swim, o.Hosts)
	t := &Trial{rng: rng, checks: c, bounds: own.Bounds{Swim: o.Swim, N: o.Hosts}, met: map[string]int{}}
	t.w = New(o, c, log)
	c.w = t.w
	t.seeds = t.w.Hosts[:min(3, o.Hosts)]
	t.seed(t.seeds)
	return t
}

// seed tells all hosts whom to join.
func (t *Trial) seed(seeds []*Host) {
	for _, h := range t.w.Hosts {
		h.Seeds = seeds
	}
}

func (t *Trial) any() *Host { return t.w.Hosts[t.rng.IntN(len(t.w.Hosts))] }

func (t *Trial) start(h *Host) {
	t.checks.resurrection.Started(h.name)
	h.Start()
}

// forget takes away a host's disk.
func (t *Trial) forget(h *Host, wipe bool) {
	h.Forget(wipe)
	t.checks.events.Lost(h.name)
	t.checks.incarnations.Lost(h.name)
}

// fire lets a host fire a user event, and returns which.
func (t *Trial) fire(h *Host) string {
	if !h.Up() {
		return ""
	}
	t.fired++
	event := fmt.Sprintf("%s/%d", h.name, t.fired)
	h.Do(func(p *gossip.Pool, now time.Duration) {
		if err := p.FireEvent(now, "trial", []byte(event), false); err != nil {
			t.checks.fail("events", fmt.Errorf("%s cannot fire an event: %w", h.name, err))
		}
	})
	return event
}

func (t *Trial) form() {
	for _, h := range t.w.Hosts {
		t.start(h)
		t.w.Run(t.rng.Duration(0, time.Second))
	}
}

// chaos makes faults, one after the other.
func (t *Trial) chaos() {
	n := &nemesis{t: t, rng: t.rng.Fork("nemesis"), met: t.met}
	chosen := choose(n.rng)
	for range 10 + n.rng.IntN(30) {
		f := chosen[n.rng.IntN(len(chosen))]
		h := t.w.Hosts[n.rng.IntN(len(t.w.Hosts))]
		n.mark(f.name)
		t.w.logf("it hits %s", h.name)
		f.do(n, h)
		t.w.Run(n.rng.Duration(0, 15*time.Second))
		if t.checks.failure != nil {
			return
		}
	}
	t.heal(n)
}

// heal ends all faults and starts all members.
func (t *Trial) heal(n *nemesis) {
	t.w.logf("healed")
	t.w.Mend()
	t.w.Net = Network{Latency: time.Millisecond}
	for _, h := range t.w.Hosts {
		h.Slow(0)
		h.held, h.muted = min(h.held, t.w.now), min(h.muted, t.w.now)
		if h.Up() {
			h.resume(h.life)
		}
		n.restart(h)
	}
}

// agree waits until all believe what is true.
func (t *Trial) agree(checker string, within time.Duration, of string) {
	var stuck string
	took, ok := t.w.Until(within, 500*time.Millisecond, func() bool {
		stuck = t.w.disagreement()
		return stuck == "" || t.checks.failure != nil
	})
	if !ok {
		t.checks.fail(checker, fmt.Errorf("%v after %s: %s", took, of, stuck))
	}
	t.w.logf("all agree %v after %s", took, of)
}

func (t *Trial) converge() {
	t.agree("convergence", t.bounds.Convergence(seedsEvery, len(t.seeds)), "the last fault")
}
