package members

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// member is one member of a pool under measurement.
type member interface {
	// join lets it meet another one, and returns when that has answered.
	join(to member) error
	traffic() traffic
	// kill closes its sockets at once, without leaving, and frees what it holds.
	kill() error
}

// traffic is what a member sent: datagrams, and over connections that it or, for bytes, others opened.
type traffic struct{ Datagrams, Bytes, Streams, StreamBytes float64 }

func (t *traffic) add(o traffic) {
	t.Datagrams += o.Datagrams
	t.Bytes += o.Bytes
	t.Streams += o.Streams
	t.StreamBytes += o.StreamBytes
}

// recorder notes what a member learns of the others. It is called by the member's goroutines.
type recorder struct {
	known  atomic.Int64 // members believed alive, itself included
	mu     sync.Mutex
	failed map[string]time.Time // last time that somebody was declared failed
}

func (r *recorder) joined(string) { r.known.Add(1) }
func (r *recorder) gone(name string) {
	r.mu.Lock()
	r.failed[name] = time.Now()
	r.mu.Unlock()
	r.known.Add(-1)
}

func (r *recorder) failedAt(name string) (time.Time, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, ok := r.failed[name]
	return at, ok
}

// seat is a member with its name and its recorder.
type seat struct {
	member
	name string
	seen *recorder
}

// pool is the members under measurement that live.
type pool struct {
	seats []seat
	rng   *rand.Rand
}

// cell is what was measured of one pool.
type cell struct {
	Size   int
	System string

	Formed                 time.Duration   // until all knew all, at most formLimit
	Holes                  int             // members that then still missed somebody
	Memory, Goroutines     float64         // bytes of heap and stacks, per member
	CPU                    float64         // microseconds per member and second at rest
	Sent                   traffic         // per member and second at rest
	Kills, First           []time.Duration // until all others, and the first one, knew of a death
	Starved                bool
	FalseVictims, Falsely  int // living members declared failed while starved, and how often that was
	FalseAtRest, Unnoticed int // living members declared failed otherwise; deaths not known to all within killLimit
}

const (
	formLimit = 10 * time.Second // then what is missing is counted
	healLimit = time.Minute      // until members that are helped know one another
	settle    = 5 * time.Second  // in which a pool still gossips about the joins
	killLimit = time.Minute
	killPause = time.Second
	tick      = 5 * time.Millisecond
)

// measure forms a pool, measures it and removes it.
func measure(o options, s system, size int) (c cell, err error) {
	c = cell{Size: size, System: s.name}
	p := &pool{rng: rand.New(rand.NewPCG(uint64(o.seed), uint64(size)))}
	defer p.close()
	memory, goroutines := footprint()
	if err = p.form(o, s, size, &c); err != nil {
		return c, err
	}
	if o.rest > 0 {
		time.Sleep(settle)
		if err = profiled(o.profile, func() { p.rest(o.rest, &c) }); err != nil {
			return c, err
		}
		m, g := footprint()
		c.Memory, c.Goroutines = (m-memory)/float64(size), (g-goroutines)/float64(size)
	}
	c.FalseAtRest = p.failures().victims
	for range o.kills {
		time.Sleep(killPause)
		if err = p.killOne(&c); err != nil {
			return c, err
		}
	}
	if o.busy > 0 {
		err = p.starve(o, &c)
	}
	return c, err
}

// footprint is the live heap with the stacks, and the goroutines, of this process.
func footprint() (memory, goroutines float64) {
	runtime.GC()
	debug.FreeOSMemory() // a second collection: what finalizers held is gone, stacks are shrunk
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc + m.StackInuse), float64(runtime.NumGoroutine())
}

// form starts the members, each of which joins through a random earlier one.
func (p *pool) form(o options, s system, size int, c *cell) error {
	began := time.Now()
	for i := range size {
		at := seat{name: fmt.Sprintf("member-%04d", i), seen: &recorder{failed: map[string]time.Time{}}}
		var err error
		if at.member, err = s.start(o, at.name, at.seen); err != nil {
			return err
		}
		p.seats = append(p.seats, at)
		if i == 0 {
			continue
		}
		if err := at.join(p.seats[p.rng.IntN(i)].member); err != nil {
			return err
		}
	}
	for p.missing() > 0 && time.Since(began) < formLimit {
		time.Sleep(tick)
	}
	c.Formed, c.Holes = time.Since(began), p.missing()
	return p.heal()
}

