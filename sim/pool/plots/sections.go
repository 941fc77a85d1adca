package plots

import (
	"fmt"
	"math"
	"time"

	"concord/swim"
)

// size is how much is measured in a pool of n members, and under which losses.
type size struct {
	n, kills, news int
	losses         []uint64
}

// under returns how many kills and news are measured under a loss. Where much is lost a large pool gossips at its bound all the
// time, about false suspicions, and is slow to simulate.
func (s size) under(loss uint64) (kills, news int) {
	if s.n < 256 {
		return s.kills, s.news
	}
	part := 1 + int(loss)/15
	return max(1, s.kills/part), max(1, s.news/part)
}

func sizes(o Options) []size {
	if o.Quick {
		return []size{{16, 6, 3, losses}, {64, 4, 3, losses}}
	}
	// Where much is lost, gossip is at its bound: in a pool of 10,000 that is some millions of claims in each second.
	less, least := losses[:3], losses[:2]
	if o.Patient {
		less, least = losses, losses
	}
	return []size{{16, 300, 60, losses}, {64, 150, 40, losses}, {256, 60, 20, losses}, {1024, 16, 10, losses}, {4096, 3, 3, less}, {10000, 1, 2, least}}
}

// loadFor is for how long a pool is watched at rest.
const loadFor = 8 * time.Second

// bySize is what was measured in a pool of some size under some loss.
type bySize struct {
	n                          int
	loss                       uint64
	kills                      []detection
	news                       [][]time.Duration // of each, when each other member knew
	datagrams, bytes, streamed float64
}

func (b *bySize) times(of func(detection) time.Duration) (out []time.Duration) {
	for _, k := range b.kills {
		out = append(out, of(k))
	}
	return out
}

// measureSize measures one pool under each loss in turn.
func (r *runner) measureSize(s size) ([]*bySize, error) {
	cfg := swim.LAN()
	l, err := newLab(r.seed(fmt.Sprintf("size/%d", s.n)), s.n, cfg)
	if err != nil {
		return nil, err
	}
	var out []*bySize
	for _, loss := range s.losses {
		l.w.Net.LossPercent = loss
		l.w.Run(5 * time.Second)
		m := &bySize{n: s.n, loss: loss}
		m.datagrams, m.bytes, m.streamed = l.load(loadFor)
		kills, news := s.under(loss)
		for i := range news {
			if heard, err := l.tell(i + int(loss)*1000); err != nil {
				r.progress("%d members, %d %% lost: %v", s.n, loss, err)
			} else {
				m.news = append(m.news, heard)
			}
		}
		for range kills {
			if d, err := l.kill(); err != nil {
				r.progress("%d members, %d %% lost: %v", s.n, loss, err)
			} else {
				m.kills = append(m.kills, d)
			}
		}
		r.progress("%d members, %d %% lost: first suspicion after %v on average, all know new tags after %v, %.2f datagrams/s each", s.n, loss,
			round(mean(m.times(firstSuspicion))), round(mean(lastOf(m.news))), m.datagrams)
		out = append(out, m)
	}
	return out, nil
}

func firstSuspicion(d detection) time.Duration { return d.suspected }

func allKnow(d detection) time.Duration { return d.all }

func lastOf(news [][]time.Duration) (out []time.Duration) {
	for _, heard := range news {
		out = append(out, heard[len(heard)-1])
	}
	return out
}

// slowness is how members mistake others while some are slow.
type slowness struct {
	slow      int
	loss      uint64
	lifeguard bool
	deaths    deaths
}

func slowCounts(quick bool) (members int, slow []int, lasts time.Duration) {
	if quick {
		return 32, []int{1, 8}, 30 * time.Second
	}
	return 128, []int{1, 2, 4, 8, 16, 32}, 3 * time.Minute
}

// measureSlow lets some members be slow as those of Lifeguard's experiments (section V): for a random time they can neither
// send nor receive, then for a short one they can. The others are well, so whoever takes one of those for dead is mistaken.
func (r *runner) measureSlow(members, slow int, loss uint64, lifeguard bool, lasts time.Duration) (*slowness, error) {
	cfg := swim.LAN()
	if !lifeguard {
		cfg = swim.SWIM()
	}
	l, err := newLab(r.seed(fmt.Sprintf("slow/%d/%d", slow, loss)), members, cfg)
	if err != nil {
		return nil, err
	}
	l.w.Net.LossPercent = loss
	l.w.Run(10 * time.Second)
	end := l.w.Now() + lasts
	for _, h := range l.w.Hosts[:slow] {
		l.slow[h] = true
		var block func()
		block = func() {
			if l.w.Now() >= end {
				return
			}
			d := l.rng.Duration(128*time.Millisecond, 16*time.Second)
			h.Mute(d)
			l.w.After(d+l.rng.Duration(time.Millisecond, time.Second), block)
		}
		l.w.After(l.rng.Duration(0, 5*time.Second), block)
	}
	l.wrong = deaths{}
	l.w.Run(lasts + 30*time.Second)
	return &slowness{slow, loss, lifeguard, l.wrong}, nil
}

// tuning is what the multipliers of the suspicion timeout bring about.
type tuning struct {
	alpha, beta int
	loss        uint64
	all         []time.Duration
	mistakes    int
	hours       float64 // in which these were made, of all members together
}

func tunings(quick bool) (members, kills int, alphas, betas []int) {
	if quick {
		return 32, 2, []int{2, 5}, []int{6}
	}
	return 128, 10, []int{2, 3, 4, 5, 6}, []int{1, 2, 6}
}

func (r *runner) measureTuning(members, kills, alpha, beta int, loss uint64) (*tuning, error) {
	cfg := swim.LAN()
	cfg.SuspicionMult, cfg.SuspicionMaxMult = alpha, beta
	l, err := newLab(r.seed(fmt.Sprintf("tuning/%d/%d", alpha, beta)), members, cfg)
	if err != nil {
		return nil, err
	}
	l.w.Net.LossPercent = loss
	t := &tuning{alpha: alpha, beta: beta, loss: loss}
	began := l.w.Now()
	for range kills {
		d, err := l.kill()
		if err != nil {
			return nil, fmt.Errorf("alpha %d, beta %d, %d %% lost: %w", alpha, beta, loss, err)
		}
		t.all = append(t.all, d.all)
	}
	t.mistakes, t.hours = l.wrong.all, float64(members)*(l.w.Now()-began).Hours()
	return t, nil
}

// theory is what the paper says of the first detection: with n members in step, each of which probes a random other one in
// each period, e/(e-1) periods on average (SWIM section 3.1) in the limit. Members out of step probe it at a rate of one in
// a period, so that it is one period until somebody does, and another one until that has failed.
var theory = math.E / (math.E - 1)

func round(d time.Duration) time.Duration { return d.Round(10 * time.Millisecond) }
