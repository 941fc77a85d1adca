package sim

import (
	"time"

	"concord/internal/prng"
	"concord/raft"
	"concord/transport"
	"concord/wire"
)

// network is the virtual network: datagrams may be lost, doubled and reordered; streams keep their order and
// are cut by partitions and crashes, which the sender is told of as a real one is.
type network struct {
	w       *World
	rng     *prng.Rand
	blocked map[link]int           // number of partitions that cut the link
	last    map[flow]time.Duration // when the last message of a stream arrives
	slow    map[link]time.Duration // added to the latency
	filters map[filter]int         // messages of Raft that are lost
	resets  map[int]int            // how often a host's connections were broken
}

type link struct{ from, to int }

type filter struct {
	to   int
	kind raft.MessageType
}

type flow struct {
	link
	class transport.Class
}

func newNetwork(w *World) *network {
	return &network{w: w, rng: w.rng.Fork("network"), blocked: map[link]int{}, last: map[flow]time.Duration{},
		slow: map[link]time.Duration{}, filters: map[filter]int{}, resets: map[int]int{}}
}

func (n *network) latency() time.Duration {
	l := n.w.faults.Latency
	d := n.rng.Duration(l/2, l*3/2)
	if n.w.faults.HeavyTail && n.rng.Chance(1, 50) {
		d += n.rng.Duration(l*5, l*50)
	}
	return d
}

// send lets an envelope travel.
func (n *network) send(from *Host, e transport.Envelope) {
	w := n.w
	to := w.byAddr[string(e.To)]
	if to == nil {
		return
	}
	w.stats.Messages++
	l := link{from.index, to.index}
	if e.Class.Datagram() {
		n.datagram(l, from, to, e)
		return
	}
	if string(e.To) == to.outside {
		n.tell(from, e.To, e.Class, transport.Refused, 2*n.latency(), e.Payload)
		return
	}
	if n.blocked[l] > 0 || n.blocked[link{l.to, l.from}] > 0 {
		// TCP gives up only after a while.
		n.broken(from, to, e.Class, n.rng.Duration(200*time.Millisecond, time.Second))
		return
	}
	if to.state == hostDown {
		n.tell(from, e.To, e.Class, transport.Refused, 2*n.latency(), e.Payload)
		return
	}
	if n.filtered(to, e) {
		w.stats.Dropped++
		return
	}
	f := flow{l, e.Class}
	arrive := max(w.now+n.latency()+n.slow[l], n.last[f]+time.Nanosecond)
	n.last[f] = arrive
	toEpoch, resets := to.epoch, n.resets[l.from]+n.resets[l.to]
	w.at(arrive, "stream", to.index, func() {
		if n.blocked[l] > 0 || to.epoch != toEpoch || n.resets[l.from]+n.resets[l.to] != resets {
			n.broken(from, to, e.Class, n.latency())
			return
		}
		to.deliver(from, e)
	})
}

// broken loses a message of a stream, and with it the connection, which both ends notice.
func (n *network) broken(from, to *Host, class transport.Class, after time.Duration) {
	n.w.stats.Dropped++
	n.tell(from, to.endpoint(class), class, transport.Unreachable, after)
	n.tell(to, from.endpoint(class), class, transport.Unreachable, after)
}

// endpoint is the address of a host in messages of a class.
func (h *Host) endpoint(class transport.Class) transport.Addr {
	switch class {
	case transport.Raft, transport.RPC:
		return h.rpc
	case transport.WANGossip, transport.WANGossipStream:
		return transport.Addr(h.wan)
	}
	return transport.Addr(h.gossip)
}

func (n *network) datagram(l link, from, to *Host, e transport.Envelope) {
	f := n.w.faults
	copies := 1
	if n.rng.Chance(f.LossPercent, 100) {
		copies = 0
	} else if n.rng.Chance(f.DupPercent, 100) {
		copies = 2
	}
	if copies == 0 {
		n.w.stats.Dropped++
	}
	for range copies {
		d := n.latency() + n.slow[l]
		if n.rng.Chance(f.ReorderPercent, 100) {
			d += n.rng.Duration(0, 20*f.Latency)
		}
		n.w.after(d, "datagram", to.index, func() {
			if n.blocked[l] > 0 {
				n.w.stats.Dropped++
				return
			}
			to.deliver(from, e)
		})
	}
}

// tell lets a host notice that its connection to a peer is gone, and what was not sent over it.
func (n *network) tell(h *Host, peer transport.Addr, class transport.Class, what transport.EventType, after time.Duration, unsent ...[]byte) {
	epoch := h.epoch
	n.w.after(after, "peer", h.index, func() {
		if h.epoch == epoch && h.state != hostDown {
			h.input(func() { h.node.OnPeerEvent(transport.Event{Type: what, Class: class, Peer: peer, Unsent: unsent}) })
		}
	})
}

// hostDied lets those who talked to a host that crashed notice, as the kernel of a killed process makes
// them: connections are reset and new ones refused. Those who are cut off notice by keepalives.
func (n *network) hostDied(dead *Host) {
	for _, h := range n.w.all() {
		if h == dead || h.state == hostDown {
			continue
		}
		after, what := n.latency(), transport.Refused
		if n.blocked[link{dead.index, h.index}] > 0 || n.blocked[link{h.index, dead.index}] > 0 {
			after, what = n.rng.Duration(time.Second, 3*time.Second), transport.Unreachable
		}
		for _, class := range []transport.Class{transport.Raft, transport.RPC} {
			n.tell(h, dead.rpc, class, what, after)
		}
	}
}

// cut blocks a link until the returned function is called.
func (n *network) cut(l link) func() {
	n.blocked[l]++
	return func() { n.blocked[l]-- }
}

// filtered tells whether the message is of a type that is being lost.
func (n *network) filtered(to *Host, e transport.Envelope) bool {
	if len(n.filters) == 0 || e.Class != transport.Raft {
		return false
	}
	m, err := wire.DecodeRaft(e.Payload)
	return err == nil && n.filters[filter{to.index, m.Type}] > 0
}

// reset breaks the connections of a host: what is under way does not arrive, and both ends notice.
func (n *network) reset(h *Host) {
	n.resets[h.index]++
	for _, o := range n.w.all() {
		if o == h || o.state == hostDown || h.state == hostDown {
			continue
		}
		for _, class := range []transport.Class{transport.Raft, transport.RPC} {
			n.tell(o, h.endpoint(class), class, transport.Unreachable, n.latency())
			n.tell(h, o.endpoint(class), class, transport.Unreachable, n.latency())
		}
	}
}
