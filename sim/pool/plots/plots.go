// Package plots measures pools of gossip in the simulator, beside the theory and the papers, and writes the page
// docs/gossip.md with its plots.
package plots

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"
)

// Options say what to measure.
type Options struct {
	Out   string // a folder for the plots; the page is beside it, with .md at its end
	Quick bool   // little and in small pools, to try it
	// Patient measures the largest pools under every loss; that takes half an hour more.
	Patient bool
	Seed    uint64
	// Progress is told what is done. It may be nil.
	Progress func(line string)
}

// runner measures, with as many pools at a time as there are processors.
type runner struct {
	o     Options
	began time.Time
	mu    sync.Mutex
	err   error
}

// results are what was measured.
type results struct {
	sizes                     []*bySize
	slow                      []*slowness
	tunings                   []*tuning
	slowOf, slowFor, tuningOf string
}

// Run measures everything and writes the page and its plots. It takes about ten minutes on two processors, and some GiB for
// the pool of 10,000.
func Run(o Options) error {
	r := &runner{o: o, began: time.Now()}
	var all results
	r.parallel(r.jobs(&all))
	if r.err != nil {
		return fmt.Errorf("plots: %w", r.err)
	}
	all.sort()
	return r.write(&all)
}

func (r *runner) seed(what string) uint64 {
	h := r.o.Seed + 1
	for _, c := range what {
		h = h*1099511628211 + uint64(c)
	}
	return h
}

func (r *runner) progress(format string, args ...any) {
	if r.o.Progress == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.o.Progress(fmt.Sprintf("%6.1fs ", time.Since(r.began).Seconds()) + fmt.Sprintf(format, args...))
}

// jobs are the measurements that may run at the same time, the longest first.
func (r *runner) jobs(all *results) (jobs []func() error) {
	list := sizes(r.o)
	for i := len(list) - 1; i >= 0; i-- {
		jobs = append(jobs, func() error {
			m, err := r.measureSize(list[i])
			r.keep(func() { all.sizes = append(all.sizes, m...) })
			return err
		})
	}
	members, slow, lasts := slowCounts(r.o.Quick)
	all.slowOf, all.slowFor = fmt.Sprint(members), lasts.String()
	for _, lifeguard := range []bool{false, true} {
		for _, n := range slow {
			for _, loss := range losses {
				jobs = append(jobs, func() error {
					m, err := r.measureSlow(members, n, loss, lifeguard, lasts)
					if err != nil {
						return err
					}
					r.keep(func() { all.slow = append(all.slow, m) })
					r.progress("%d of %d slow, %d %% lost, Lifeguard %t: %d false deaths, %d of them at healthy members", n, members, loss, lifeguard, m.deaths.all, m.deaths.atHealthy)
					return nil
				})
			}
		}
	}
	return append(jobs, r.tuningJobs(all)...)
}

func (r *runner) tuningJobs(all *results) (jobs []func() error) {
	members, kills, alphas, betas := tunings(r.o.Quick)
	all.tuningOf = fmt.Sprint(members)
	for _, alpha := range alphas {
		for _, beta := range betas {
			for _, loss := range losses {
				jobs = append(jobs, func() error {
					t, err := r.measureTuning(members, kills, alpha, beta, loss)
					if err != nil {
						return err
					}
					r.keep(func() { all.tunings = append(all.tunings, t) })
					r.progress("alpha %d, beta %d, %d %% lost: all know after %v on average", alpha, beta, loss, round(mean(t.all)))
					return nil
				})
			}
		}
	}
	return jobs
}

func (r *runner) keep(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

func (r *runner) parallel(jobs []func() error) {
	next := make(chan func() error)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for job := range next {
				if err := job(); err != nil {
					r.keep(func() { r.err = err })
				}
			}
		})
	}
	for _, job := range jobs {
		next <- job
	}
	close(next)
	workers.Wait()
}

// write writes the page and the plots.
func (r *runner) write(all *results) error {
	if err := os.MkdirAll(r.o.Out, 0o755); err != nil {
		return err
	}
	p := newPage(filepath.Base(r.o.Out), all)
	for _, f := range p.plots {
		if err := os.WriteFile(filepath.Join(r.o.Out, f.file), []byte(f.chart.svg()), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Clean(r.o.Out)+".md", []byte(p.text.String()), 0o644)
}
