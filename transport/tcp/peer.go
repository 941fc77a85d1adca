package tcp

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"concord/transport"
)

// peer is the sending half of a conversation: a bounded queue, and a goroutine that writes what is in it to
// the connection there is, or opens one. The connection that was opened last, by either side, is the one written to.
type peer struct {
	t    *Transport
	key  key
	wake chan struct{}

	mu           sync.Mutex
	queue        [][]byte
	count, bytes int      // in the queue and being written
	conn         net.Conn // to be written to
	writing      net.Conn // being written to
	wrote        time.Time
	used         bool // something was sent, and not only received
	full         bool // the last payload found no room
	probe        bool // the connection broke: see who is there
	retired      bool // forgotten by the transport

	telling atomic.Int32 // events under way to the handler

	// Of the goroutine alone.
	spare    [][]byte
	failures int
	retryAt  time.Time
}

func newPeer(t *Transport, k key) *peer {
	return &peer{t: t, key: k, wake: make(chan struct{}, 1)}
}

// push queues a payload. It tells whether the peer can still be used.
func (p *peer) push(payload []byte) bool {
	p.mu.Lock()
	if p.retired {
		p.mu.Unlock()
		return false
	}
	if p.count >= p.t.cfg.QueueLen || p.bytes+len(payload) > p.t.cfg.QueueBytes {
		first := !p.full
		p.full = true
		p.mu.Unlock()
		p.t.count.dropped.Add(1)
		if first {
			p.tell(transport.Unreachable, payload)
		}
		return true
	}
	p.queue = append(p.queue, payload)
	p.count++
	p.bytes += len(payload)
	p.used, p.full = true, false
	p.mu.Unlock()
	p.signal()
	return true
}

func (p *peer) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// maxTelling bounds the events about one peer that the handler has not taken yet. More would tell it nothing new but which payloads were
// not sent, and it takes those for lost then.
const maxTelling = 8

// tell lets the handler know, with the payloads that were not sent. The sender may be the very loop that takes events, so another
// goroutine does it.
func (p *peer) tell(what transport.EventType, unsent ...[]byte) {
	if p.telling.Add(1) > maxTelling {
		p.telling.Add(-1)
		return
	}
	p.t.run(func() {
		p.t.handler.PeerEvent(transport.Event{Type: what, Class: p.key.class, Peer: p.key.addr, Unsent: unsent})
		p.telling.Add(-1)
	})
}

// adopt makes a connection the one to write to. It tells whether the peer can still be used.
func (p *peer) adopt(c net.Conn) bool {
	p.mu.Lock()
	if p.retired {
		p.mu.Unlock()
		return false
	}
	lost := p.probe && p.used
	p.conn, p.wrote, p.probe = c, time.Now(), false
	p.mu.Unlock()
	if lost {
		p.tell(transport.Unreachable) // the peer dialed first, but what was sent over the broken connection may be lost
	}
	return true
}

// run is the peer's goroutine. It ends when nothing was sent for a while and no connection is open.
func (p *peer) run() {
	idle := time.NewTimer(p.t.cfg.IdleTimeout)
	defer idle.Stop()
	for {
		timeout := false
		select {
		case <-p.t.ctx.Done():
			return
		case <-p.wake:
		case <-idle.C:
			timeout = true
		}
		c, frames, probe := p.take()
		switch {
		case len(frames) > 0:
			p.flush(c, frames)
		case probe && c == nil:
			p.findOut()
		}
		p.done(frames)
		if p.retire(timeout) {
			return
		}
		idle.Reset(p.t.cfg.IdleTimeout)
	}
}

// take returns the connection, what is queued for it, and whether to find out about the peer.
func (p *peer) take() (net.Conn, [][]byte, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	frames, probe := p.queue, p.probe
	p.queue, p.spare, p.probe = p.spare, nil, false
	p.writing = p.conn
	return p.conn, frames, probe
}

// done makes room for as much as was taken.
func (p *peer) done(frames [][]byte) {
	size := payloadBytes(frames)
	p.mu.Lock()
	p.count -= len(frames)
	p.bytes -= size
	p.writing = nil
	if len(frames) > 0 {
		p.wrote = time.Now()
	}
	p.mu.Unlock()
	clear(frames)
	if cap(frames) <= 1024 { // a burst's is not kept
		p.spare = frames[:0]
	}
}

func payloadBytes(frames [][]byte) (n int) {
	for _, f := range frames {
		n += len(f)
	}
	return n
}

