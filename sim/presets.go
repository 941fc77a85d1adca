package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"concord/internal/prng"
)

// presets draw the options of a seed, from quiet to wild.
var presets = map[string]func(seed uint64) Options{
	"calm": calm, "lite": lite, "swarm": Swarm, "torture": torture, "scale": scale, "wan": wan,
}

// Presets lists the names that Preset knows.
func Presets() []string { return slices.Sorted(maps.Keys(presets)) }

// Preset returns the options of a seed under a preset:
//
//	calm     no faults at all
//	lite     crashes, partitions, pauses and slow disks, now and then
//	swarm    each kind of fault off in half of the seeds, so that rare combinations are not drowned by common ones
//	torture  every kind of fault, often
//	scale    many client agents and clients, five or seven servers
//	wan      two datacenters, and faults between them and within each
func Preset(name string, seed uint64) (Options, error) {
	draw, ok := presets[name]
	if !ok {
		return Options{}, fmt.Errorf("unknown preset %q; there are %s", name, strings.Join(Presets(), ", "))
	}
	return draw(seed), nil
}

// base is what all presets have in common.
func base(preset string, seed uint64, r *prng.Rand) Options {
	o := Options{Seed: seed, Preset: preset, Servers: 3, Agents: r.IntN(3), Clients: 2 + r.IntN(4), Watchers: r.IntN(4), Keys: 1 + r.IntN(4),
		Duration: r.Duration(8*time.Second, 20*time.Second), Settle: 90 * time.Second, Think: 150 * time.Millisecond,
		FlushBytes: 2048 << r.IntN(6), ChunkBytes: 256 << r.IntN(8), TrailingLogs: uint64(5 + r.IntN(100))}
	if r.Chance(1, 3) {
		o.Servers = 5
	}
	o.Faults.Latency = r.Duration(100*time.Microsecond, 3*time.Millisecond)
	o.Faults.FsyncTime = r.Duration(50*time.Microsecond, 4*time.Millisecond)
	o.Faults.Every = map[string]time.Duration{}
	return o
}

func calm(seed uint64) Options { return base("calm", seed, prng.New(seed).Fork("options/calm")) }

func lite(seed uint64) Options {
	r := prng.New(seed).Fork("options/lite")
	o := base("lite", seed, r)
	o.Faults.LossPercent = 1
	for _, kind := range []string{"crash", "partition", "pause", "disk-stall"} {
		o.Faults.Every[kind] = r.Duration(4*time.Second, 8*time.Second)
	}
	return o
}

// Swarm draws options in which each fault is switched off altogether in about half of the seeds (Groce et al.:
// "Swarm Testing", ISSTA 2012).
func Swarm(seed uint64) Options {
	r := prng.New(seed).Fork("options")
	o := base("swarm", seed, r)
	o.Pebble = r.Chance(1, 10)
	on := func() bool { return r.Chance(1, 2) }
	percent := func(p *uint64, most uint64) {
		if v := 1 + r.Uint64N(most); on() {
			*p = v
		}
	}
	f := &o.Faults
	percent(&f.LossPercent, 15)
	percent(&f.DupPercent, 10)
	percent(&f.ReorderPercent, 20)
	percent(&f.FaultPoints, 20)
	f.HeavyTail = on()
	if on() {
		f.DriftPercent = 1 + r.IntN(4)
	}
	for _, k := range faultKinds {
		// A stream of its own: a new kind leaves what older ones do in a seed as it was.
		if kr := r.Fork(k.name); kr.Chance(1, 2) {
			f.Every[k.name] = kr.Duration(k.lo, k.hi)
		}
	}
	o.Encrypted = r.Fork("encrypted").Chance(1, 3)
	if wr := r.Fork("remote"); wr.Chance(1, 10) {
		o.drawRemote(wr)
	}
	return o
}

func wan(seed uint64) Options {
	r := prng.New(seed).Fork("options/wan")
	o := base("wan", seed, r)
	o.Servers, o.Duration = 3, r.Duration(10*time.Second, 60*time.Second)
	o.Faults.LossPercent = r.Uint64N(6)
	o.Encrypted = r.Fork("encrypted").Chance(1, 2)
	o.drawRemote(r.Fork("remote"))
	for _, k := range faultKinds {
		if kr := r.Fork(k.name); kr.Chance(1, 4) {
			o.Faults.Every[k.name] = kr.Duration(k.lo, k.hi)
		}
	}
	return o
}

func torture(seed uint64) Options {
	r := prng.New(seed).Fork("options/torture")
	o := base("torture", seed, r)
	o.Servers, o.Agents, o.Clients = 5, 2, 6
	o.Duration = 30 * time.Second
	o.Encrypted = r.Fork("encrypted").Chance(1, 2)
	o.Faults = Faults{LossPercent: 10, DupPercent: 5, ReorderPercent: 10, FaultPoints: 5, HeavyTail: true, DriftPercent: 4,
		Latency: o.Faults.Latency, FsyncTime: o.Faults.FsyncTime, Every: map[string]time.Duration{}}
	for _, k := range faultKinds {
		o.Faults.Every[k.name] = r.Duration(2*k.lo, 2*k.hi)
	}
	return o
}

func scale(seed uint64) Options {
	r := prng.New(seed).Fork("options/scale")
	o := base("scale", seed, r)
	o.Servers, o.Agents, o.Clients, o.Watchers, o.Keys = 5+2*r.IntN(2), 10+r.IntN(10), 10, 10, 8
	o.Think = 200 * time.Millisecond
	o.Faults.LossPercent = 2
	for _, kind := range []string{"crash", "partition", "transfer", "wipe"} {
		o.Faults.Every[kind] = r.Duration(5*time.Second, 10*time.Second)
	}
	return o
}
