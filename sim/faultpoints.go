package sim

import "concord/internal/prng"

// faultPoints decides which of the fault points in the nodes' code (internal/faultpoint) fire. Of those, each host has
// half enabled in a life; each has a stream of randomness of its own.
type faultPoints struct {
	rng   *prng.Rand
	draws map[string]*prng.Rand // nil: not enabled
}

func newFaultPoints(h *Host) faultPoints {
	return faultPoints{rng: h.rng.Fork("fault points"), draws: map[string]*prng.Rand{}}
}

// faultPoint tells whether the fault point with the given name fires now.
func (h *Host) faultPoint(name string) bool {
	percent := h.w.faults.FaultPoints
	if percent == 0 {
		return false
	}
	r, known := h.points.draws[name]
	if !known {
		r = h.points.rng.Fork(name)
		if r.Chance(1, 2) {
			r = nil
		}
		h.points.draws[name] = r
	}
	if r == nil || !r.Chance(percent, 100) {
		return false
	}
	h.w.cover("point: " + name)
	return true
}
