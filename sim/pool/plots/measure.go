package plots

import (
	"fmt"
	"slices"
	"time"

	"concord/gossip"
	"concord/internal/prng"
	"concord/sim/pool"
	"concord/swim"
)

// losses are the shares of lost datagrams, in percent, under which everything is measured.
var losses = []uint64{0, 5, 15, 30}

// lab is a pool in which something is measured.
type lab struct {
	w      *pool.World
	rng    *prng.Rand
	period time.Duration

	target    *pool.Host // of whom news are awaited
	event     swim.EventType
	began     time.Duration
	suspected time.Duration   // after which somebody suspected the target; 0: nobody has
	heard     []time.Duration // after which each member had the event

	slow  map[*pool.Host]bool
	wrong deaths
}

// deaths counts how often a member took another one for dead that was well.
type deaths struct{ all, atHealthy int }

func newLab(seed uint64, n int, cfg swim.Config) (*lab, error) {
	l := &lab{rng: prng.New(seed).Fork("lab"), period: cfg.ProbeInterval, slow: map[*pool.Host]bool{}}
	l.w = pool.New(pool.Options{Seed: seed, Hosts: n, Swim: cfg, Net: pool.Network{Latency: time.Millisecond}, Share: true}, l, nil)
	if err := l.w.Regather(10 * time.Minute); err != nil {
		return nil, err
	}
	return l, nil
}

// Did notes who learns what is awaited, and who takes a member for dead that runs.
func (l *lab) Did(h *pool.Host, out *gossip.Output) {
	if l.target != nil && l.suspected == 0 && l.event == swim.EventFailed {
		if m, ok := h.Pool.Member(l.target.Name()); ok && m.State == swim.StateSuspect {
			l.suspected = l.w.Now() - l.began
		}
	}
	if out == nil {
		return
	}
	for i := range out.Events {
		e := &out.Events[i]
		if l.target != nil && e.Member.Name == l.target.Name() && e.Type == l.event && h != l.target {
			l.heard = append(l.heard, l.w.Now()-l.began)
		}
		if about := l.w.Host(e.Member.Name); e.Type == swim.EventFailed && about.Up() {
			l.mistaken(h, about)
		}
	}
}

// mistaken counts a false death. That of a member which cannot be reached is none.
func (l *lab) mistaken(by, about *pool.Host) {
	if l.slow[about] {
		return
	}
	l.wrong.all++
	if !l.slow[by] {
		l.wrong.atHealthy++
	}
}

// Died has nothing to note.
func (l *lab) Died(*pool.Host) {}

func (l *lab) any() *pool.Host {
	for {
		if h := l.w.Hosts[l.rng.IntN(len(l.w.Hosts))]; h.Up() {
			return h
		}
	}
}

func (l *lab) watch(h *pool.Host, e swim.EventType) {
	l.target, l.event, l.began, l.suspected = h, e, l.w.Now(), 0
	l.heard = l.heard[:0]
}

// patience is for how long it is waited until all know, in virtual time.
const patience = 90 * time.Second

// wait lets time pass until all others know what is awaited, and tells whether they do. Most hear it as an event; who took the
// target for dead by mistake hears of it in another way, and is asked now and then.
func (l *lab) wait(knows func(swim.Member) bool) bool {
	others := len(l.w.Hosts) - 1
	polls := 0
	_, ok := l.w.Until(patience, 100*time.Millisecond, func() bool {
		if polls++; len(l.heard) >= others {
			return true
		}
		if polls%10 != 0 || len(l.heard) < others*9/10 {
			return false
		}
		for _, h := range l.w.Hosts {
			if !h.Up() || h == l.target {
				continue
			}
			if m, _ := h.Pool.Member(l.target.Name()); !knows(m) {
				return false
			}
		}
		l.heard = append(l.heard, l.w.Now()-l.began)
		return true
	})
	l.target = nil
	return ok
}

// detection is how a failure was found.
type detection struct {
	suspected, first, all time.Duration // since the failure: of the first suspicion, the first and the last who knew
}

// kill ends a machine, and starts it again when all know.
func (l *lab) kill() (detection, error) {
	victim := l.any()
	l.w.Run(l.rng.Duration(0, l.period))
	l.watch(victim, swim.EventFailed)
	victim.PowerOff()
	if !l.wait(func(m swim.Member) bool { return m.State != swim.StateAlive && m.State != swim.StateSuspect }) {
		return detection{}, fmt.Errorf("after %v %d of %d members know of a failure", patience, len(l.heard), len(l.w.Hosts)-1)
	}
	d := detection{l.suspected, l.heard[0], l.heard[len(l.heard)-1]}
	victim.Seeds = []*pool.Host{l.any()}
	victim.Start()
	l.w.Run(5 * time.Second)
	return d, nil
}

// tell lets a member change its tags, and returns after which time each other one knew.
func (l *lab) tell(i int) ([]time.Duration, error) {
	h := l.any()
	l.watch(h, swim.EventUpdate)
	version := fmt.Sprint(i)
	var err error
	h.Do(func(p *gossip.Pool, now time.Duration) {
		err = p.SetTags(now, map[string]string{"version": version})
	})
	if err != nil {
		return nil, err
	}
	if !l.wait(func(m swim.Member) bool { return m.Tags["version"] == version }) {
		return nil, fmt.Errorf("after %v %d of %d members know of new tags", patience, len(l.heard), len(l.w.Hosts)-1)
	}
	heard := slices.Clone(l.heard)
	l.w.Run(3 * time.Second)
	return heard, nil
}

// load measures what each member sends, per second.
func (l *lab) load(d time.Duration) (datagrams, bytes, streamBytes float64) {
	before := l.w.Sent()
	l.w.Run(d)
	sent := l.w.Sent().Minus(before)
	per := float64(len(l.w.Hosts)) * d.Seconds()
	return float64(sent.Datagrams) / per, float64(sent.DatagramBytes) / per, float64(sent.StreamBytes) / per
}

// quantile returns the smallest value that a share q of all do not exceed.
func quantile(values []time.Duration, q float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(values))
	return s[min(len(s)-1, int(q*float64(len(s))))]
}

func mean(values []time.Duration) time.Duration {
	var sum time.Duration
	for _, v := range values {
		sum += v
	}
	return sum / time.Duration(max(1, len(values)))
}
