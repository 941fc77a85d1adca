package sim

import (
	"net/netip"
	"slices"

	"concord/internal/prng"
	"concord/sim/invariants"
	"concord/swim"
	"concord/transport"
	"concord/transport/seal"
	"concord/wire"
)

// tapeLength is how many messages the stranger has recorded.
const tapeLength = 64

// tape is what somebody recorded who sees all that goes over the network, and has no key.
type tape struct{ last []recording }

// recording is a message that a host took in.
type recording struct {
	to    *Host
	life  int
	class transport.Class
	from  transport.Addr
	data  []byte
}

func (t *tape) record(r recording) {
	if t.last = append(t.last, r); len(t.last) > tapeLength {
		t.last = slices.Delete(t.last, 0, 1)
	}
}

// gossipTaken is how many messages of the LAN pool a host's node has taken in.
func (h *Host) gossipTaken() uint64 {
	s := h.node.GossipStats()
	return s.PacketsReceived + s.StreamsReceived
}

// onMessage hands a message to the node, and records it if it is gossip that was taken in.
func (h *Host) onMessage(e transport.Envelope) {
	if !h.w.Options.Encrypted || e.Class != transport.Gossip && e.Class != transport.GossipStream {
		h.node.OnMessage(e)
		return
	}
	before := h.gossipTaken()
	h.node.OnMessage(e)
	if h.gossipTaken() != before {
		h.w.tape.record(recording{h, h.epoch, e.Class, e.From, e.Payload})
	}
}

// hostile is something that the stranger sends.
type hostile struct {
	what  string
	to    *Host
	class transport.Class
	from  transport.Addr
	data  []byte
	// harmless messages may be taken in: they are genuine ones that come late.
	harmless bool
}

// attacks are what the stranger may do. Each returns false where there is nothing to do it with.
var attacks = []func(*nemesis, *prng.Rand) (hostile, bool){
	(*nemesis).garbage, (*nemesis).replay, (*nemesis).misdirect, (*nemesis).tamper, (*nemesis).truncate, (*nemesis).forgePlain,
	(*nemesis).forgeSealed, (*nemesis).otherPool, (*nemesis).removedKey, (*nemesis).otherKind,
}

// stranger sends a few messages without having the key.
func (n *nemesis) stranger(r *prng.Rand) string {
	if !n.w.Options.Encrypted {
		return ""
	}
	did := ""
	for range 1 + r.IntN(6) {
		m, ok := attacks[r.IntN(len(attacks))](n, r)
		if !ok || m.to.state == hostDown {
			continue
		}
		did = m.what + " to " + m.to.name
		n.w.cover("stranger: " + m.what)
		n.w.trace.Bytes(m.data)
		if m.harmless {
			// Who has not been here when an event was fired cannot tell a recording of it from one that was just fired.
			m.to.born = 0
		}
		m.to.input(func() {
			before := m.to.gossipTaken()
			m.to.node.OnMessage(transport.Envelope{From: m.from, Class: m.class, Payload: m.data})
			if !m.harmless {
				n.w.checks.verify("stranger", n.w.checks.stranger.Taken(m.to.name, "a message of a stranger: "+m.what, before, m.to.gossipTaken()))
			}
		})
	}
	return did
}

// aim is a message to anybody, that seems to come from anybody.
func (n *nemesis) aim(r *prng.Rand, what string) hostile {
	m := hostile{what: what, to: n.any(r), class: transport.Gossip, from: transport.Addr(n.any(r).gossip)}
	if r.Chance(1, 4) {
		m.class = transport.GossipStream
	}
	return m
}

// recorded is a message from the tape, to whom it was sent.
func (n *nemesis) recorded(r *prng.Rand, what string) (hostile, bool) {
	all := n.w.tape.last
	if len(all) == 0 {
		return hostile{}, false
	}
	c := all[r.IntN(len(all))]
	return hostile{what: what, to: c.to, class: c.class, from: c.from, data: slices.Clone(c.data), harmless: c.to.epoch != c.life}, true
}

func (n *nemesis) garbage(r *prng.Rand) (hostile, bool) {
	m := n.aim(r, "garbage")
	m.data = make([]byte, r.IntN(transport.MaxDatagram))
	r.Read(m.data)
	if len(m.data) > 0 && r.Chance(1, 2) {
		m.data[0] = []byte{byte(seal.Sealed), byte(seal.Labelled), wire.Version}[r.IntN(3)]
	}
	return m, true
}

// replay sends a message again to who got it.
func (n *nemesis) replay(r *prng.Rand) (hostile, bool) { return n.recorded(r, "a replay") }

// misdirect sends a message to somebody whom it was not meant for.
func (n *nemesis) misdirect(r *prng.Rand) (hostile, bool) {
	m, ok := n.recorded(r, "a misdirected message")
	m.to, m.harmless = n.any(r), true
	return m, ok
}

