package swim

import (
	"container/heap"
	"fmt"
	"net/netip"
	"time"

	"concord/internal/prng"
	"concord/internal/tick"

	"github.com/stretchr/testify/require"
)

// network is a deterministic virtual network of nodes for these tests. Each machine has an address; a
// node that restarts may get another one.
type network struct {
	t       tester
	rng     *prng.Rand
	now     time.Duration
	events  eventHeap
	order   uint64
	peers   []*peer
	byAddr  map[netip.AddrPort]*peer
	loss    uint64                         // of 100 datagrams
	latency [2]time.Duration               // of datagrams and streams
	cut     func(a, b *peer) bool          // no traffic from a to b
	delay   func(a, b *peer) time.Duration // instead of latency, between those who run
	packets int
	bytes   int
	refuses bool // machines answer where no node runs
	trace   func(format string, args ...any)
	wait    map[*peer]time.Duration // the tick that is scheduled
	respond func(p *peer, q Question)
	twice   uint64 // of 100 datagrams come twice
	// routers put addresses of their own, at which nobody listens for streams, into all datagrams on the way.
	routers bool
}

// tester is a test or a property.
type tester interface {
	require.TestingT
	Helper()
	Logf(format string, args ...any)
}

type peer struct {
	*Node
	name    string
	cfg     Config
	addr    netip.AddrPort
	up      bool
	kept    uint64 // persisted incarnation
	life    int
	events  []Event
	notices []Notice
	joined  []JoinResult
	fired   []UserEvent // delivered here, in this life
	before  []UserEvent // and in former ones
	asked   []Question
	replies []Reply
	left    bool
}

type netEvent struct {
	at    time.Duration
	order uint64
	do    func()
}

type eventHeap []netEvent

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].order < h[j].order
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(netEvent)) }
func (h *eventHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = netEvent{}
	*h = old[:len(old)-1]
	return e
}

func newNetwork(t tester, seed uint64) *network {
	return &network{
		t: t, rng: prng.New(seed), byAddr: make(map[netip.AddrPort]*peer), wait: make(map[*peer]time.Duration),
		latency: [2]time.Duration{time.Millisecond, 3 * time.Millisecond},
	}
}

func address(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 8301)
}

// translated is the address that a router puts into a datagram, or the one it stands for.
func translated(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr(), a.Port()^0x8000)
}

func nodeName(i int) string { return fmt.Sprintf("n%05d", i) }

func (w *network) at(at time.Duration, do func()) {
	w.order++
	heap.Push(&w.events, netEvent{at: at, order: w.order, do: do})
}

// add makes node i of the configuration and starts it.
func (w *network) add(i int, cfg Config) *peer {
	cfg.Name, cfg.Addr = nodeName(i), address(i)
	if cfg.ID == "" {
		cfg.ID = fmt.Sprintf("id-%05d", i)
	}
	p := &peer{name: cfg.Name, cfg: cfg, addr: cfg.Addr}
	w.peers = append(w.peers, p)
	w.start(p)
	return p
}

func (w *network) start(p *peer) {
	p.life++
	cfg := p.cfg
	cfg.Incarnation, cfg.Addr = p.kept, p.addr
	node, err := New(cfg, w.rng.Fork(fmt.Sprintf("%s/%d", p.name, p.life)), w.now)
	require.NoError(w.t, err)
	p.Node, p.up, p.left = node, true, false
	p.before, p.fired = append(p.before, p.fired...), nil
	w.byAddr[p.addr] = p
	w.drain(p)
}

func (w *network) crash(p *peer) {
	p.up = false
	delete(w.byAddr, p.addr)
}

// cluster makes n nodes that all joined the first.
func (w *network) cluster(n int, cfg Config) []*peer {
	for i := range n {
		w.add(i, cfg)
	}
	for _, p := range w.peers[1:] {
		w.join(p, w.peers[0])
	}
	return w.peers
}

func (w *network) join(p *peer, to ...*peer) {
	addrs := make([]netip.AddrPort, len(to))
	for i := range to {
		addrs[i] = to[i].addr
	}
	p.Join(w.now, addrs)
	w.drain(p)
}

// do calls an input of the peer.
func (w *network) do(p *peer, f func(now time.Duration)) {
	f(w.now)
	w.drain(p)
}

// drain carries out what the node wants done.
func (w *network) drain(p *peer) {
	if p.HasOutput() {
		out := p.Output()
		p.events = append(p.events, out.Events...)
		p.notices = append(p.notices, out.Notices...)
		p.joined = append(p.joined, out.Joined...)
		p.fired = append(p.fired, out.UserEvents...)
		p.replies = append(p.replies, out.Replies...)
		p.asked = append(p.asked, out.Questions...)
		for _, q := range out.Questions {
			if w.respond != nil {
				w.respond(p, q)
			}
		}
		if p.HasOutput() {
			defer w.drain(p)
		}
		p.left = p.left || out.Left
		if out.Incarnation != 0 {
			require.Greater(w.t, out.Incarnation, p.kept)
			p.kept = out.Incarnation
		}
		for _, q := range out.Packets {
			w.post(p, q, false)
		}
		for _, q := range out.Streams {
			w.post(p, q, true)
		}
	}
	w.schedule(p)
}

