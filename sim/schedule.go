package sim

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"time"

	"concord/internal/prng"
)

// Fault is one fault of a run. What it hits is drawn from its own stream of randomness, so that leaving another one out
// leaves it as it was.
type Fault struct {
	At   time.Duration `json:"at_ns"` // since the faults began
	Kind string        `json:"kind"`
	N    int           `json:"n"` // the how manieth of its kind
}

// faultKind is a kind of fault that a schedule can have.
type faultKind struct {
	name   string
	lo, hi time.Duration // bounds of the mean time between two of them in the swarm
	// make makes the fault and tells what it did, "" if there was nothing that it could be done to.
	make func(n *nemesis, r *prng.Rand) string
}

// schedule draws the faults of a run.
func schedule(o Options, rng *prng.Rand) []Fault {
	if o.Schedule != nil {
		return o.Schedule
	}
	var all []Fault
	for _, kind := range slices.Sorted(maps.Keys(o.Faults.Every)) {
		every := o.Faults.Every[kind]
		if every <= 0 {
			continue
		}
		r := rng.Fork("schedule/" + kind)
		at := r.Duration(every/2, every*3/2)
		for i := 0; at < o.Duration; i++ {
			all = append(all, Fault{At: at, Kind: kind, N: i})
			at += r.Duration(every/2, every*3/2)
		}
	}
	slices.SortStableFunc(all, func(a, b Fault) int { return cmp.Compare(a.At, b.At) })
	return all
}

func kindOf(name string) *faultKind {
	for _, kinds := range [][]faultKind{faultKinds, wanFaultKinds} {
		for i := range kinds {
			if kinds[i].name == name {
				return &kinds[i]
			}
		}
	}
	return nil
}

func (f Fault) label() string { return "fault/" + f.Kind + "/" + strconv.Itoa(f.N) }
