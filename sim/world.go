// Package sim runs whole clusters of real nodes (package node, with the same codecs, stores and
// state machine) in one goroutine, on a virtual network, virtual disks and skewed clocks, under faults
// that are drawn from a seed. The same seed gives the same run, event by event.
package sim

import (
	"fmt"
	"time"

	"concord/internal/prng"
	lin "concord/linearizability"
	"concord/sim/trace"
)

// World is a datacenter: its machines, its clients, and what is known of its state. All datacenters of a run share a Timeline.
type World struct {
	*Timeline
	Options    Options // of this datacenter
	Datacenter string
	rng        *prng.Rand

	hosts          []*Host
	base           int // index of the first host
	faults         Faults
	nemesis        *nemesis
	checks         checkers
	clients        []*client
	watchers       []*watcher
	herald         *herald
	keys           *keyKeeper
	tape           tape
	history        *lin.History
	unlinearizable bool     // as the checkers found
	stale          []lin.Op // reads that only promise some state that once was
}

// Timeline is virtual time and everything that is going to happen.
type Timeline struct {
	run    Options // of the whole run
	now    time.Duration
	events eventHeap
	seq    uint64
	trace  trace.Hash
	log    func(format string, args ...any) // nil: silent

	worlds     []*World         // the datacenters
	byAddr     map[string]*Host // of every endpoint
	net        *network
	operations map[string]bool // of Options.Operations
	begun      []string        // operations
	failure    *Failure
	spans      []lin.Span
	stats      Stats
}

// Stats counts what happened.
type Stats struct {
	Events    uint64
	Simulated time.Duration
	Messages  uint64
	Dropped   uint64
	Elections uint64
	Writes    uint64 // acknowledged
	Reads     uint64 // answered
	Unknown   uint64 // operations without a certain outcome
	// Coverage counts, by name, every fault that was made, every transition of a role or membership, every fault point
	// that fired and every kind of line that the nodes logged.
	Coverage map[string]int
}

// at lets f happen at a time; kind and host say what it is in the trace.
func (w *Timeline) at(t time.Duration, kind string, host int, f func()) {
	w.seq++
	w.events.push(event{at: max(t, w.now), seq: w.seq, kind: kind, host: host, f: f})
}

func (w *Timeline) after(d time.Duration, kind string, host int, f func()) {
	w.at(w.now+d, kind, host, f)
}

// runUntil lets everything happen up to a time, or until something failed.
func (w *Timeline) runUntil(end time.Duration) {
	for w.failure == nil && len(w.events) > 0 && w.events[0].at <= end {
		e := w.events.pop()
		w.now = e.at
		w.stats.Events++
		w.note(e.kind, uint64(e.host), uint64(e.at))
		e.f()
	}
	if w.failure == nil {
		w.now = max(w.now, end)
	}
}

// note adds to the trace.
func (w *Timeline) note(kind string, numbers ...uint64) {
	w.trace.Text(kind)
	for _, n := range numbers {
		w.trace.Word(n)
	}
}

// cover counts something for the coverage table.
func (w *Timeline) cover(what string) { w.stats.Coverage[what]++ }

// fail ends the run.
func (w *Timeline) fail(name, format string, args ...any) {
	if w.failure == nil {
		w.failure = &Failure{Options: w.run, Invariant: name, At: w.now, Message: fmt.Sprintf(format, args...)}
		w.logf("FAIL %v", w.failure)
	}
}

func (w *Timeline) logf(format string, args ...any) {
	if w.log != nil {
		w.log("%12s  "+format, append([]any{w.now.Truncate(time.Microsecond)}, args...)...)
	}
}

// span begins something that lasts and returns what ends it, for the report.
func (w *Timeline) span(lane, kind, text string) (end func()) {
	i := len(w.spans)
	w.spans = append(w.spans, lin.Span{Lane: lane, Kind: kind, Text: text, Start: w.now, End: -1})
	return func() {
		if w.spans[i].End < 0 {
			w.spans[i].End = w.now
		}
	}
}

// Kind says what sort of failure it is, which cmd/sim tells by its exit code.
type Kind int

const (
	// Correctness: a safety property does not hold.
	Correctness Kind = iota + 1
	// Crash: a node stopped at a broken invariant of its own, or cannot start again.
	Crash
	// Liveness: the healed cluster did not come to rest.
	Liveness
)

// Failure is a property that did not hold.
type Failure struct {
	Options   Options
	Invariant string
	At        time.Duration // virtual
	Message   string
}

// Error tells what did not hold, when, and how to see it again.
func (f *Failure) Error() string {
	return fmt.Sprintf("%s violated at %v of seed %d: %s\nreplay: %s", f.Invariant, f.At, f.Options.Seed, f.Message, f.Options.Replay())
}

// Kind tells what sort of failure it is.
func (f *Failure) Kind() Kind {
	switch f.Invariant {
	case "core", "recovery", "storage":
		return Crash
	case "liveness":
		return Liveness
	}
	return Correctness
}
