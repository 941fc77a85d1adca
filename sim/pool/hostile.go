package pool

import (
	"fmt"
	"math"
	"net/netip"
	"time"

	"concord/gossip"
	"concord/internal/prng"
	"concord/internal/tick"
	"concord/swim"
	"concord/transport/seal"
	"concord/wire"
)

// RunHostile runs a seed in which somebody who is in the network, but has no key, wants to harm the pool: it sees what members
// send, and sends them what it likes, from any address. With encryption it changes nothing; without, it must
// not crash a member nor make it hold more than its bounds, and what it spoiled is well again when it is gone.
func RunHostile(seed uint64, log func(format string, args ...any)) Report {
	t := newTrial(seed, log)
	if t.w.Key = ""; t.rng.Chance(2, 3) {
		t.w.Key = trialKey
	}
	t.w.Swim.MaxMembers = hostileMembers
	t.hostile = &hostile{t: t, checks: t.checks, rng: prng.New(seed).Fork("hostile"), addr: t.w.newAddr(nobody)}
	t.w.observe = t.hostile
	return t.run([]func(){t.form, t.converge, t.hostile.attack, t.hostile.aftermath})
}

// hostileMembers bounds what members remember of the names that are made up for them.
const hostileMembers = 128

// hostile is who attacks.
type hostile struct {
	t      *Trial
	checks *checks
	rng    *prng.Rand
	addr   netip.AddrPort
	seen   [][]byte // some of what members sent
	names  int      // made up
}

// Did lets it see what is sent. What members believe is checked as ever if they have a key.
func (x *hostile) Did(h *Host, out *gossip.Output) {
	if x.t.w.Key != "" {
		x.checks.Did(h, out)
	}
	if out == nil {
		return
	}
	for i := range out.Sends {
		p := out.Sends[i].Payload
		if len(x.seen) < 256 {
			x.seen = append(x.seen, p)
		} else if x.rng.Chance(1, 4) {
			x.seen[x.rng.IntN(len(x.seen))] = p
		}
	}
}

// Died is told to the checks.
func (x *hostile) Died(h *Host) { x.checks.Died(h) }

// attacks are what it sends, by kind.
var attacks = []struct {
	name string
	make func(x *hostile, victim *Host) []byte
}{
	{"garbage", (*hostile).garbage},
	{"truncated", func(x *hostile, _ *Host) []byte { p := x.any(); return p[:x.rng.IntN(len(p))] }},
	{"tampered with", (*hostile).tampered},
	{"replayed", func(x *hostile, _ *Host) []byte { return x.any() }},
	{"wrong version", func(x *hostile, _ *Host) []byte { p := x.any(); p[0] = byte(x.rng.IntN(256)); return p }},
	{"huge counts", (*hostile).hugeCounts},
	{"slander", (*hostile).slander},
	{"invented members", (*hostile).invented},
	{"invented requests", (*hostile).requests},
	{"invented events", (*hostile).events},
}

// attack sends many of each kind to all members, for two minutes.
func (x *hostile) attack() {
	w := x.t.w
	w.Run(30 * time.Second)
	if w.Key != "" {
		x.t.calm()
	}
	end := w.now + 2*time.Minute
	for w.now < end && x.checks.failure == nil {
		for range 1 + x.rng.IntN(20) {
			a := attacks[x.rng.IntN(len(attacks))]
			victim := w.Hosts[x.rng.IntN(len(w.Hosts))]
			x.t.met[a.name]++
			x.send(victim, a.make(x, victim))
		}
		w.Run(x.rng.Duration(0, 100*time.Millisecond))
		x.bounded()
	}
	x.checks.accuracy.CalmSince = tick.Never
}

// send lets a message arrive, as from its own address or from a member's.
func (x *hostile) send(to *Host, payload []byte) {
	w, source := x.t.w, x.addr
	if x.rng.Chance(1, 2) {
		source = w.Hosts[x.rng.IntN(len(w.Hosts))].addr
	}
	if w.Key != "" && x.rng.Chance(1, 4) {
		payload = x.sealed(payload)
	}
	m := letter{from: int32(to.index), life: nobody, stream: x.rng.Chance(1, 3), source: source, to: to.addr, payload: payload}
	w.at(w.now, arrive, nobody, w.letters.put(m))
}

// sealed encrypts a message with a key that is not the pool's.
func (x *hostile) sealed(payload []byte) []byte {
	key, err := seal.NewKey(make([]byte, 16))
	if err != nil {
		panic(err) // sixteen bytes are a key
	}
	s, err := seal.New(seal.Config{Random: x.rng, MaxSessions: 1})
	if err != nil {
		panic(err)
	}
	out, err := s.Seal(nil, key, seal.Datagram, payload)
	if err != nil {
		panic(err)
	}
	return out
}

// any returns a copy of something that a member sent.
func (x *hostile) any() []byte {
	return append([]byte(nil), x.seen[x.rng.IntN(len(x.seen))]...)
}

func (x *hostile) garbage(*Host) []byte {
	p := make([]byte, x.rng.IntN(2000))
	x.rng.Read(p)
	return p
}

