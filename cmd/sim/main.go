// Command sim runs seeds of the simulator: one of them with a log and a report, or many for as long as one likes.
package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"sync"
	"time"

	"concord/cmd/sim/torture"
	"concord/sim"
)

const usage = `Usage: sim [options]

  Runs simulated clusters under faults. Exits with 0 if every property held, 1 if one was violated, 2 on bad usage.

  One seed, with its log, and a report of its history:

      $ go run ./cmd/sim -seed=7 -html=report.html

  A thousand seeds from 1 on, two at a time, for at most ten minutes:

      $ go run ./cmd/sim -seeds=1000 -parallel=2 -duration=10m

Options:
`

func main() {
	if len(os.Args) > 1 && os.Args[1] == "torture" {
		os.Exit(torture.Main(os.Args[2:]))
	}
	os.Exit(run())
}

func run() int {
	fs := flag.NewFlagSet("sim", flag.ContinueOnError)
	fs.Usage = func() {
		fmt.Fprint(os.Stderr, usage)
		fs.PrintDefaults()
	}
	var (
		seed     = fs.Uint64("seed", 0, "run this seed alone")
		seeds    = fs.Int("seeds", 100, "how many seeds to run")
		from     = fs.Uint64("from", 1, "the first of them")
		parallel = fs.Int("parallel", runtime.NumCPU(), "how many at a time")
		duration = fs.Duration("duration", 0, "stop after this long (0: when all have run)")
		html     = fs.String("html", "", "write a report of the seed, or of the first that fails, to this file")
		quiet    = fs.Bool("quiet", false, "do not log the events of a single seed")
	)
	if err := fs.Parse(os.Args[1:]); err != nil {
		return 2
	}
	if fs.NArg() > 0 || *seeds < 1 || *parallel < 1 {
		fs.Usage()
		return 2
	}
	if *seed != 0 {
		return one(*seed, *html, *quiet)
	}
	return many(*from, *seeds, *parallel, *duration, *html)
}

func one(seed uint64, html string, quiet bool) int {
	var log func(string, ...any)
	if !quiet {
		log = func(format string, args ...any) { fmt.Printf(format+"\n", args...) }
	}
	began := time.Now()
	r := sim.Run(sim.Swarm(seed), log)
	took := time.Since(began)
	fmt.Printf("seed %d: trace %s, %d events, %v simulated in %v (%.0fx), %d writes, %d reads, %d unknown\n", seed, r.Hash, r.Stats.Events,
		r.Stats.Simulated.Truncate(time.Millisecond), took.Truncate(time.Millisecond), r.Stats.Simulated.Seconds()/took.Seconds(), r.Stats.Writes, r.Stats.Reads, r.Stats.Unknown)
	code := 0
	if r.Failure != nil {
		fmt.Println(r.Err())
		code = 1
	}
	if html != "" {
		if err := write(&r, html); err != nil {
			fmt.Fprintln(os.Stderr, "sim:", err)
			return 2
		}
		fmt.Println("report:", html)
	}
	return code
}

func write(r *sim.Report, path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := r.WriteHTML(f); err != nil {
		return err
	}
	return f.Close()
}

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
	faults    map[string]int
	failed    []sim.Report
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
		t.faults[k] += n
	}
	if r.Failure != nil {
		t.failed = append(t.failed, r)
		fmt.Printf("\r%v\n", r.Err())
	}
}

func (t *tally) progress() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	took := time.Since(t.began)
	text := fmt.Sprintf("%d seeds, %.1f seeds/s, %v simulated (%.0fx), %d events, %d elections, %d writes, %d reads, %d failed; faults:", t.runs,
		float64(t.runs)/took.Seconds(), t.simulated.Truncate(time.Second), t.simulated.Seconds()/took.Seconds(), t.events, t.elections, t.writes, t.reads, len(t.failed))
	for _, k := range slices.Sorted(maps.Keys(t.faults)) {
		text += fmt.Sprintf(" %s %d", k, t.faults[k])
	}
	return text
}

func many(from uint64, seeds, parallel int, duration time.Duration, html string) int {
	t := &tally{began: time.Now(), faults: map[string]int{}}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt)
	var deadline <-chan time.Time
	if duration > 0 {
		deadline = time.After(duration)
	}
	next, done := make(chan uint64), make(chan struct{})
	var wg sync.WaitGroup
	for range parallel {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for s := range next {
				t.add(sim.Run(sim.Swarm(s), nil))
			}
		}()
	}
	go func() {
		defer close(done)
		defer close(next)
		for s := from; s < from+uint64(seeds); s++ {
			select {
			case next <- s:
			case <-deadline:
				return
			case <-stop:
				return
			}
		}
	}()
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
	wg.Wait()
	fmt.Println(t.progress())
	if len(t.failed) == 0 {
		return 0
	}
	if html != "" {
		if err := write(&t.failed[0], html); err != nil {
			fmt.Fprintln(os.Stderr, "sim:", err)
		}
	}
	return 1
}
