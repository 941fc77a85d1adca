package sim

import (
	"time"

	"concord/internal/prng"
)

// Options is everything that a run depends on.
type Options struct {
	Seed     uint64
	Servers  int
	Agents   int // client agents
	Clients  int
	Keys     int
	Duration time.Duration // of the phase with faults
	Settle   time.Duration // bound on the time to converge after it
	Faults   Faults
	Mutant   string // a planted bug, see mutants.go
}

// Faults says which faults there are and how often, as intervals between two of a kind; 0: never.
type Faults struct {
	LossPercent    uint64
	DupPercent     uint64
	ReorderPercent uint64
	Latency        time.Duration // median one way
	HeavyTail      bool
	Partition      time.Duration
	OneWay         time.Duration
	Crash          time.Duration
	Pause          time.Duration
	DiskStall      time.Duration
	Transfer       time.Duration
	DriftPercent   int // clocks run up to so much faster or slower
	FsyncTime      time.Duration
}

// Swarm draws options from a seed. Each fault is switched off altogether in about half of the seeds, so that
// rare combinations are not drowned by common ones (Groce et al.: "Swarm Testing", ISSTA 2012).
func Swarm(seed uint64) Options {
	r := prng.New(seed).Fork("options")
	o := Options{Seed: seed, Servers: 3, Agents: r.IntN(3), Clients: 2 + r.IntN(4), Keys: 1 + r.IntN(4),
		Duration: r.Duration(8*time.Second, 20*time.Second), Settle: 90 * time.Second}
	if r.Chance(1, 3) {
		o.Servers = 5
	}
	f := &o.Faults
	f.Latency = r.Duration(100*time.Microsecond, 3*time.Millisecond)
	f.FsyncTime = r.Duration(50*time.Microsecond, 4*time.Millisecond)
	on := func() bool { return r.Chance(1, 2) }
	pick := func(d *time.Duration, lo, hi time.Duration) {
		if v := r.Duration(lo, hi); on() {
			*d = v
		}
	}
	percent := func(p *uint64, most uint64) {
		if v := 1 + r.Uint64N(most); on() {
			*p = v
		}
	}
	percent(&f.LossPercent, 15)
	percent(&f.DupPercent, 10)
	percent(&f.ReorderPercent, 20)
	f.HeavyTail = on()
	pick(&f.Partition, 2*time.Second, 8*time.Second)
	pick(&f.OneWay, 2*time.Second, 8*time.Second)
	pick(&f.Crash, time.Second, 6*time.Second)
	pick(&f.Pause, 2*time.Second, 8*time.Second)
	pick(&f.DiskStall, time.Second, 6*time.Second)
	pick(&f.Transfer, 2*time.Second, 6*time.Second)
	if on() {
		f.DriftPercent = 1 + r.IntN(4)
	}
	return o
}