func (x *hostile) tampered(*Host) []byte {
	p := x.any()
	for range 1 + x.rng.IntN(4) {
		p[x.rng.IntN(len(p))] ^= byte(1 + x.rng.IntN(255))
	}
	return p
}

// hugeCounts announces four thousand million elements somewhere in a message.
func (x *hostile) hugeCounts(victim *Host) []byte {
	p := x.slander(victim)
	at := x.rng.IntN(len(p))
	header := []byte{0xdd, 0xdf, 0xc6, 0xdb}[x.rng.IntN(4)] // array, map, bytes, string
	return append(append(p[:at:at], header, 0xff, 0xff, 0xff, 0xff), p[at:]...)
}

// slander says of a member that is well that it is not.
func (x *hostile) slander(*Host) []byte {
	w := x.t.w
	about := w.Hosts[x.rng.IntN(len(w.Hosts))]
	u := about.Pool.Local().Update
	u.State = []swim.State{swim.StateSuspect, swim.StateDead, swim.StateLeft}[x.rng.IntN(3)]
	u.From = w.Hosts[x.rng.IntN(len(w.Hosts))].name
	u.Prune = x.rng.Chance(1, 4)
	u.Incarnation += x.rng.Uint64N(1000)
	if x.rng.Chance(1, 4) {
		u.Age = math.MaxInt64
	}
	u.Tags = nil
	p := swim.Packet{Message: swim.Message{Type: swim.MsgGossip, From: u.From}, Updates: []*swim.Update{&u}}
	if x.rng.Chance(1, 3) {
		p.Message.Type, p.Message.Members, p.Updates = swim.MsgPushPullReply, p.Updates, nil
	}
	return wire.AppendPacket(nil, &p)
}

// invented tells of members that do not exist.
func (x *hostile) invented(*Host) []byte {
	p := swim.Packet{Message: swim.Message{Type: swim.MsgPushPull, From: "x", Join: x.rng.Chance(1, 2)}}
	for range 1 + x.rng.IntN(100) {
		x.names++
		p.Message.Members = append(p.Message.Members, &swim.Update{State: swim.State(1 + x.rng.IntN(4)), Name: fmt.Sprintf("x%d", x.names),
			ID: fmt.Sprint(x.rng.Uint64()), Addr: x.addr, Incarnation: x.rng.Uint64N(1 << 40)})
	}
	return wire.AppendPacket(nil, &p)
}

// requests makes members work, and answer to whoever is named.
func (x *hostile) requests(victim *Host) []byte {
	m := swim.Message{Seq: x.rng.Uint64(), From: fmt.Sprintf("x%d", x.rng.IntN(1000)), Target: victim.name, Addr: x.addr}
	m.Type = []swim.MessageType{swim.MsgPing, swim.MsgPingReq, swim.MsgAck, swim.MsgNack, swim.MsgBuckets, swim.MsgAnswer}[x.rng.IntN(6)]
	if m.Type == swim.MsgBuckets {
		m.Buckets = make([]uint64, 1<<x.rng.IntN(13))
	}
	return wire.AppendPacket(nil, &swim.Packet{Message: m})
}

// events fires user events in others' names, far in the future.
func (x *hostile) events(victim *Host) []byte {
	p := swim.Packet{Message: swim.Message{Type: swim.MsgGossip, From: victim.name}}
	for range 1 + x.rng.IntN(8) {
		p.Events = append(p.Events, swim.UserEvent{LTime: x.rng.Uint64N(1 << 50), Name: "x", Payload: make([]byte, x.rng.IntN(100)), From: victim.name, Number: uint32(x.rng.Uint64())})
	}
	return wire.AppendPacket(nil, &p)
}

// bounded checks that nobody holds more than it may.
func (x *hostile) bounded() {
	for _, h := range x.t.w.Hosts {
		s := h.Pool.Stats()
		if known := s.Alive + s.Failed + s.Left; known > hostileMembers || s.Queued > 4*hostileMembers {
			x.checks.fail("bounds", fmt.Errorf("%s knows %d members and has %d updates to tell; %d members are the most", h.name, known, s.Queued, hostileMembers))
		}
		if members := h.Pool.Members(); x.t.w.Key != "" && len(members) > len(x.t.w.Hosts) {
			x.checks.fail("strangers", fmt.Errorf("%s knows %d members of a pool of %d", h.name, len(members), len(x.t.w.Hosts)))
		}
	}
}

// aftermath lets the pool recover from what was said of its members. Those who had no room left for a member because of
// invented ones have to find out first that these do not answer, one in a period, which is as long as can be.
func (x *hostile) aftermath() {
	within := x.t.bounds.Convergence(seedsEvery, len(x.t.seeds))
	if cfg := &x.t.bounds.Swim; x.t.w.Key == "" {
		within += time.Duration(hostileMembers*cfg.AwarenessMax)*cfg.ProbeInterval + cfg.ReconnectTimeout
	}
	x.t.agree("convergence", within, "the last attack")
}
