package gossip

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"concord/sim/pool"
)

func (f flags) run(seed uint64, log func(string, ...any)) pool.Report {
	if f.hostile {
		return pool.RunHostile(seed, log)
	}
	return pool.Run(seed, log)
}

func single(f flags) int {
	var log func(string, ...any)
	if !f.quiet {
		log = func(format string, args ...any) { fmt.Printf(format+"\n", args...) }
	}
	began := time.Now()
	r := f.run(f.seed, log)
	fmt.Printf("seed %d: trace %s, %d members, %d events, %v simulated in %v\n", r.Seed, r.Hash, r.Hosts, r.Events, r.Simulated.Truncate(time.Millisecond),
		time.Since(began).Truncate(time.Millisecond))
	if err := r.Err(); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// tally sums up many seeds.
type tally struct {
	mu           sync.Mutex
	began        time.Time
	runs, failed int
	faults       int
	mistakes     int
	events       uint64
	simulated    time.Duration
	hashes       []string
	failing      atomic.Bool
}

func (t *tally) add(r pool.Report) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.runs++
	t.events += r.Events
	t.simulated += r.Simulated
	t.mistakes += r.Mistakes
	for _, n := range r.Met {
		t.faults += n
	}
	t.hashes = append(t.hashes, fmt.Sprintf("%d %s", r.Seed, r.Hash))
	if err := r.Err(); err != nil {
		t.failed++
		t.failing.Store(true)
		fmt.Println(err)
	}
}

func (t *tally) progress() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	took := time.Since(t.began).Seconds()
	return fmt.Sprintf("%d seeds, %.1f/s; %v simulated (%.0fx), %.0fk events/s; %d faults, %d false deaths under them; %d failed", t.runs,
		float64(t.runs)/took, t.simulated.Truncate(time.Second), t.simulated.Seconds()/took, float64(t.events)/took/1000, t.faults, t.mistakes, t.failed)
}

// many runs seeds and says how they went every two seconds.
func many(f flags) int {
	t := &tally{began: time.Now()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		t.runAll(f)
	}()
	progress := time.NewTicker(2 * time.Second)
	defer progress.Stop()
	for waiting := true; waiting; {
		select {
		case <-progress.C:
			fmt.Println(t.progress())
		case <-done:
			waiting = false
		}
	}
	fmt.Println(t.progress())
	if f.hashes {
		slices.Sort(t.hashes)
		for _, h := range t.hashes {
			fmt.Println(h)
		}
	}
	if t.failed > 0 {
		return 1
	}
	return 0
}

func (t *tally) runAll(f flags) {
	var next atomic.Uint64
	var workers sync.WaitGroup
	for range f.parallel {
		workers.Go(func() {
			for {
				i := next.Add(1) - 1
				over := f.duration > 0 && time.Since(t.began) > f.duration
				if i >= uint64(f.seeds) || over || f.first && t.failing.Load() {
					return
				}
				t.add(f.run(f.from+i, nil))
			}
		})
	}
	workers.Wait()
}