func (n *nemesis) tamper(r *prng.Rand) (hostile, bool) {
	m, ok := n.recorded(r, "a changed message")
	if ok {
		m.data[r.IntN(len(m.data))] ^= 1 << r.IntN(8)
		m.to, m.harmless = n.any(r), false
	}
	return m, ok
}

func (n *nemesis) truncate(r *prng.Rand) (hostile, bool) {
	m, ok := n.recorded(r, "a truncated message")
	if ok {
		m.data = m.data[:r.IntN(len(m.data))]
		m.to, m.harmless = n.any(r), false
	}
	return m, ok
}

// otherKind sends a datagram as a stream, or the other way round.
func (n *nemesis) otherKind(r *prng.Rand) (hostile, bool) {
	m, ok := n.recorded(r, "a message of another kind")
	m.to, m.harmless = n.any(r), false
	m.class = transport.Gossip + transport.GossipStream - m.class
	return m, ok
}

// lie is a plain message that says that a member is gone.
func (n *nemesis) lie(r *prng.Rand, m *hostile) {
	victim, by := n.any(r), n.any(r)
	u := &swim.Update{State: []swim.State{swim.StateDead, swim.StateLeft, swim.StateSuspect, swim.StateAlive}[r.IntN(4)], Name: victim.name, ID: victim.id,
		Addr: netip.MustParseAddrPort(victim.gossip), Incarnation: invariants.ForgedIncarnation + r.Uint64N(1000), From: by.name}
	p := swim.Packet{Message: swim.Message{Type: swim.MsgGossip, From: by.name}, Updates: []*swim.Update{u}}
	if m.class == transport.GossipStream {
		p = swim.Packet{Message: swim.Message{Type: swim.MsgPushPull, From: by.name, Members: []*swim.Update{u}}}
	}
	m.data = wire.AppendPacket(nil, &p)
}

func (n *nemesis) forgePlain(r *prng.Rand) (hostile, bool) {
	m := n.aim(r, "a lie in the clear")
	n.lie(r, &m)
	s, err := seal.New(seal.Config{Label: n.label(), Random: r, MaxSessions: 1})
	n.w.checks.verify("stranger", err)
	if r.Chance(3, 4) {
		m.data = s.AppendLabel(nil, m.data) // which is no secret
	}
	return m, true
}

// sealedLie is a lie sealed with a key for the pool of a label.
func (n *nemesis) sealedLie(r *prng.Rand, m *hostile, key, label string) error {
	n.lie(r, m)
	k, err := seal.ParseKey(key)
	if err != nil {
		return err
	}
	s, err := seal.New(seal.Config{Label: label, Random: r, MaxSessions: 1})
	if err != nil {
		return err
	}
	kind := seal.Datagram
	if m.class == transport.GossipStream {
		kind = seal.Stream
	}
	m.data, err = s.Seal(nil, k, kind, m.data)
	return err
}

func (n *nemesis) label() string { return "sim-" + n.w.Datacenter }

// forgeSealed seals with a key of the stranger's own; sometimes it says that it was one of the pool's.
func (n *nemesis) forgeSealed(r *prng.Rand) (hostile, bool) {
	m := n.aim(r, "a lie under a key of its own")
	n.w.checks.verify("stranger", n.sealedLie(r, &m, "c3RyYW5nZXItc3RyYW5nZQ==", n.label()))
	if genuine, ok := n.recorded(r, ""); ok && r.Chance(1, 2) {
		copy(m.data[1:], genuine.data[1:1+seal.FingerprintSize])
	}
	return m, true
}

// otherPool sends what a pool with another label, that has the same key, might; sometimes with the fingerprint of this
// pool's label.
func (n *nemesis) otherPool(r *prng.Rand) (hostile, bool) {
	m := n.aim(r, "a message of another pool")
	n.w.checks.verify("stranger", n.sealedLie(r, &m, n.w.keys.primary, "another pool"))
	if genuine, ok := n.recorded(r, ""); ok && r.Chance(3, 4) {
		at := 1 + seal.FingerprintSize
		copy(m.data[at:], genuine.data[at:at+seal.FingerprintSize])
	}
	return m, true
}

// removedKey seals with a key that was taken out of use.
func (n *nemesis) removedKey(r *prng.Rand) (hostile, bool) {
	gone := n.w.keys.retired
	m := n.aim(r, "a lie under a removed key")
	if len(gone) == 0 || m.to.node == nil || m.to.state != hostUp {
		return m, false
	}
	key := gone[r.IntN(len(gone))]
	n.w.checks.verify("stranger", n.sealedLie(r, &m, key, n.label()))
	return m, true
}
