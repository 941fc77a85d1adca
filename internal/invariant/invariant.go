// Package invariant holds the assertions that the pure cores make about
// themselves. A broken invariant is a bug in Concord, never bad input: it panics,
// so that the simulator stops at the very event and a real node stops before it
// can spread a wrong state.
package invariant

import "fmt"

// Violation is the value a failed Check panics with.
type Violation struct{ Message string }

// Error returns the message of the violated invariant.
func (v Violation) Error() string { return "invariant violated: " + v.Message }

// Check panics with a Violation unless ok holds. The format and its arguments are
// those of fmt.Sprintf and are only evaluated on failure.
func Check(ok bool, format string, args ...any) {
	if !ok {
		panic(Violation{Message: fmt.Sprintf(format, args...)})
	}
}
