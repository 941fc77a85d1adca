package swim

import "time"

// awareness is the local health multiplier (Lifeguard section IV-A): a member that misses answers is
// likely to be slow itself, so it probes more slowly and waits longer before it accuses others.
type awareness struct{ score, max int }

func newAwareness(cfg *Config) awareness {
	if !cfg.has(LocalHealth) {
		return awareness{max: 1} // always healthy
	}
	return awareness{max: cfg.AwarenessMax}
}

// add changes the score: a successful probe brings it down by one; a failed probe, a refuted
// suspicion of this member and each missed nack bring it up by one.
func (a *awareness) add(delta int) { a.score = min(max(a.score+delta, 0), a.max-1) }

// scale returns the period or the timeout to use instead of d: d * (LHM + 1).
func (a *awareness) scale(d time.Duration) time.Duration { return d * time.Duration(a.score+1) }
