package sim

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Repro is a run that fails, small enough to be understood.
type Repro struct {
	Options   Options `json:"options"`
	Invariant string  `json:"invariant"`
	Message   string  `json:"message"`
	Hash      string  `json:"trace"`
	// Runs is how many runs it took to find it.
	Runs int `json:"runs"`
}

// DecodeRepro reads what JSON made of a Repro.
func DecodeRepro(data []byte) (Repro, error) {
	var r Repro
	if err := json.Unmarshal(data, &r); err != nil {
		return Repro{}, fmt.Errorf("not a repro file: %w", err)
	}
	for _, f := range r.Options.Schedule {
		if kindOf(f.Kind) == nil {
			return Repro{}, fmt.Errorf("unknown kind of fault %q: was the file written by another version?", f.Kind)
		}
	}
	return r, nil
}

// shrinker makes a failing run smaller, as long as it fails in the same way.
type shrinker struct {
	best     Report
	runs     int
	deadline time.Time
	progress func(string)
}

// Shrink looks for the smallest run that violates the same invariant as failed does: delta debugging (Zeller and
// Hildebrandt: "Simplifying and Isolating Failure-Inducing Input", IEEE TSE 2002) over its faults and operations, and plain tries
// for everything else. It ends when nothing can be left out, or after budget. progress is told what has come of it
// so far.
func Shrink(failed Report, budget time.Duration, progress func(string)) Repro {
	s := &shrinker{best: failed, deadline: time.Now().Add(budget), progress: progress}
	s.cutTime()
	s.faults()
	s.knobs()
	s.operations()
	s.faults()
	s.knobs()
	return Repro{Options: s.best.Options, Invariant: s.best.Failure.Invariant, Message: s.best.Failure.Message, Hash: s.best.Hash, Runs: s.runs}
}

// try runs o and keeps it if it fails in the same way.
func (s *shrinker) try(o Options) bool {
	if time.Now().After(s.deadline) {
		return false
	}
	s.runs++
	r := Run(o, nil)
	if r.Failure == nil || r.Failure.Invariant != s.best.Failure.Invariant {
		return false
	}
	s.best = r
	s.progress(fmt.Sprintf("run %d: %d faults, %s operations, %d servers, %d agents, %d clients", s.runs, len(r.Faults), operationCount(o), o.Servers, o.Agents, o.Clients))
	return true
}

func operationCount(o Options) string {
	if o.Operations == nil {
		return "all"
	}
	return strconv.Itoa(len(o.Operations))
}

// cutTime ends the faults just after the last one that can matter.
func (s *shrinker) cutTime() {
	o := s.best.Options
	o.Schedule = slices.Clone(s.best.Faults)
	if o.Schedule == nil {
		o.Schedule = []Fault{}
	}
	s.try(o)
	failedAt := s.best.Failure.At - 5*time.Second // the faults begin after five seconds
	o.Schedule = slices.DeleteFunc(slices.Clone(o.Schedule), func(f Fault) bool { return f.At > failedAt })
	s.try(o)
}

func (s *shrinker) faults() {
	minimize(s.best.Options.Schedule, func(kept []Fault) bool {
		o := s.best.Options
		o.Schedule = kept
		return s.try(o)
	})
}

// operations keeps the operations that matter.
func (s *shrinker) operations() {
	minimize(s.best.Begun, func(kept []string) bool {
		o := s.best.Options
		o.Operations = kept
		return s.try(o)
	})
}

// knobs tries to do without whatever can be switched off.
func (s *shrinker) knobs() {
	for _, turn := range []func(*Options){
		func(o *Options) { o.Faults.FaultPoints = 0 },
		func(o *Options) { o.Faults.HeavyTail = false },
		func(o *Options) { o.Faults.LossPercent = 0 },
		func(o *Options) { o.Faults.DupPercent = 0 },
		func(o *Options) { o.Faults.ReorderPercent = 0 },
		func(o *Options) { o.Faults.DriftPercent = 0 },
		func(o *Options) { o.Watchers = 0 },
		func(o *Options) { o.Agents = 0 },
		func(o *Options) { o.Agents = min(o.Agents, 1) },
		func(o *Options) { o.Clients = 1 },
		func(o *Options) { o.Clients = min(o.Clients, 2) },
		func(o *Options) { o.Keys = 1 },
		func(o *Options) { o.Servers = 3 },
		func(o *Options) { o.Remote = Remote{} },
		func(o *Options) { o.Remote.Agents = 0 },
		func(o *Options) { o.Remote.Clients = min(o.Remote.Clients, 1) },
		func(o *Options) { o.Pebble = false },
		func(o *Options) { o.Encrypted = false },
	} {
		o := s.best.Options
		before := fmt.Sprint(o)
		turn(&o)
		if fmt.Sprint(o) != before {
			s.try(o)
		}
	}
}

// minimize is ddmin: it leaves out ever smaller parts of list for as long as what is kept still fails.
func minimize[T any](list []T, fails func([]T) bool) {
	parts := 2
	if len(list) > 0 && fails([]T{}) {
		return
	}
	for len(list) > 1 {
		size := (len(list) + parts - 1) / parts
		smaller := false
		for from := 0; from < len(list); from += size {
			kept := slices.Concat(list[:from], list[min(from+size, len(list)):])
			if fails(kept) {
				list, smaller = kept, true
				parts = max(2, parts-1)
				break
			}
		}
		if smaller {
			continue
		}
		if size == 1 {
			return
		}
		parts = min(len(list), 2*parts)
	}
}

// String describes the repro for somebody who reads it.
func (r Repro) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s violated: %s\n", r.Invariant, r.Message)
	fmt.Fprintf(&b, "%d servers, %d agents, %d clients, %s operations, %d faults:\n", r.Options.Servers, r.Options.Agents, r.Options.Clients,
		operationCount(r.Options), len(r.Options.Schedule))
	for _, f := range r.Options.Schedule {
		fmt.Fprintf(&b, "  %8v  %s %d\n", f.At.Truncate(time.Millisecond), f.Kind, f.N)
	}
	return b.String()
}
