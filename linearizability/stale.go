package linearizability

import (
	"fmt"
	"slices"
)

// WitnessStale checks reads that any server may answer from what it has: each must show the data exactly as it was at the
// index that it says it was served at, however long ago that was. ops are the operations of the history, whose writes made the
// data; committed is as for Witness.
func WitnessStale(ops, stale []Op, committed func(value string) uint64) error {
	all := slices.DeleteFunc(Place(ops, committed), func(op Op) bool { return op.Kind.Reads() })
	all = append(all, stale...)
	slices.SortStableFunc(all, func(a, b Op) int { return byIndex(&a, &b) })
	var s state
	for i := range all {
		next, ok := s.step(&all[i])
		if !ok {
			return fmt.Errorf("witness: at index %d the data was %v, but a stale read was answered %s", all[i].Index, s.below(""), all[i].describe())
		}
		s = next
	}
	return nil
}
