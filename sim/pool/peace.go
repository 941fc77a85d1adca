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
	return []func(){t.quiet, t.brokenLink, t.slowness, t.reunion, t.failure, t.lostRestart, t.slander, t.departure, t.forgetting}
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
// hears that it is dead; it gets the time to refute before anybody in its own part believes that.
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
	w.Mend()
	t.calm()
	t.agree("convergence", t.bounds.Convergence(seedsEvery, 3), "a partition")
	t.recover()
}

// failure kills a member: all know it in time. Nobody blames itself, for the others say that they got no answer either.
func (t *Trial) failure() {
	h := t.any()
	h.Crash()
	t.agree("completeness", t.bounds.Completeness(), h.name+" crashed")
	t.checks.resurrection.Agreed(h.name)
	for _, o := range t.w.Hosts {
		if o.Up() && len(t.w.Hosts) > 3 && o.Pool.Stats().Health > 0 {
			t.checks.fail("local health", fmt.Errorf("%s has a health score of %d because %s crashed; all others answer", o.name, o.Pool.Stats().Health, h.name))
		}
	}
	t.newcomer(h)
	t.w.Run(t.rng.Duration(0, 20*time.Second))
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
	h.Forget(t.rng.Chance(1, 4))
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
	t.w.Run(t.w.Swim.LeaveTimeout + time.Second)
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
