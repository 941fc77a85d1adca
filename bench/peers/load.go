package main

import (
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// maxProposers bounds -proposers.
const maxProposers = 16384

// cell is what was measured of one system, at one number of nodes and proposers, in one round.
type cell struct {
	commits, errors uint64
	rate            float64 // commits per second
	p50, p99        time.Duration
	allocs, bytes   float64 // per commit, by all nodes in this process and the proposers
	cpu             time.Duration
	firstError      error
}

// phases of a load.
const (
	warming int32 = iota
	measuring
	stopping
)

// load lets proposers propose, one command after the other, and measures for a while after a warm-up.
func load(c cluster, proposers int, warm, length time.Duration) cell {
	var phase atomic.Int32
	workers := make([]worker, proposers)
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() { workers[i].run(c, i, &phase) })
	}
	time.Sleep(warm)
	runtime.GC()
	before := usage()
	phase.Store(measuring)
	time.Sleep(length)
	phase.Store(stopping)
	after := usage()
	wg.Wait()
	return sum(workers, before, after)
}

// worker is one proposer and what it saw while measuring.
type worker struct {
	commits, errors uint64
	firstError      error
	latency         histogram
}

func (w *worker) run(c cluster, number int, phase *atomic.Int32) {
	for {
		begin := time.Now()
		err := c.propose(number)
		now := phase.Load()
		if err != nil {
			if w.errors++; w.firstError == nil {
				w.firstError = err
			}
			time.Sleep(time.Millisecond)
		} else if now == measuring {
			w.commits++
			w.latency.add(time.Since(begin))
		}
		if now == stopping {
			return
		}
	}
}

// used is what the process has used up to a moment.
type used struct {
	at     time.Time
	memory runtime.MemStats
	cpu    time.Duration
}

func usage() used {
	u := used{at: time.Now()}
	runtime.ReadMemStats(&u.memory)
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) == nil {
		u.cpu = time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	return u
}

func sum(workers []worker, before, after used) cell {
	var out cell
	var all histogram
	for i := range workers {
		w := &workers[i]
		out.commits += w.commits
		out.errors += w.errors
		if out.firstError == nil {
			out.firstError = w.firstError
		}
		all.merge(&w.latency)
	}
	n := float64(max(1, out.commits))
	out.rate = float64(out.commits) / after.at.Sub(before.at).Seconds()
	out.p50, out.p99 = all.quantile(0.5), all.quantile(0.99)
	out.allocs = float64(after.memory.Mallocs-before.memory.Mallocs) / n
	out.bytes = float64(after.memory.TotalAlloc-before.memory.TotalAlloc) / n
	out.cpu = time.Duration(float64(after.cpu-before.cpu) / n)
	return out
}

// histogram counts durations in buckets that are an eighth of a power of two wide, without allocating.
type histogram [40 * 8]uint32

func (h *histogram) add(d time.Duration) { h[bucket(d)]++ }

func bucket(d time.Duration) int {
	if d < 8 {
		return int(max(0, d))
	}
	exp := bits.Len64(uint64(d)) - 4
	return min(len(histogram{})-1, exp*8+int(d>>exp))
}

// lower is the shortest duration of a bucket.
func lower(bucket int) time.Duration {
	if bucket < 16 {
		return time.Duration(bucket)
	}
	exp := bucket/8 - 1
	return time.Duration(bucket%8+8) << exp
}

func (h *histogram) merge(other *histogram) {
	for i, n := range other {
		h[i] += n
	}
}

// quantile returns the middle of the bucket that contains the quantile.
func (h *histogram) quantile(q float64) time.Duration {
	var total, seen uint64
	for _, n := range h {
		total += uint64(n)
	}
	for i, n := range h {
		if seen += uint64(n); n > 0 && float64(seen) >= q*float64(total) {
			return (lower(i) + lower(i+1)) / 2
		}
	}
	return 0
}
