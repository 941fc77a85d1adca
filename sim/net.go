package sim

import (
	"time"

	"concord/internal/prng"
	"concord/transport"
)

// network is the virtual network: datagrams may be lost, doubled and reordered; streams keep their order and
// are cut by partitions and crashes, which the sender is told of as a real one is.
type network struct {
	w       *World
	rng     *prng.Rand
	blocked map[link]int           // number of partitions that cut the link
	last    map[flow]time.Duration // when the last message of a stream arrives
}

type link struct{ from, to int }

type flow struct {
	link
	class transport.Class
}

func newNetwork(w *World) *network {
	return &network{w: w, rng: w.rng.Fork("network"), blocked: map[link]int{}, last: map[flow]time.Duration{}}
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
	if e.Class == transport.Gossip {
		n.datagram(l, from, to, e)
		return
	}
	if n.blocked[l] > 0 || n.blocked[link{l.to, l.from}] > 0 {
		// TCP gives up only after a while.
		n.w.stats.Dropped++
		n.tell(from, to, e, transport.Unreachable, n.rng.Duration(200*time.Millisecond, time.Second))
		return
	}
	if to.state == hostDown {
		n.tell(from, to, e, transport.Refused, 2*n.latency())
		return
	}
	f := flow{l, e.Class}
	arrive := max(w.now+n.latency(), n.last[f]+time.Nanosecond)
	n.last[f] = arrive
	fromEpoch, toEpoch := from.epoch, to.epoch
	w.at(arrive, "stream", to.index, func() {
		if n.blocked[l] > 0 || to.epoch != toEpoch {
			w.stats.Dropped++
			if from.epoch == fromEpoch {
				n.tell(from, to, e, transport.Unreachable, n.latency())
			}
			return
		}
		to.deliver(from, e)
	})
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
		d := n.latency()
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

// tell lets the sender notice that a stream did not get through.
func (n *network) tell(from, to *Host, e transport.Envelope, what transport.EventType, after time.Duration) {
	epoch := from.epoch
	n.w.after(after, "peer", from.index, func() {
		if from.epoch == epoch && from.state == hostUp {
			from.input(func() { from.node.OnPeerEvent(transport.Event{Type: what, Class: e.Class, Peer: e.To}) })
		}
	})
}

// hostDied lets those who talked to a host that crashed notice, as the kernel of a killed process makes
// them: connections are reset and new ones refused.
func (n *network) hostDied(dead *Host) {
	for _, h := range n.w.hosts {
		if h == dead || h.state != hostUp || n.blocked[link{dead.index, h.index}] > 0 || n.blocked[link{h.index, dead.index}] > 0 {
			continue
		}
		for _, class := range []transport.Class{transport.Raft, transport.RPC} {
			n.tell(h, dead, transport.Envelope{To: dead.rpc, Class: class}, transport.Refused, n.latency())
		}
	}
}

// cut blocks a link until the returned function is called.
func (n *network) cut(l link) func() {
	n.blocked[l]++
	return func() { n.blocked[l]-- }
}
