package pool

import (
	"fmt"
	"time"

	"concord/internal/prng"
)

// Form starts all members, one after the other, each of which joins a random earlier one, and lets time pass until all know
// all and nobody has news to tell. It fails if that takes longer than limit.
func (w *World) Form(gap, limit time.Duration) error {
	rng := prng.New(w.Seed).Fork("form")
	for i, h := range w.Hosts {
		if i > 0 {
			h.Seeds = []*Host{w.Hosts[rng.IntN(i)]}
		}
		h.Start()
		w.Run(gap)
	}
	if took, ok := w.Until(limit, 200*time.Millisecond, w.AtRest); !ok {
		return fmt.Errorf("pool: not all of %d members know all others after %v", len(w.Hosts), took)
	}
	return nil
}

// AtRest tells whether each member that runs takes as many for alive as run, and has nothing to tell.
func (w *World) AtRest() bool {
	running := 0
	for _, h := range w.Hosts {
		if h.Up() {
			running++
		}
	}
	for _, h := range w.Hosts {
		if h.Up() && (h.Pool.NumAlive() != running || h.Pool.Stats().Queued > 0) {
			return false
		}
	}
	return true
}