func (w *network) schedule(p *peer) {
	at := p.NextDeadline()
	if planned, ok := w.wait[p]; at == tick.Never || ok && planned <= at && planned > w.now {
		return
	}
	at = max(at, w.now)
	w.wait[p] = at
	life := p.life
	w.at(at, func() {
		if w.wait[p] == at {
			delete(w.wait, p)
		}
		if p.up && p.life == life {
			if p.NextDeadline() <= w.now {
				p.Tick(w.now)
			}
			w.drain(p)
		}
	})
}

func (w *network) post(from *peer, q Packet, stream bool) {
	kind := "packet"
	if stream {
		kind = "stream"
	} else {
		w.packets++
		size := q.Size()
		w.bytes += size
		require.LessOrEqual(w.t, size, from.Node.cfg.MaxPacket, "a packet that does not fit")
	}
	if w.trace != nil {
		w.trace("%-8v %s -> %s %s %s\n", w.now.Round(time.Microsecond), from.name, w.nameOf(q.Addr), kind, describe(&q))
	}
	delay := w.rng.Duration(w.latency[0], w.latency[1])
	if !stream && w.rng.Chance(w.loss, 100) {
		return
	}
	if p := w.byAddr[q.Addr]; p != nil && w.delay != nil {
		delay = w.delay(from, p)
	}
	if !stream && w.twice > 0 && w.rng.Chance(w.twice, 100) {
		w.deliver(from, q, stream, w.rng.Duration(w.latency[0], 100*w.latency[1]))
	}
	w.deliver(from, q, stream, delay)
}

func (w *network) deliver(from *peer, q Packet, stream bool, delay time.Duration) {
	to, life, source := q.Addr, from.life, from.addr
	if w.routers && !stream {
		source = translated(source)
	}
	w.at(w.now+delay, func() {
		p := w.byAddr[to]
		if w.routers && !stream && p == nil {
			p = w.byAddr[translated(to)]
		}
		if p == nil || !p.up || w.cut != nil && w.cut(from, p) {
			if stream && from.up && from.life == life {
				if w.refuses && p == nil {
					from.StreamRefused(w.now, to)
				} else {
					from.StreamFailed(w.now, to)
				}
				w.drain(from)
			}
			return
		}
		q.Addr = source
		if stream {
			p.HandleStream(w.now, q)
		} else {
			p.HandlePacket(w.now, q)
		}
		w.drain(p)
	})
}

func (w *network) nameOf(a netip.AddrPort) string {
	if p := w.byAddr[a]; p != nil {
		return p.name
	}
	return a.String()
}

// run lets time pass.
func (w *network) run(d time.Duration) {
	end := w.now + d
	for len(w.events) > 0 && w.events[0].at <= end {
		e := heap.Pop(&w.events).(netEvent)
		w.now = e.at
		e.do()
	}
	w.now = end
}

// until lets time pass until ok holds, at most for d, and returns how long it took.
func (w *network) until(d time.Duration, what string, ok func() bool) time.Duration {
	w.t.Helper()
	start := w.now
	for !ok() {
		require.Less(w.t, w.now-start, d, "not in time: %s", what)
		w.run(50 * time.Millisecond)
	}
	return w.now - start
}

// agree tells whether all nodes that are up see exactly these states: alive for those up, and
// otherwise want.
func (w *network) agree(want State) func() bool {
	return func() bool {
		for _, p := range w.peers {
			if !p.up {
				continue
			}
			for _, q := range w.peers {
				m, known := p.Member(q.name)
				switch {
				case q.up && (!known || m.State != StateAlive || m.Addr != q.addr):
					return false
				case !q.up && want == 0 && known:
					return false
				case !q.up && want != 0 && (!known || m.State != want):
					return false
				}
			}
		}
		return true
	}
}

func (p *peer) count(t EventType) int {
	n := 0
	for _, e := range p.events {
		if e.Type == t {
			n++
		}
	}
	return n
}

func describe(q *Packet) string {
	m := &q.Message
	s := map[MessageType]string{MsgPing: "ping", MsgPingReq: "ping-req", MsgAck: "ack", MsgNack: "nack",
		MsgPushPull: "push-pull", MsgPushPullReply: "push-pull-reply", MsgBuckets: "buckets", MsgGossip: "gossip", MsgAnswer: "answer"}[m.Type]
	if m.Target != "" {
		s += " of " + m.Target
	}
	if m.Digest != (Digest{}) {
		s += " with digest"
	}
	for _, e := range q.Events {
		s += fmt.Sprintf(" [event %s of %s time=%d prev=%d]", e.Name, e.From, e.LTime, e.Prev)
	}
	for _, c := range q.Queries {
		s += fmt.Sprintf(" [query %s of %s time=%d]", c.Name, c.ID.From, c.ID.LTime)
	}
	if a := m.Answer; a != nil {
		s += fmt.Sprintf(" [time=%d ack=%t %q via=%t]", a.LTime, a.Ack, a.Payload, m.Addr.IsValid())
	}
	for _, list := range [][]*Update{m.Members, q.Updates} {
		for _, u := range list {
			s += fmt.Sprintf(" [%s %s inc=%d]", u.Name, u.State, u.Incarnation)
		}
	}
	return s
}
