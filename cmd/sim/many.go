package main

import (
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"time"

	"concord/sim"
)

// tally sums up what many seeds did.
type tally struct {
	mu        sync.Mutex
	began     time.Time
	runs      int
	events    uint64
	simulated time.Duration
	writes    uint64
	reads     uint64
	elections uint64
	faults    int
	coverage  map[string]int
	failed    []sim.Report
	failing   chan struct{} // closed when the first has failed
	hashes    []string
}

func (t *tally) add(r sim.Report) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.runs++
	t.events += r.Stats.Events
	t.simulated += r.Stats.Simulated
	t.writes += r.Stats.Writes
	t.reads += r.Stats.Reads
	t.elections += r.Stats.Elections
	for k, n := range r.Stats.Coverage {
		t.coverage[k] += n
		if strings.HasPrefix(k, "fault: ") {
			t.faults += n
		}
	}
	t.hashes = append(t.hashes, fmt.Sprintf("%s %d %s", r.Options.Preset, r.Options.Seed, r.Hash))
	if r.Failure != nil {
		if len(t.failed) == 0 {
			close(t.failing)
		}
		t.failed = append(t.failed, r)
		fmt.Println(r.Err())
	}
}

func (t *tally) progress() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	took := time.Since(t.began).Seconds()
	return fmt.Sprintf("%d seeds, %.1f/s; %v simulated (%.0fx), %.0fk events/s; %d faults, %d elections, %d writes, %d reads; %d failed", t.runs,
		float64(t.runs)/took, t.simulated.Truncate(time.Second), t.simulated.Seconds()/took, float64(t.events)/took/1000,
		t.faults, t.elections, t.writes, t.reads, len(t.failed))
}

// jobs lists the runs that the flags ask for.
func (f flags) jobs() ([]sim.Options, error) {
	presets := []string{f.preset}
	if f.preset == "all" {
		presets = sim.Presets()
	}
	var out []sim.Options
	for s := f.from; s < f.from+uint64(f.seeds); s++ {
		for _, p := range presets {
			o, err := sim.Preset(p, s)
			if err != nil {
				return nil, err
			}
			out = append(out, o)
		}
	}
	return out, nil
}

func many(f flags) int {
	jobs, err := f.jobs()
	if err != nil {
		return complain(err)
	}
	t := &tally{began: time.Now(), coverage: map[string]int{}, failing: make(chan struct{})}
	done := t.runAll(jobs, f)
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for waiting := true; waiting; {
		select {
		case <-tick.C:
			fmt.Println(t.progress())
		case <-done:
			waiting = false
		}
	}
	fmt.Println(t.progress())
	if f.coverage {
		printCoverage(t.coverage)
	}
	if f.hashes {
		slices.Sort(t.hashes)
		fmt.Println(strings.Join(t.hashes, "\n"))
	}
	if len(t.failed) == 0 {
		return 0
	}
	first := t.failed[0]
	if f.html != "" {
		if err := writeReport(&first, f.html); err != nil {
			return complain(err)
		}
	}
	shrink(f, first)
	return exitCode(first.Failure)
}

// runAll runs the jobs until they are done, the time is over or somebody interrupts.
func (t *tally) runAll(jobs []sim.Options, f flags) (done chan struct{}) {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt)
	var deadline <-chan time.Time
	if f.duration > 0 {
		deadline = time.After(f.duration)
	}
	var failing <-chan struct{}
	if f.first {
		failing = t.failing
	}
	next := make(chan sim.Options)
	var workers sync.WaitGroup
	for range f.parallel {
		workers.Go(func() {
			for o := range next {
				t.add(sim.Run(o, nil))
			}
		})
	}
	done = make(chan struct{})
	go func() {
		defer close(done)
		defer workers.Wait()
		defer close(next)
		for _, o := range jobs {
			select {
			case next <- o:
			case <-deadline:
				return
			case <-failing:
				return
			case <-stop:
				return
			}
		}
	}()
	return done
}
