package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"
)

// step is a cell to be measured: a cluster of its own, so that nothing depends on what was measured before.
type step struct {
	key
	open  func(dir string, s shape) (cluster, error)
	floor bool
}

// openLimit is how long starting and stopping a cluster may take on average.
const openLimit = 10 * time.Second

// plan is what a round does. The systems that are compared with one another follow one another.
func (o options) plan() []step {
	var out []step
	for i, n := range o.nodes {
		for k, p := range o.proposers {
			for _, s := range o.chosen {
				if s.floor && (i > 0 || k > 0) {
					continue
				}
				at := shape{n, p}
				if s.floor {
					at = shape{1, 1}
				}
				out = append(out, step{key{at, s.name}, s.open, s.floor})
			}
		}
	}
	return out
}

// measure starts a cluster, measures it and removes it.
func (o options) measure(dir string, s step) (cell, error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return cell{}, err
	}
	defer func() {
		os.RemoveAll(dir)
		syscall.Sync() // what is left to do for this cell's files is not the next one's burden
	}()
	runtime.GC()
	c, err := s.open(dir, s.shape)
	if err != nil {
		return cell{}, err
	}
	if !s.floor {
		load(c, 1024, 0, o.warm) // logs that recycle their files reach their steady state
	}
	got := load(c, s.proposers, o.warm, o.length)
	if got.commits == 0 {
		return got, errors.Join(fmt.Errorf("nothing was committed: %w", got.firstError), c.close())
	}
	return got, c.close()
}

func progress(round, rounds int, s step, c cell) {
	fmt.Fprintf(os.Stderr, "round %d/%d  %d node(s)  %4d proposer(s)  %-16s  %8.0f commits/s  p50 %-9v p99 %v", round+1, rounds,
		s.nodes, s.proposers, s.system, c.rate, short(c.p50), short(c.p99))
	if c.errors > 0 {
		fmt.Fprintf(os.Stderr, "  %d errors, the first: %v", c.errors, c.firstError)
	}
	fmt.Fprintln(os.Stderr)
}

func short(d time.Duration) time.Duration { return d.Round(max(time.Microsecond, d/100)) }
