// Package pool simulates pools of gossip alone: up to ten thousand members (gossip.Pool, with its codec, so
// that only bytes cross) in one goroutine, on a virtual clock and a virtual network, under faults. The same
// seed gives the same run, event by event.
//
// What the paper of SWIM and that of Lifeguard promise is checked by Trial (seeds with faults, invariants in
// pool/invariants) and measured by pool/plots.
package pool

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"concord/gossip"
	"concord/internal/prng"
	"concord/sim/trace"
	"concord/swim"
	"concord/wire"
)

// Options are what a World is made from.
type Options struct {
	Seed  uint64
	Hosts int
	// Swim has the timing of all members; Name, ID, Addr and Incarnation are set for each.
	Swim swim.Config
	Net  Network
	// Key encrypts the pool; "": it is not encrypted.
	Key string
	// Share lets equal claims be one in memory, whoever decodes them. It changes nothing else.
	Share bool
}

// Network says how messages travel.
type Network struct {
	// Latency of a datagram is drawn between a half and one and a half of this.
	Latency time.Duration
	// HeavyTail lets one datagram of fifty take five to fifty times as long.
	HeavyTail bool
	// LossPercent of the datagrams are lost; connections make good for it and take longer.
	LossPercent uint64
	// DupPercent of the datagrams arrive twice.
	DupPercent uint64
	// ReorderPercent of the datagrams are overtaken by others.
	ReorderPercent uint64
}

// Observer is told what the members do.
type Observer interface {
	// Did is called after each input of a member, with what came of it.
	Did(h *Host, out *gossip.Output)
	// Died is called when a member's process ends.
	Died(h *Host)
}

// World is virtual time, the machines and everything that is going to happen.
type World struct {
	Options
	Hosts []*Host

	now     time.Duration
	rng     *prng.Rand // of the network
	events  queue
	seq     uint64
	letters letters
	calls   []func()
	owners  []int32 // of the addresses, by number: a host, or nobody
	groups  [maxGroups][maxGroups]bool
	observe Observer
	trace   trace.Hash
	log     func(format string, args ...any)
	sent    Traffic
	claims  *wire.Claims // nil: each member has its own
}

// Traffic is what members sent.
type Traffic struct {
	Datagrams, DatagramBytes uint64
	Streams, StreamBytes     uint64
	Events                   uint64 // that the simulator handled
}

// Minus returns what was sent since an earlier count.
func (t Traffic) Minus(o Traffic) Traffic {
	return Traffic{t.Datagrams - o.Datagrams, t.DatagramBytes - o.DatagramBytes, t.Streams - o.Streams, t.StreamBytes - o.StreamBytes, t.Events - o.Events}
}

const (
	port   = 7946
	nobody = -1
)

// New returns a world of machines on which nothing runs yet. log may be nil.
func New(o Options, observe Observer, log func(format string, args ...any)) *World {
	w := &World{Options: o, rng: prng.New(o.Seed).Fork("network"), observe: observe, trace: trace.New(), log: log}
	if o.Share {
		w.claims = wire.NewClaims(4 * o.Hosts)
	}
	for i := range o.Hosts {
		w.Hosts = append(w.Hosts, newHost(w, i))
	}
	return w
}

// Now is the virtual time.
func (w *World) Now() time.Duration { return w.now }

// Sent is what all members sent since the beginning.
func (w *World) Sent() Traffic { return w.sent }

// Hash is that of all that happened so far.
func (w *World) Hash() string { return w.trace.String() }

// Run lets time pass.
func (w *World) Run(d time.Duration) {
	end := w.now + d
	for len(w.events) > 0 && w.events[0].at <= end {
		e := w.events.pop()
		w.now = e.at
		w.sent.Events++
		w.handle(&e)
	}
	w.now = end
}

// Until lets time pass until ok holds, looking every so often, for at most d. It returns how long that took and
// whether it holds.
func (w *World) Until(d, every time.Duration, ok func() bool) (time.Duration, bool) {
	began := w.now
	for !ok() {
		if w.now-began >= d {
			return w.now - began, false
		}
		w.Run(every)
	}
	return w.now - began, true
}

func (w *World) handle(e *event) {
	switch e.kind {
	case timer:
		w.Hosts[e.host].wake(e.arg)
	case arrive:
		w.arrived(e.arg)
	case failed:
		w.bounced(e.arg)
	case resume:
		w.Hosts[e.host].resume(e.arg)
	case ask:
		w.Hosts[e.host].askSeeds(e.arg)
	case call:
		f := w.calls[e.arg]
		w.calls[e.arg] = nil
		f()
	}
}

func (w *World) at(at time.Duration, k kind, host, arg int32) {
	w.seq++
	w.events.push(event{at: max(at, w.now), seq: w.seq, host: host, arg: arg, kind: k})
}

// After lets f happen later.
func (w *World) After(d time.Duration, f func()) {
	w.calls = append(w.calls, f)
	w.at(w.now+d, call, nobody, int32(len(w.calls)-1))
}

func (w *World) logf(format string, args ...any) {
	if w.log != nil {
		w.log("%12v "+format, append([]any{w.now.Truncate(time.Microsecond)}, args...)...)
	}
}

// newAddr gives a host an address that nobody had before. Its number is the last three bytes.
func (w *World) newAddr(host int) netip.AddrPort {
	i := len(w.owners)
	w.owners = append(w.owners, int32(host))
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), port)
}

// hostAt returns the machine at an address, or nil.
func (w *World) hostAt(a netip.AddrPort) *Host {
	if !a.Addr().Is4() || a.Port() != port {
		return nil
	}
	b := a.Addr().As4()
	i := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
	if b[0] != 10 || i >= len(w.owners) || w.owners[i] == nobody {
		return nil
	}
	return w.Hosts[w.owners[i]]
}

func nameOf(i int) string { return fmt.Sprintf("n%05d", i) }

// Host returns the host of a member's name, or nil.
func (w *World) Host(name string) *Host {
	i, err := strconv.Atoi(strings.TrimPrefix(name, "n"))
	if err != nil || i < 0 || i >= len(w.Hosts) {
		return nil
	}
	return w.Hosts[i]
}
