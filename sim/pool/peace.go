package pool

import (
	"fmt"
	"slices"
	"time"

	"concord/gossip"
	"concord/internal/tick"
	own "concord/sim/pool/invariants"
	"concord/swim"
)

// peace returns what a healed pool is put to, one thing after the other. From its first phase on nobody who is well may be
// taken for dead.
func (t *Trial) peace() []func() {
	return []func(){t.quiet, t.events, t.brokenLink, t.slowness, t.reunion, t.failure, t.lostRestart, t.slander, t.departure, t.forgetting}
}

// quiet lets those recover that were slow, and then nothing may happen any more: members are probed in rounds, and tell one
// another nothing else.
func (t *Trial) quiet() {
	cfg, n := &t.bounds.Swim, len(t.w.Hosts)
	t.w.Run(cfg.ProbeInterval*30 + own.MaxTimeout(cfg, n))
	t.agree("convergence", t.bounds.Spread(), "its relapse")
	t.calm()
	t.checks.rounds = &own.Rounds{N: n}
	before := t.w.sent
	lasts := max(time.Minute, 5*time.Duration(n)*cfg.ProbeInterval)
	t.w.Run(lasts)
	t.checks.rounds = nil
	t.settled("a quiet minute")
	// A ping and an ack in each period, and what is sent to compare states.
	sent := t.w.sent.Minus(before)
	if most := 2*lasts/cfg.ProbeInterval + 2*lasts/cfg.PushPullInterval + 10; sent.Datagrams > uint64(most)*uint64(n) {
		t.checks.fail("rest", fmt.Errorf("%d members at rest sent %d datagrams in %v; %d each are the most", n, sent.Datagrams, lasts, most))
	}
	for _, h := range t.w.Hosts {
		if s := h.Pool.Stats(); s.Queued > 0 || s.Health > 0 {
			t.checks.fail("rest", fmt.Errorf("%s has %d updates to tell, and a health score of %d, after %v in which nothing happened", h.name, s.Queued, s.Health, lasts))
		}
	}
}

// events fires a few user events: each member handles each of them, once.
func (t *Trial) events() {
	var fired []string
	for range 1 + t.rng.IntN(20) {
		fired = append(fired, t.fire(t.any()))
		t.w.Run(t.rng.Duration(0, 100*time.Millisecond))
	}
	missed := ""
	_, ok := t.w.Until(t.bounds.Spread(), 100*time.Millisecond, func() bool {
		missed = t.missed(fired)
		return missed == ""
	})
	if !ok {
		t.checks.fail("events", fmt.Errorf("%v after the last of %d events, %s", t.bounds.Spread(), len(fired), missed))
	}
}

// missed names a member that has not handled all events.
func (t *Trial) missed(fired []string) string {
	for _, h := range t.w.Hosts {
		for _, e := range fired {
			if h.Up() && t.checks.events.Missed(h.name, e) {
				return fmt.Sprintf("%s has not handled %s", h.name, e)
			}
		}
	}
	return ""
}

// calm begins the time in which nobody who is well may be taken for dead.
func (t *Trial) calm() { t.checks.accuracy.CalmSince = t.w.now }

// settled checks that all still agree.
func (t *Trial) settled(after string) {
	if stuck := t.w.disagreement(); stuck != "" {
		t.checks.fail("convergence", fmt.Errorf("after %s: %s", after, stuck))
	}
}

// brokenLink cuts two members off from one another, and from nobody else: the others' probes show that both are well
// (SWIM section 3.1), so that neither is suspected.
func (t *Trial) brokenLink() {
	a, b := t.any(), t.any()
	if a == b {
		return
	}
	a.Group, b.Group = 1, 2
	t.w.Cut(1, 2)
	t.w.Cut(2, 1)
	before := t.suspicions()
	t.w.Run(3 * time.Duration(len(t.w.Hosts)) * t.w.Swim.ProbeInterval)
	if after := t.suspicions(); after != before {
		t.checks.fail("indirect probes", fmt.Errorf("%d suspicions because %s and %s cannot reach one another; all others reach both", after-before, a.name, b.name))
	}
	t.w.Mend()
	t.w.Run(10 * time.Second)
	t.settled("a broken link")
}

func (t *Trial) suspicions() (n uint64) {
	for _, h := range t.w.Hosts {
		if h.Up() {
			n += h.Pool.Stats().Suspicions
		}
	}
	return n
}

