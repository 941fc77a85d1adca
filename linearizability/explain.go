package linearizability

import (
	"fmt"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// found is how far a search for an order came.
type found struct {
	ok      bool
	order   []int // the longest order found, as indexes of the operations
	blocked int   // if not ok, the operation that had to come next, since it ended first, but did not fit; -1 if none is known
}

// search looks for an order and remembers the longest that it came to. It takes more time and memory than a search that only
// decides.
func search(model porcupine.Model, ops []Op, timeout time.Duration) (found, porcupine.LinearizationInfo) {
	result, info := porcupine.CheckOperationsVerbose(model, drawable(ops), timeout)
	f := found{ok: result == porcupine.Ok, blocked: -1}
	for _, partition := range info.PartialLinearizations() {
		for _, order := range partition {
			if len(order) > len(f.order) {
				f.order = order
			}
		}
	}
	if f.ok {
		return f, info
	}
	for i := range ops {
		if ops[i].Outcome == Done && !slices.Contains(f.order, i) && (f.blocked < 0 || ops[i].Return < ops[f.blocked].Return) {
			f.blocked = i
		}
	}
	return f, info
}

// drawable lets what has no end end a second after everything else: an axis to the end of time shows nothing.
func drawable(ops []Op) []porcupine.Operation {
	_, last := bounds(ops)
	out := operations(ops)
	for i := range out {
		out[i].Return = min(out[i].Return, int64(last+time.Second))
	}
	return out
}

// bounds is when the first operation began and the last event happened.
func bounds(ops []Op) (first, last time.Duration) {
	first = forever
	for i := range ops {
		first, last = min(first, ops[i].Call), max(last, ops[i].Call)
		if ops[i].Return != forever {
			last = max(last, ops[i].Return)
		}
	}
	return min(first, last), last
}

// maxExplained bounds the history that is searched again to tell what does not fit.
const maxExplained = 2000

// explain says which operation does not fit a history that is not linearizable, or nothing if that is not known.
func explain(model porcupine.Model, ops []Op, timeout time.Duration) string {
	if len(ops) > maxExplained {
		return ""
	}
	f, _ := search(model, ops, timeout)
	if f.blocked < 0 {
		return ""
	}
	text := ": no order has room for " + ops[f.blocked].describe()
	if len(f.order) > 0 {
		text += fmt.Sprintf(", after %d others of which the last are", len(f.order))
		for _, i := range f.order[max(0, len(f.order)-3):] {
			text += " " + ops[i].describe() + ";"
		}
	}
	return text
}