// missing counts the members that do not know all others, or hold somebody for alive that is not.
func (p *pool) missing() (n int) {
	for _, s := range p.seats {
		if s.seen.known.Load() != int64(len(p.seats)) {
			n++
		}
	}
	return n
}

// heal lets those that miss somebody join once more, until nobody does.
func (p *pool) heal() error {
	for end := time.Now().Add(healLimit); p.missing() > 0; time.Sleep(time.Second) {
		if time.Now().After(end) {
			return fmt.Errorf("%d of %d members do not know the others after %v", p.missing(), len(p.seats), healLimit)
		}
		for _, s := range p.seats[1:] {
			if err := s.join(p.seats[0].member); err != nil {
				return err
			}
		}
	}
	return nil
}

// rest watches the pool for a while in which nothing happens.
func (p *pool) rest(length time.Duration, c *cell) {
	sent, cpu, began := p.traffic(), processor(), time.Now()
	time.Sleep(length)
	per := float64(len(p.seats)) * time.Since(began).Seconds()
	c.CPU = (processor() - cpu).Seconds() * 1e6 / per
	now := p.traffic()
	c.Sent = traffic{(now.Datagrams - sent.Datagrams) / per, (now.Bytes - sent.Bytes) / per,
		(now.Streams - sent.Streams) / per, (now.StreamBytes - sent.StreamBytes) / per}
}

func (p *pool) traffic() (sum traffic) {
	for _, s := range p.seats {
		sum.add(s.traffic())
	}
	return sum
}

// processor is the processor time that this process has used.
func processor() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// killOne kills a random member and waits until all others know.
func (p *pool) killOne(c *cell) error {
	i := p.rng.IntN(len(p.seats))
	dead := p.seats[i]
	p.seats = slices.Delete(p.seats, i, i+1)
	for _, s := range p.seats {
		s.seen.mu.Lock()
		delete(s.seen.failed, dead.name)
		s.seen.mu.Unlock()
	}
	began := time.Now()
	if err := dead.kill(); err != nil {
		return err
	}
	for {
		first, last, all := p.toldOf(dead.name)
		if all {
			c.First, c.Kills = append(c.First, first.Sub(began)), append(c.Kills, last.Sub(began))
			return nil
		}
		if time.Since(began) > killLimit {
			c.Unnoticed++
			c.First, c.Kills = append(c.First, first.Sub(began)), append(c.Kills, killLimit)
			return nil
		}
		time.Sleep(tick)
	}
}

// toldOf tells when the first and the last member learned of a death, and whether all have.
func (p *pool) toldOf(name string) (first, last time.Time, all bool) {
	all = true
	for _, s := range p.seats {
		at, ok := s.seen.failedAt(name)
		if !ok {
			all = false
			continue
		}
		if first.IsZero() || at.Before(first) {
			first = at
		}
		if at.After(last) {
			last = at
		}
	}
	return first, last, all
}

// mistakes are living members that were declared failed, and by how many in all.
type mistakes struct{ victims, times int }

// failures counts what is held against members that live.
func (p *pool) failures() (m mistakes) {
	for _, victim := range p.seats {
		times := 0
		for _, s := range p.seats {
			if _, ok := s.seen.failedAt(victim.name); ok {
				times++
			}
		}
		if m.times += times; times > 0 {
			m.victims++
		}
	}
	return m
}

// starve lets other threads compete for the processors, and counts who is declared failed meanwhile.
func (p *pool) starve(o options, c *cell) error {
	if err := p.heal(); err != nil {
		return err
	}
	for _, s := range p.seats {
		s.seen.mu.Lock()
		clear(s.seen.failed)
		s.seen.mu.Unlock()
	}
	if err := runBurners(o.burners, o.busy); err != nil {
		return err
	}
	time.Sleep(killPause) // what was decided last
	m := p.failures()
	c.Starved, c.FalseVictims, c.Falsely = true, m.victims, m.times
	return nil
}

func (p *pool) close() {
	var wg sync.WaitGroup
	for _, s := range p.seats {
		wg.Go(func() { s.kill() })
	}
	wg.Wait()
}