// flush writes frames; those that cannot be written are lost, and the handler is told.
func (p *peer) flush(c net.Conn, frames [][]byte) {
	if c == nil {
		c = p.open(slices.Clone(frames)) // the queue is used again
	}
	if c == nil {
		p.t.count.dropped.Add(uint64(len(frames)))
		return
	}
	if err := writeFrames(c, frames, p.t.cfg.WriteTimeout); err != nil {
		p.t.count.dropped.Add(uint64(len(frames)))
		c.Close() // its reader notices, and has another one opened
		p.tell(transport.Unreachable)
		return
	}
	p.t.count.sent.Add(uint64(len(frames)))
	p.t.count.sentBytes.Add(uint64(payloadBytes(frames)))
}

// open opens a connection for what is to be sent, unless that failed so recently that there is no use.
func (p *peer) open(frames [][]byte) net.Conn {
	if !dialable(p.key.addr) || time.Now().Before(p.retryAt) {
		p.tell(transport.Unreachable, frames...)
		return nil
	}
	return p.dial(frames)
}

// findOut dials because a connection broke. It may mean that the peer's process has ended: dialing at once tells, and
// a killed leader is so noticed within a millisecond. If it has not, what was under way may still be lost.
func (p *peer) findOut() {
	p.retryAt = time.Time{}
	if p.open(nil) != nil {
		p.tell(transport.Unreachable)
	}
}

// dial opens a connection for frames, nil if that fails, which the handler is told.
func (p *peer) dial(frames [][]byte) net.Conn {
	p.t.count.dials.Add(1)
	ctx, cancel := context.WithTimeout(p.t.ctx, p.t.cfg.DialTimeout)
	defer cancel()
	c, err := p.t.dialer.DialContext(ctx, "tcp", string(p.key.addr))
	if err == nil {
		c.SetWriteDeadline(time.Now().Add(p.t.cfg.HelloTimeout))
		if err = writeHello(c, key{p.t.cfg.Advertise, p.key.class}); err != nil {
			c.Close()
		}
	}
	if err != nil {
		p.failed(err, frames)
		return nil
	}
	p.failures, p.retryAt = 0, time.Time{}
	if !p.t.keep(c) {
		return nil
	}
	p.mu.Lock()
	p.conn, p.writing, p.wrote = c, c, time.Now()
	p.mu.Unlock()
	p.t.run(func() { p.t.read(c, p) })
	return c
}

// minBackoff is the pause after the first failed attempt; it doubles with each.
const minBackoff = 10 * time.Millisecond

func (p *peer) failed(err error, unsent [][]byte) {
	pause := min(minBackoff<<min(p.failures, 20), p.t.cfg.BackoffMax)
	p.failures++
	p.retryAt = time.Now().Add(pause/2 + rand.N(pause/2+1)) // not all peers at once
	if errors.Is(err, syscall.ECONNREFUSED) {
		p.t.count.refused.Add(1)
		p.tell(transport.Refused, unsent...)
		return
	}
	p.tell(transport.Unreachable, unsent...)
}

// idle tells whether a connection may be closed because it was silent, and then writes to it no more.
func (p *peer) idle(c net.Conn) bool {
	p.mu.Lock()
	if p.writing == c || p.conn == c && time.Since(p.wrote) < p.t.cfg.IdleTimeout {
		p.mu.Unlock()
		return false
	}
	if p.conn == c {
		p.conn = nil
	}
	p.mu.Unlock()
	c.SetWriteDeadline(time.Now().Add(p.t.cfg.HelloTimeout))
	c.Write(binary.BigEndian.AppendUint32(nil, goodbye))
	return true
}

// lost reacts to the end of a connection. If nobody meant it to end, the peer is worth a look: when something was sent to
// it, so that it matters, or when it said where it is truthfully, so that strangers cannot send us anywhere.
func (p *peer) lost(c net.Conn, meant bool) {
	p.mu.Lock()
	current := p.conn == c
	if current {
		p.conn = nil
		p.probe = !meant && dialable(p.key.addr) && (p.used || sameIP(c.RemoteAddr(), p.key.addr))
		p.signal()
	}
	tell := !current && !meant && p.used
	p.mu.Unlock()
	if tell {
		p.tell(transport.Unreachable) // another connection is there, but what was sent over this one may be lost
	}
}

// retire forgets a peer that nobody talks to: after the timeout, or at once if it was only ever listened to.
func (p *peer) retire(timeout bool) bool {
	p.mu.Lock()
	inUse := p.conn != nil || p.used && !timeout
	p.mu.Unlock()
	if inUse {
		return false
	}
	p.t.mu.Lock()
	defer p.t.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn != nil || len(p.queue) > 0 || p.probe {
		return false
	}
	p.retired = true
	delete(p.t.peers, p.key)
	return true
}
