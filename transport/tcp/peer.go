package tcp

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"concord/transport"
)

// peer is the sending half of a conversation: a bounded queue, and a goroutine that writes what is in it to
// the connection there is, or opens one.
type peer struct {
	t   *Transport
	key key

	mu      sync.Mutex
	queue   [][]byte
	bytes   int
	conn    net.Conn
	dialing bool
	wake    chan struct{}
	wrote   atomic.Int64 // when it last wrote, in nanoseconds
	telling atomic.Int32 // events under way to the handler
}

func newPeer(t *Transport, k key) *peer {
	return &peer{t: t, key: k, wake: make(chan struct{}, 1)}
}

// push queues a payload, false if there is no room.
func (p *peer) push(payload []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) >= p.t.cfg.QueueLen || p.bytes+len(payload) > p.t.cfg.QueueBytes {
		return false
	}
	p.queue = append(p.queue, payload)
	p.bytes += len(payload)
	p.signal()
	return true
}

func (p *peer) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// maxTelling bounds the events about one peer that the handler has not taken yet; more would tell it nothing new.
const maxTelling = 2

// tell lets the handler know. The sender may be the very loop that takes events, so another goroutine does it.
func (p *peer) tell(what transport.EventType) {
	if p.telling.Add(1) > maxTelling {
		p.telling.Add(-1)
		return
	}
	p.t.run(func() {
		p.t.handler.PeerEvent(transport.Event{Type: what, Class: p.key.class, Peer: p.key.addr})
		p.telling.Add(-1)
	})
}

// take returns what is queued.
func (p *peer) take() [][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.queue
	p.queue, p.bytes = nil, 0
	return q
}

// adopt makes a connection the one to write to.
func (p *peer) adopt(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conn = c
	p.wrote.Store(time.Now().UnixNano())
}

func (p *peer) lastWrite() time.Time { return time.Unix(0, p.wrote.Load()) }

func (p *peer) current() net.Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conn
}

// write is the peer's goroutine. It ends when nothing was sent for a while and no connection is open.
func (p *peer) write() {
	defer p.t.wg.Done()
	idle := time.NewTimer(p.t.cfg.IdleTimeout)
	defer idle.Stop()
	for {
		select {
		case <-p.t.stop:
			return
		case <-p.wake:
			if frames := p.take(); len(frames) > 0 {
				p.flush(frames)
			}
		case <-idle.C:
			if p.retire() {
				return
			}
		}
		idle.Reset(p.t.cfg.IdleTimeout)
	}
}

// retire forgets a peer that nobody talks to.
func (p *peer) retire() bool {
	p.t.mu.Lock()
	defer p.t.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn != nil || len(p.queue) > 0 || p.dialing {
		return false
	}
	delete(p.t.peers, p.key)
	return true
}

// flush writes frames; those that cannot be written are lost, and the handler is told.
func (p *peer) flush(frames [][]byte) {
	c := p.current()
	if c == nil {
		c = p.dial()
	}
	if c == nil {
		p.t.count.dropped.Add(uint64(len(frames)))
		return
	}
	c.SetWriteDeadline(time.Now().Add(p.t.cfg.WriteTimeout))
	p.wrote.Store(time.Now().UnixNano())
	if err := writeFrames(c, frames); err != nil {
		p.t.count.dropped.Add(uint64(len(frames)))
		c.Close() // its reader notices and tells
		p.tell(transport.Unreachable)
		return
	}
	p.t.count.sent.Add(uint64(len(frames)))
}

// dial opens a connection, nil if that fails, which the handler is told.
func (p *peer) dial() net.Conn {
	if !dialable(p.key.addr) {
		p.tell(transport.Unreachable)
		return nil
	}
	p.t.count.dials.Add(1)
	c, err := net.DialTimeout("tcp", string(p.key.addr), p.t.cfg.DialTimeout)
	if err != nil {
		p.failed(err)
		return nil
	}
	c.SetWriteDeadline(time.Now().Add(p.t.cfg.HelloTimeout))
	if err := writeHello(c, key{p.t.cfg.Advertise, p.key.class}); err != nil {
		c.Close()
		p.failed(err)
		return nil
	}
	if !p.t.keep(c, int(^uint(0)>>1)) {
		c.Close()
		return nil
	}
	p.adopt(c)
	p.t.run(func() { p.t.read(c, p) })
	return c
}

func (p *peer) failed(err error) {
	what := transport.Unreachable
	if errors.Is(err, syscall.ECONNREFUSED) {
		p.t.count.refused.Add(1)
		what = transport.Refused
	}
	p.tell(what)
}

// lost reacts to the end of a connection. One that was not closed for being idle may mean that the peer's
// process has ended: dialing at once tells, and a killed leader is so noticed within a millisecond.
func (p *peer) lost(c net.Conn, idle bool) {
	p.mu.Lock()
	mine := p.conn == c
	if mine {
		p.conn = nil
	}
	probe := mine && !idle && !p.dialing && dialable(p.key.addr)
	p.dialing = p.dialing || probe
	p.mu.Unlock()
	if !probe {
		return
	}
	p.dial()
	p.mu.Lock()
	p.dialing = false
	p.mu.Unlock()
}
