package linearizability

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// gatedState is the model with the index it has come to.
type gatedState struct {
	s     state
	index uint64
}

// Gated lets Porcupine find an order of the whole history that agrees with the indexes.
func Gated(ops []Op, timeout time.Duration) error {
	model := porcupine.Model{
		Init: func() any { return gatedState{} },
		Step: func(st, in, _ any) (bool, any) {
			g, op := st.(gatedState), in.(*Op)
			if op.Index != 0 && (op.Index < g.index || op.Index == g.index && !op.Kind.Reads()) {
				return false, st
			}
			next, ok := g.s.step(op)
			return ok, gatedState{next, max(g.index, op.Index)}
		},
		Equal: func(a, b any) bool {
			x, y := a.(gatedState), b.(gatedState)
			return x.index == y.index && slices.Equal(x.s, y.s)
		},
	}
	tight, ok := tighten(ops)
	if !ok {
		return fmt.Errorf("gated: the history of %d operations is not linearizable: its indexes contradict real time", len(ops))
	}
	return check("gated", model, tight, timeout)
}

// tighten shrinks the time in which each operation with an index must have taken effect, to what the indexes leave of it: an
// operation comes before all of a greater index, and so before the end of each of them. What the search is spared are mostly the
// writes without an outcome, which otherwise may come at any time until the end. Not ok: nothing is left for one of them.
func tighten(ops []Op) (out []Op, ok bool) {
	out, ok = slices.Clone(ops), true
	var indexed []*Op
	for i := range out {
		if out[i].Index != 0 {
			indexed = append(indexed, &out[i])
		}
	}
	slices.SortStableFunc(indexed, byIndex)
	var before, latest time.Duration // beginnings: of all of smaller rank, and with the own
	for i, op := range indexed {
		if i > 0 && byIndex(indexed[i-1], op) != 0 {
			before = latest
		}
		latest = max(latest, op.Call)
		op.Call = max(op.Call, before)
	}
	after, earliest := forever, forever // ends: of all of greater rank, and with the own
	for i := len(indexed) - 1; i >= 0; i-- {
		op := indexed[i]
		if i+1 < len(indexed) && byIndex(op, indexed[i+1]) != 0 {
			after = earliest
		}
		earliest = min(earliest, op.Return)
		op.Return = min(op.Return, after)
		ok = ok && op.Call <= op.Return
	}
	return out, ok
}

// BlackBox lets Porcupine find an order without looking at indexes: for each key on its own, and for windows
// of at most window operations over all keys.
func BlackBox(ops []Op, window int, timeout time.Duration) error {
	for _, key := range keys(ops) {
		if err := check("key "+key, blackBox, project(ops, key), timeout); err != nil {
			return err
		}
	}
	for _, part := range windows(ops, window) {
		if err := check("window", blackBox, part, timeout); err != nil {
			return err
		}
	}
	return nil
}

var blackBox = porcupine.Model{
	Init: func() any { return state(nil) },
	Step: func(st, in, _ any) (bool, any) {
		next, ok := st.(state).step(in.(*Op))
		return ok, next
	},
	Equal:             func(a, b any) bool { return slices.Equal(a.(state), b.(state)) },
	DescribeOperation: func(in, _ any) string { op := in.(*Op); return op.describe() },
	DescribeState:     func(s any) string { return fmt.Sprint(s.(state).below("")) },
}

// check searches for an order, first without the writes that nobody can have seen.
func check(what string, model porcupine.Model, ops []Op, timeout time.Duration) error {
	if few := withoutUnseen(ops); len(few) < len(ops) && porcupine.CheckOperationsTimeout(model, operations(few), timeout) == porcupine.Ok {
		return nil
	}
	switch porcupine.CheckOperationsTimeout(model, operations(ops), timeout) {
	case porcupine.Ok:
		return nil
	case porcupine.Illegal:
		return fmt.Errorf("%s: the history of %d operations is not linearizable%s", what, len(ops), explain(model, ops, timeout))
	}
	return fmt.Errorf("%s: undecided after %v: the history of %d operations is too hard, shorten it", what, timeout, len(ops))
}