// slowness keeps a member from sending and receiving for some periods: it doubts itself, probes more slowly and takes nobody
// for dead (Lifeguard section IV-A).
func (t *Trial) slowness() {
	h, cfg := t.any(), &t.bounds.Swim
	const periods = 16
	t.w.Run(time.Duration(periods) * cfg.ProbeInterval)
	probes, deaths := h.Pool.Stats().Probes, h.Pool.Stats().Deaths
	t.checks.accuracy.CalmSince = tick.Never
	h.Mute(periods * cfg.ProbeInterval)
	t.w.Run(periods * cfg.ProbeInterval)
	s := h.Pool.Stats()
	if made := s.Probes - probes; made > periods/2 {
		t.checks.fail("local health", fmt.Errorf("%s, which heard of nobody for %d periods, made %d probes in them", h.name, periods, made))
	}
	if s.Deaths > deaths && t.bounds.Confirmed() {
		t.checks.fail("local health", fmt.Errorf("%s, which heard of nobody for %d periods, takes %d others for dead", h.name, periods, s.Deaths-deaths))
	}
	t.agree("refutation", t.bounds.Completeness(), h.name+" was cut off for a while")
	t.recover()
}

// recover waits until all are as quick as before, and sure of each other.
func (t *Trial) recover() {
	t.w.Run(30*t.w.Swim.ProbeInterval + own.MaxTimeout(&t.bounds.Swim, t.bounds.N))
	t.agree("convergence", t.bounds.Spread(), "its relapse")
	t.calm()
}

// reunion splits the pool until both parts take the other one for dead, and a little longer. When they meet, each member
// hears that it is dead; it gets the time to refute before anybody in its own part believes that. Where members are forgotten
// early, the parts forget one another as well, and meet without a word from their seeds.
func (t *Trial) reunion() {
	w := t.w
	if len(w.Hosts) < 4 {
		return
	}
	t.checks.accuracy.CalmSince = tick.Never
	for i, h := range w.Hosts {
		h.Group = i % 2
	}
	w.Cut(0, 1)
	w.Cut(1, 0)
	// They find out in time, and the news have been told.
	w.Run(t.bounds.Detection() + 2*w.Swim.GossipToTheDead)
	within := t.bounds.Convergence(seedsEvery, len(t.seeds))
	if w.Swim.ReconnectTimeout < longMemory {
		w.Run(w.Swim.ReconnectTimeout)
		t.seed(nil)
		// All members of a part together ask about one exile in each interval.
		within += 30 * w.Swim.ReconnectInterval
	}
	w.Mend()
	t.calm()
	t.agree("convergence", within, "a partition")
	t.seed(t.seeds)
	t.recover()
}

// failure kills a member: all know it in time. Nobody blames itself, for the others say that they got no answer either
// (Lifeguard section IV-A).
func (t *Trial) failure() {
	h := t.any()
	h.Crash()
	began := t.w.now
	var blamed string
	var suspected, known time.Duration
	_, ok := t.w.Until(t.bounds.Completeness(), 100*time.Millisecond, func() bool {
		for _, o := range t.w.Hosts {
			if o.Up() && o.Pool.Stats().Health > 0 {
				blamed = fmt.Sprintf("%s has a health score of %d", o.name, o.Pool.Stats().Health)
			}
			suspected = t.firstToTake(suspected, o, h, swim.StateSuspect)
			known = t.firstToTake(known, o, h, swim.StateDead)
		}
		return t.w.disagreement() == ""
	})
	if !ok {
		t.checks.fail("completeness", fmt.Errorf("%v after %s crashed: %s", t.bounds.Completeness(), h.name, t.w.disagreement()))
	}
	t.w.logf("%s was suspected %v after it crashed, and taken for dead after %v", h.name, suspected-began, known-began)
	if took := known - suspected; took > t.bounds.Doubt() {
		t.checks.fail("completeness", fmt.Errorf("%s was taken for dead %v after it was suspected, in spite of all who confirmed that: %v is the most", h.name, took, t.bounds.Doubt()))
	}
	if blamed != "" && len(t.w.Hosts) > 3 {
		t.checks.fail("local health", fmt.Errorf("%s, because %s crashed; all others answer", blamed, h.name))
	}
	t.checks.resurrection.Agreed(h.name)
	t.newcomer(h)
	t.w.Run(t.rng.Duration(0, 20*time.Second))
}

