package pool

import (
	"net/netip"
	"time"

	"concord/gossip"
)

// letter is a message under way.
type letter struct {
	from    int32 // host
	life    int32 // of the sender
	stream  bool
	refused bool // by a machine on which nothing listens
	source  netip.AddrPort
	to      netip.AddrPort
	payload []byte
}

// letters keeps the messages under way, and reuses the places of those that arrived.
type letters struct {
	all  []letter
	free []int32
}

func (l *letters) put(m letter) int32 {
	if n := len(l.free); n > 0 {
		i := l.free[n-1]
		l.free = l.free[:n-1]
		l.all[i] = m
		return i
	}
	l.all = append(l.all, m)
	return int32(len(l.all) - 1)
}

func (l *letters) take(i int32) letter {
	m := l.all[i]
	l.all[i] = letter{}
	l.free = append(l.free, i)
	return m
}

// maxGroups is into how many parts a network may be partitioned.
const maxGroups = 8

// Cut lets no message pass from the hosts of group a to those of group b any more.
func (w *World) Cut(a, b int) { w.groups[a][b] = true }

// Mend ends all partitions.
func (w *World) Mend() {
	w.groups = [maxGroups][maxGroups]bool{}
	for _, h := range w.Hosts {
		h.Group = 0
	}
}

func (w *World) blocked(from, to *Host) bool { return w.groups[from.Group][to.Group] }

func (w *World) latency() time.Duration {
	l := w.Net.Latency
	d := w.rng.Duration(l/2, l*3/2)
	if w.Net.HeavyTail && w.rng.Chance(1, 50) {
		d += w.rng.Duration(l*5, l*50)
	}
	return d
}

// Post lets a message travel.
func (w *World) Post(from *Host, s *gossip.Send) {
	m := letter{from: int32(from.index), life: from.life, stream: s.Stream, source: from.addr, to: s.To, payload: s.Payload}
	leave := max(w.now, from.muted)
	if s.Stream {
		w.sent.Streams++
		w.sent.StreamBytes += uint64(len(s.Payload))
		w.at(leave+w.latency()+w.retransmission(), arrive, nobody, w.letters.put(m))
		return
	}
	w.sent.Datagrams++
	w.sent.DatagramBytes += uint64(len(s.Payload))
	copies := 1
	if w.rng.Chance(w.Net.LossPercent, 100) {
		copies = 0
	} else if w.rng.Chance(w.Net.DupPercent, 100) {
		copies = 2
	}
	for range copies {
		d := w.latency()
		if w.rng.Chance(w.Net.ReorderPercent, 100) {
			d += w.rng.Duration(0, 20*w.Net.Latency)
		}
		w.at(leave+d, arrive, nobody, w.letters.put(m))
	}
}

// retransmission is what lost segments cost a connection: its sender waits 200 ms, 400 ms, ... for an answer.
func (w *World) retransmission() (d time.Duration) {
	for wait := 200 * time.Millisecond; w.Net.LossPercent > 0 && wait < 10*time.Second && w.rng.Chance(w.Net.LossPercent, 100); wait *= 2 {
		d += wait
	}
	return d
}

// arrived hands a message to the machine at its address.
func (w *World) arrived(i int32) {
	m := &w.letters.all[i]
	from, to := w.Hosts[m.from], w.hostAt(m.to)
	cut := to != nil && (w.blocked(from, to) || m.stream && w.blocked(to, from))
	if to != nil && to.up() && !cut {
		to.receive(w.letters.take(i))
		return
	}
	if !m.stream {
		w.letters.take(i)
		return
	}
	// A machine on which nothing listens refuses; of one that is cut off, TCP gives up after a while.
	after := w.latency()
	if m.refused = to != nil && !cut; !m.refused {
		after = w.rng.Duration(time.Second, 5*time.Second)
	}
	w.at(w.now+after, failed, nobody, i)
}

// bounced tells the sender of a message over a connection that it did not arrive.
func (w *World) bounced(i int32) {
	m := w.letters.take(i)
	if from := w.Hosts[m.from]; from.up() && from.life == m.life {
		from.streamFailed(m.to, m.refused)
	}
}
