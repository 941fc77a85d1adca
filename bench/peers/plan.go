package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"
)

// part is a cluster that is started once in a round.
type part struct {
	system    system
	nodes     int
	proposers []int
}

// plan is what a round does, in this order. Most proposers come first, so that a log that recycles its files has
// reached its steady state when latency is measured.
func (o options) plan() []part {
	most := slices.Clone(o.proposers)
	slices.SortFunc(most, func(a, b int) int { return b - a })
	var out []part
	for i, n := range o.nodes {
		for _, s := range o.chosen {
			switch {
			case !s.floor:
				out = append(out, part{s, n, most})
			case i == 0:
				out = append(out, part{s, 1, []int{1}})
			}
		}
	}
	return out
}

// roundTime is how long a round may reasonably take.
func (o options) roundTime(plan []part) time.Duration {
	var d time.Duration
	for _, p := range plan {
		d += 10*time.Second + time.Duration(len(p.proposers))*(o.warm+o.length)
	}
	return d
}

// measure starts a cluster, measures it with each number of proposers and removes it.
func (o options) measure(dir string, p part, r *results) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	runtime.GC()
	c, err := p.system.open(dir, p.nodes)
	if err != nil {
		return err
	}
	for _, proposers := range p.proposers {
		got := load(c, proposers, o.warm, o.length)
		if got.commits == 0 {
			return errors.Join(fmt.Errorf("nothing was committed with %d proposers: %w", proposers, got.firstError), c.close())
		}
		fmt.Fprintf(os.Stderr, "    %5d proposer(s)  %9.0f commits/s  p50 %v  p99 %v", proposers, got.rate, short(got.p50), short(got.p99))
		if got.errors > 0 {
			fmt.Fprintf(os.Stderr, "  %d errors, the first: %v", got.errors, got.firstError)
		}
		fmt.Fprintln(os.Stderr)
		r.add(key{p.nodes, proposers, p.system.name}, got)
	}
	return c.close()
}

func short(d time.Duration) time.Duration { return d.Round(max(1, d/1000)) }
