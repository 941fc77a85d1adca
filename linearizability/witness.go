package linearizability

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Witness checks that the history, replayed in the order of the indexes its answers carry, gives the same
// answers, and that this order agrees with real time: what ended before another operation began has no
// greater index. Writes without a known outcome are placed where committed says they took effect:
// it returns the index of the entry that wrote the value, or 0 if there is none.
func Witness(ops []Op, committed func(value string) uint64) error {
	placed := Place(ops, committed)
	for i := range placed {
		if placed[i].Index == 0 {
			return fmt.Errorf("witness: %s has no index", placed[i].describe())
		}
	}
	if err := realTime(placed); err != nil {
		return fmt.Errorf("witness: %w", err)
	}
	slices.SortStableFunc(placed, func(a, b Op) int { return byIndex(&a, &b) })
	var s state
	for i := range placed {
		op := &placed[i]
		next, ok := s.step(op)
		if !ok {
			return fmt.Errorf("witness: at index %d the data is %v, but the answer was %s", op.Index, s.below(""), op.describe())
		}
		s = next
	}
	return nil
}

// Place gives the writes without a known outcome the index at which committed says they took effect, and leaves
// out those that never did.
func Place(ops []Op, committed func(value string) uint64) []Op {
	var placed []Op
	for _, op := range ops {
		if op.Outcome == Unknown {
			if op.Index = committed(op.Value); op.Index == 0 {
				continue
			}
		}
		placed = append(placed, op)
	}
	return placed
}

// byIndex compares operations by their place in the log: a read comes after the write of its index.
func byIndex(a, b *Op) int {
	return cmp.Or(cmp.Compare(a.Index, b.Index), cmp.Compare(order(a.Kind), order(b.Kind)))
}

func order(k Kind) int {
	if k.Reads() {
		return 1
	}
	return 0
}

// realTime checks that indexes do not go back in time.
func realTime(ops []Op) error {
	ends := slices.Clone(ops)
	slices.SortStableFunc(ends, func(a, b Op) int { return cmp.Compare(a.Return, b.Return) })
	begins := slices.Clone(ops)
	slices.SortStableFunc(begins, func(a, b Op) int { return cmp.Compare(a.Call, b.Call) })
	var newest *Op // of those that ended
	for i, j := 0, 0; i < len(begins); i++ {
		for ; j < len(ends) && ends[j].Return < begins[i].Call; j++ {
			if newest == nil || ends[j].Index > newest.Index {
				newest = &ends[j]
			}
		}
		b := &begins[i]
		if newest != nil && (b.Index < newest.Index || b.Index == newest.Index && !b.Kind.Reads()) {
			return fmt.Errorf("%s was served at index %d, although %s had ended before at index %d",
				b.describe(), b.Index, newest.describe(), newest.Index)
		}
	}
	return nil
}

func (op *Op) describe() string {
	text := fmt.Sprintf("client %d %s(%s", op.Client, op.Kind, op.Key)
	switch {
	case op.Kind == Put:
		text += ", " + op.Value
	case op.Kind == CAS:
		text += fmt.Sprintf(", %q -> %s", op.Expect, op.Value)
	}
	text += ")"
	switch {
	case op.Outcome == Unknown:
		text += " = ?"
	case op.Kind == CAS:
		text += fmt.Sprintf(" = %v", op.Swapped)
	case op.Kind.Reads():
		text += fmt.Sprintf(" = %v", op.Got)
	}
	if op.Return != forever {
		text += fmt.Sprintf(" [%v, %v]", op.Call.Truncate(time.Microsecond), op.Return.Truncate(time.Microsecond))
	}
	return text
}