// firstToTake returns the time since when somebody takes h for what is asked: at, if it is set, or now if o does.
func (t *Trial) firstToTake(at time.Duration, o, h *Host, s swim.State) time.Duration {
	if at != 0 || !o.Up() {
		return at
	}
	if m, ok := o.Pool.Member(h.name); ok && m.State == s {
		return t.w.now
	}
	return 0
}

// newcomer starts another member again: it learns who has failed, from whom it joins.
func (t *Trial) newcomer(dead *Host) {
	h := t.any()
	if !h.Up() {
		return
	}
	t.checks.accuracy.CalmSince = tick.Never // whoever had begun to suspect it may be the last to hear that it is back
	h.Crash()
	t.w.Run(time.Second)
	t.start(h)
	t.agree("convergence", t.bounds.Spread(), h.name+" was started again")
	t.w.Run(own.MaxTimeout(&t.bounds.Swim, t.bounds.N))
	t.calm()
	if m, known := h.Pool.Member(dead.name); !known || m.State != swim.StateDead {
		t.checks.fail("convergence", fmt.Errorf("%s, which was started again, does not know that %s has failed", h.name, dead.name))
	}
}

// lostRestart starts it again with its incarnation lost, maybe elsewhere: all believe that.
func (t *Trial) lostRestart() {
	h := t.w.Hosts[slices.IndexFunc(t.w.Hosts, func(h *Host) bool { return !h.Up() })]
	t.forget(h, t.rng.Chance(1, 4))
	if t.rng.Chance(1, 2) {
		h.Move()
	}
	t.start(h)
	t.agree("convergence", t.bounds.Spread(), h.name+" was started again without its incarnation")
	t.settled("a restart")
}

// slander lets one member hear a false suspicion of another, as from a third: who is accused refutes, and nobody takes
// it for dead (accuracy).
func (t *Trial) slander() {
	victim, at := t.any(), t.any()
	if victim == at {
		return
	}
	lie, known := at.Pool.Member(victim.name)
	if !known {
		return
	}
	lie.State, lie.From, lie.Tags = swim.StateSuspect, at.name, nil
	before := victim.Pool.Local().Incarnation
	at.Do(func(p *gossip.Pool, now time.Duration) {
		p.HandlePacket(now, swim.Packet{Addr: at.addr, Message: swim.Message{Type: swim.MsgGossip, From: at.name}, Updates: []*swim.Update{&lie.Update}})
	})
	_, ok := t.w.Until(own.MinTimeout(&t.bounds.Swim, t.bounds.N), 100*time.Millisecond, func() bool { return victim.Pool.Local().Incarnation > before })
	if !ok {
		t.checks.fail("refutation", fmt.Errorf("%s does not refute that it is suspected", victim.name))
	}
	t.agree("refutation", t.bounds.Spread(), "a false suspicion of "+victim.name)
	t.w.Run(own.MaxTimeout(&t.bounds.Swim, t.bounds.N))
	t.settled("a false suspicion")
}

// departure lets a member leave: all know it, as a departure.
func (t *Trial) departure() {
	h := t.any()
	h.Do(func(p *gossip.Pool, now time.Duration) { p.Leave(now) })
	if _, ok := t.w.Until(t.w.Swim.LeaveTimeout, 10*time.Millisecond, func() bool { return h.left }); !ok {
		t.checks.fail("departure", fmt.Errorf("%s has not left after %v", h.name, t.w.Swim.LeaveTimeout))
	}
	h.Crash()
	t.agree("completeness", t.bounds.Spread(), h.name+" left")
	for _, o := range t.w.Hosts {
		if !o.Up() {
			continue
		}
		if m, known := o.Pool.Member(h.name); known && m.State != swim.StateLeft {
			t.checks.fail("departure", fmt.Errorf("%s takes %s for %v, which left", o.name, h.name, m.State))
		}
	}
	t.checks.resurrection.Agreed(h.name)
}

// forgetting lets another one crash as well and waits until both are forgotten, by all and for good.
func (t *Trial) forgetting() {
	h := t.w.Hosts[slices.IndexFunc(t.w.Hosts, (*Host).Up)]
	h.Crash()
	t.agree("completeness", t.bounds.Completeness(), h.name+" crashed")
	t.checks.resurrection.Agreed(h.name)
	end := t.w.now + max(t.w.Swim.ReconnectTimeout, t.w.Swim.TombstoneTimeout) + time.Minute
	for t.w.now < end && t.checks.failure == nil {
		t.w.Run(time.Second)
		t.checks.remembered()
	}
}
