// Package tick keeps named timers as data: a pure core sets and clears deadlines,
// tells the earliest one, and its driver calls it back when that has passed.
//
// Times are monotonic durations since an origin that the driver chooses.
package tick

import (
	"math"
	"time"
)

// Never is the deadline of a timer that is not set.
const Never = time.Duration(math.MaxInt64)

// Timers is a fixed set of timers, indexed by the core's own constants
// (const ( election = iota; heartbeat; ... )).
type Timers struct{ deadlines []time.Duration }

// New returns n timers, all of them unset.
func New(n int) *Timers {
	t := &Timers{deadlines: make([]time.Duration, n)}
	for i := range t.deadlines {
		t.deadlines[i] = Never
	}
	return t
}

// Set lets timer i fire at the time at.
func (t *Timers) Set(i int, at time.Duration) { t.deadlines[i] = at }

// Clear unsets timer i.
func (t *Timers) Clear(i int) { t.deadlines[i] = Never }

// At returns the deadline of timer i, or Never.
func (t *Timers) At(i int) time.Duration { return t.deadlines[i] }

// Fired tells whether timer i is due at now, and unsets it if so.
func (t *Timers) Fired(i int, now time.Duration) bool {
	if t.deadlines[i] > now {
		return false
	}
	t.deadlines[i] = Never
	return true
}

// Next returns the earliest deadline, or Never.
func (t *Timers) Next() time.Duration {
	next := Never
	for _, d := range t.deadlines {
		next = min(next, d)
	}
	return next
}