// withoutUnseen leaves out the writes without an outcome whose value nobody read. They may never have taken effect, so an order
// of the others is one of all; and each that is left in doubles what a search has to try. If there is no order without
// them, one of them may still explain why a check-and-set failed.
func withoutUnseen(ops []Op) []Op {
	seen := map[string]bool{}
	for i := range ops {
		for _, v := range ops[i].Got {
			seen[v] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(ops), func(op Op) bool {
		return op.Outcome == Unknown && (op.Kind == Put || op.Kind == CAS || op.Kind == Txn) && !seen[op.Value]
	})
}

// operations turns a history into Porcupine's. Each operation without an outcome is a client of its
// own, since its client went on.
func operations(ops []Op) []porcupine.Operation {
	fresh := 0
	for _, op := range ops {
		fresh = max(fresh, op.Client+1)
	}
	out := make([]porcupine.Operation, len(ops))
	for i := range ops {
		op := &ops[i]
		out[i] = porcupine.Operation{ClientId: op.Client, Input: op, Call: int64(op.Call), Return: int64(op.Return)}
		if op.Outcome == Unknown {
			out[i].ClientId = fresh
			fresh++
		}
	}
	return out
}

func keys(ops []Op) []string {
	seen := map[string]bool{}
	for _, op := range ops {
		if op.Kind != List && op.Kind != DeleteTree {
			seen[op.Key] = true
			for _, key := range op.Also {
				seen[key] = true
			}
		}
	}
	out := make([]string, 0, len(seen))
	for k := range seen {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// project is what the history says about one key: operations on prefixes become such on the key.
func project(ops []Op, key string) []Op {
	var out []Op
	for _, op := range ops {
		switch {
		case op.Kind == List && strings.HasPrefix(key, op.Key):
			p := op
			p.Kind, p.Key = Get, key
			out = append(out, p)
		case op.Kind == DeleteTree && strings.HasPrefix(key, op.Key):
			p := op
			p.Kind, p.Key = Delete, key
			out = append(out, p)
		case op.Kind == Txn && op.Key == key:
			p := op
			p.Kind, p.Also = CAS, nil
			out = append(out, p)
		case op.Kind == Txn && slices.Contains(op.Also, key):
			if op.Outcome == Unknown || op.Swapped {
				p := op
				p.Kind, p.Key, p.Also = Put, key, nil
				out = append(out, p)
			}
		case op.Key == key && op.Kind != List && op.Kind != DeleteTree:
			out = append(out, op)
		}
	}
	return out
}

// windows cuts the beginning of a history, and what follows a moment at which nothing was under way and everything
// was deleted, into windows. Only from a known state can a window be checked on its own.
func windows(ops []Op, size int) [][]Op {
	if len(ops) == 0 || size <= 0 {
		return nil
	}
	var out [][]Op
	start := 0
	for start < len(ops) {
		end := min(start+size, len(ops))
		if end == len(ops) {
			return append(out, ops[start:end])
		}
		out = append(out, closed(ops[start:end], ops[end].Call))
		next := nextStart(ops, end)
		if next < 0 {
			break
		}
		start = next
	}
	return out
}

// closed ends a window before an operation that began at cut: what was still under way then may have seen what that one did, or
// come after it, so it has no known outcome in the window.
func closed(ops []Op, cut time.Duration) []Op {
	var out []Op
	for _, op := range ops {
		if op.Return >= cut {
			if op.Kind.Reads() {
				continue
			}
			op.Outcome, op.Return, op.Index = Unknown, forever, 0
		}
		out = append(out, op)
	}
	return out
}

// nextStart finds an acknowledged deletion of everything, during and after which nothing else is under way.
func nextStart(ops []Op, from int) int {
	var busy time.Duration
	for i := range ops {
		op := &ops[i]
		if i >= from && op.Kind == DeleteTree && op.Key == "" && op.Outcome == Done && busy < op.Call &&
			(i+1 == len(ops) || ops[i+1].Call > op.Return) {
			return i
		}
		busy = max(busy, op.Return)
	}
	return -1
}
