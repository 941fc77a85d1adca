// Package sim runs whole clusters of real nodes (package node, with the same codecs, stores and
// state machine) in one goroutine, on a virtual network, virtual disks and skewed clocks, under faults
// that are drawn from a seed. The same seed gives the same run, event by event.
package sim

import (
	"container/heap"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/fnv"
	"time"

	"concord/internal/prng"
	lin "concord/linearizability"
)

// World is virtual time and everything that is going to happen.
type World struct {
	Options Options
	now     time.Duration
	events  eventHeap
	seq     uint64
	trace   hash.Hash
	log     func(format string, args ...any) // nil: silent
	rng     *prng.Rand

	hosts   []*Host
	byAddr  map[string]*Host // of every endpoint
	net     *network
	faults  Faults
	checks  checkers
	clients []*client
	failure error
	history *lin.History
	spans   []lin.Span
	stats   Stats
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
	Faults    map[string]int
}

// event is something that happens at a time. Events of the same time happen in the order in which they
// were made.
type event struct {
	at   time.Duration
	seq  uint64
	kind string
	host int // -1: none
	f    func()
}

type eventHeap []*event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].seq < h[j].seq
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(*event)) }
func (h *eventHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return e
}

// at lets f happen at a time; kind and host say what it is in the trace.
func (w *World) at(t time.Duration, kind string, host int, f func()) {
	w.seq++
	heap.Push(&w.events, &event{at: max(t, w.now), seq: w.seq, kind: kind, host: host, f: f})
}

func (w *World) after(d time.Duration, kind string, host int, f func()) {
	w.at(w.now+d, kind, host, f)
}

// runUntil lets everything happen up to a time, or until something failed.
func (w *World) runUntil(end time.Duration) {
	for w.failure == nil && len(w.events) > 0 && w.events[0].at <= end {
		e := heap.Pop(&w.events).(*event)
		w.now = e.at
		w.stats.Events++
		w.note(e.kind, uint64(e.host), uint64(e.at))
		e.f()
	}
	if w.failure == nil {
		w.now = end
	}
}

// note adds to the trace, whose hash is equal for two runs exactly if they did the same.
func (w *World) note(kind string, numbers ...uint64) {
	var p [8]byte
	w.trace.Write([]byte(kind))
	for _, n := range numbers {
		binary.LittleEndian.PutUint64(p[:], n)
		w.trace.Write(p[:])
	}
}

func (w *World) noteBytes(kind string, data []byte) {
	w.trace.Write([]byte(kind))
	w.trace.Write(data)
}

// fail ends the run.
func (w *World) fail(name, format string, args ...any) {
	if w.failure == nil {
		w.failure = &Failure{Seed: w.Options.Seed, Invariant: name, At: w.now, Message: fmt.Sprintf(format, args...)}
		w.logf("FAIL %v", w.failure)
	}
}

func (w *World) logf(format string, args ...any) {
	if w.log != nil {
		w.log("%12s  "+format, append([]any{w.now.Truncate(time.Microsecond)}, args...)...)
	}
}

// span begins something that lasts and returns what ends it, for the report.
func (w *World) span(lane, kind, text string) (end func()) {
	i := len(w.spans)
	w.spans = append(w.spans, lin.Span{Lane: lane, Kind: kind, Text: text, Start: w.now, End: -1})
	return func() {
		if w.spans[i].End < 0 {
			w.spans[i].End = w.now
		}
	}
}

func newTrace() hash.Hash { return fnv.New128a() }

// Failure is a property that did not hold.
type Failure struct {
	Seed      uint64
	Invariant string
	At        time.Duration // virtual
	Message   string
}

// Error tells what did not hold, when, and how to see it again.
func (f *Failure) Error() string {
	return fmt.Sprintf("%s violated at %v of seed %d: %s\nreplay: go test ./sim -run TestSeed -seed=%d -v", f.Invariant, f.At, f.Seed, f.Message, f.Seed)
}
