// Package tcp is the transport for streams: Raft, RPC and the large messages of gossip.
//
// Each class has a connection of its own, so that a heartbeat never waits behind a large answer. A connection
// begins with a hello that names the sender's address and the class; then come frames: a length of
// four bytes and a payload. A connection serves both directions: an answer to a peer that does not listen
// goes over the one it opened.
package tcp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"concord/transport"
)

// Config is how a Transport listens and what it bounds.
type Config struct {
	// Listen is the address to listen at; empty: only connections that this side opens.
	Listen string
	// Advertise is the address that peers answer to; an opaque label where there is no listener.
	Advertise transport.Addr
	// MaxFrame bounds a payload in bytes.
	MaxFrame int
	// QueueLen and QueueBytes bound what waits for one peer.
	QueueLen, QueueBytes int
	// MaxConns bounds the connections that others open.
	MaxConns int

	DialTimeout, WriteTimeout, HelloTimeout, IdleTimeout time.Duration

	Log hclog.Logger
}

// WithDefaults returns a copy in which what was zero has its default.
func (c Config) WithDefaults() Config {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	defTime := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	def(&c.MaxFrame, transport.MaxStream)
	def(&c.QueueLen, 4096)
	def(&c.QueueBytes, 64<<20)
	def(&c.MaxConns, 8192)
	defTime(&c.DialTimeout, 3*time.Second)
	defTime(&c.WriteTimeout, 10*time.Second)
	defTime(&c.HelloTimeout, 5*time.Second)
	defTime(&c.IdleTimeout, 5*time.Minute)
	if c.Log == nil {
		c.Log = hclog.NewNullLogger()
	}
	return c
}

// Stats counts what happened since the start.
type Stats struct {
	Sent, Received, Dropped, Malformed, Dials, Refused uint64
}

type counters struct {
	sent, received, dropped, malformed, dials, refused atomic.Uint64
}

// Transport is a transport.Transport over TCP.
type Transport struct {
	cfg     Config
	handler transport.Handler
	ln      net.Listener
	count   counters
	warned  rarely

	mu     sync.Mutex
	peers  map[key]*peer
	conns  map[net.Conn]bool
	closed bool
	wg     sync.WaitGroup
	stop   chan struct{}
}

// key names a conversation.
type key struct {
	addr  transport.Addr
	class transport.Class
}

// New returns a transport that listens, if it is to, but does not accept before Start.
func New(cfg Config) (*Transport, error) {
	t := &Transport{cfg: cfg.WithDefaults(), peers: map[key]*peer{}, conns: map[net.Conn]bool{}, stop: make(chan struct{})}
	if cfg.Listen == "" {
		return t, nil
	}
	var err error
	if t.ln, err = net.Listen("tcp", cfg.Listen); err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	return t, nil
}

// Addr is where the transport listens, nil if it does not.
func (t *Transport) Addr() net.Addr {
	if t.ln == nil {
		return nil
	}
	return t.ln.Addr()
}

// Start begins to hand what arrives to the handler.
func (t *Transport) Start(h transport.Handler) {
	t.handler = h
	if t.ln != nil {
		t.run(t.accept)
	}
}

// run starts a goroutine that Close waits for; it is false when the transport is closed.
func (t *Transport) run(f func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.wg.Add(1)
	go func() {
		defer t.wg.Done()
		f()
	}()
	return true
}

// Close closes all connections and waits until nothing is delivered any more.
func (t *Transport) Close() error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil
	}
	t.closed = true
	close(t.stop)
	var err error
	if t.ln != nil {
		err = t.ln.Close()
	}
	for c := range t.conns {
		c.Close()
	}
	t.mu.Unlock()
	t.wg.Wait()
	return err
}

// Stats returns the counters.
func (t *Transport) Stats() Stats {
	c := &t.count
	return Stats{Sent: c.sent.Load(), Received: c.received.Load(), Dropped: c.dropped.Load(), Malformed: c.malformed.Load(),
		Dials: c.dials.Load(), Refused: c.refused.Load()}
}

// Send queues an envelope for its peer and returns at once.
func (t *Transport) Send(e transport.Envelope) {
	if len(e.Payload) > t.cfg.MaxFrame {
		t.count.dropped.Add(1)
		t.warned.log(t.cfg.Log, "dropped a message that is too large", "bytes", len(e.Payload), "to", string(e.To))
		return
	}
	t.mu.Lock()
	p := t.peer(key{e.To, e.Class})
	t.mu.Unlock()
	if p != nil && !p.push(e.Payload) {
		t.count.dropped.Add(1)
		p.tell(transport.Unreachable)
	}
}

// peer returns the conversation, which begins with the first message. t.mu is held.
func (t *Transport) peer(k key) *peer {
	p := t.peers[k]
	if p == nil && !t.closed {
		p = newPeer(t, k)
		t.peers[k] = p
		t.wg.Add(1)
		go p.write()
	}
	return p
}

// dialable tells whether an address is one, not a label.
func dialable(a transport.Addr) bool {
	_, err := netip.ParseAddrPort(string(a))
	return err == nil
}

// accept takes the connections that others open.
func (t *Transport) accept() {
	for {
		c, err := t.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			t.warned.log(t.cfg.Log, "failed to accept a connection", "error", err)
			select {
			case <-t.stop:
				return
			case <-time.After(50 * time.Millisecond): // out of descriptors: let some go first
			}
			continue
		}
		if !t.keep(c, t.cfg.MaxConns) {
			t.warned.log(t.cfg.Log, "refused a connection: too many are open", "from", c.RemoteAddr().String())
			c.Close()
			continue
		}
		t.run(func() { t.inbound(c) })
	}
}

// keep registers a connection, so that Close closes it.
func (t *Transport) keep(c net.Conn, limit int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || len(t.conns) >= limit {
		return false
	}
	t.conns[c] = true
	return true
}

func (t *Transport) drop(c net.Conn) {
	c.Close()
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.conns, c)
}

// inbound serves a connection that somebody opened.
func (t *Transport) inbound(c net.Conn) {
	c.SetDeadline(time.Now().Add(t.cfg.HelloTimeout))
	k, err := readHello(c)
	if err != nil {
		t.count.malformed.Add(1)
		t.warned.log(t.cfg.Log, "refused a connection", "from", c.RemoteAddr().String(), "error", err)
		t.drop(c)
		return
	}
	c.SetDeadline(time.Time{})
	t.mu.Lock()
	p := t.peer(k)
	t.mu.Unlock()
	if p == nil {
		t.drop(c)
		return
	}
	p.adopt(c)
	t.read(c, p)
}

// read delivers the frames of a connection until it ends.
func (t *Transport) read(c net.Conn, p *peer) {
	err := readFrames(c, t.cfg.MaxFrame, t.cfg.IdleTimeout, p.lastWrite, func(payload []byte) {
		t.count.received.Add(1)
		t.handler.Deliver(transport.Envelope{From: p.key.addr, To: t.cfg.Advertise, Class: p.key.class, Payload: payload})
	})
	if errors.Is(err, errFrame) {
		t.count.malformed.Add(1)
		t.warned.log(t.cfg.Log, "closed a connection", "from", c.RemoteAddr().String(), "error", err)
	}
	t.drop(c)
	p.lost(c, errors.Is(err, errIdle))
}
