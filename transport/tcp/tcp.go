// Package tcp is the transport for streams: Raft, RPC and the large messages of gossip.
//
// Each class has a connection of its own, so that a heartbeat never waits behind a large answer. A connection
// begins with a hello that names the sender's address and the class; then come frames: a length of
// four bytes and a payload. A connection serves both directions: an answer to a peer that does not listen
// goes over the one it opened.
package tcp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"concord/transport"
)

// Stats counts what happened since the start.
type Stats struct {
	// Sent and Received are frames; Dropped are those that could not be sent.
	Sent, Received, Dropped  uint64
	SentBytes, ReceivedBytes uint64
	// Malformed are connections closed for what came over them, Rejected those beyond a limit.
	Malformed, Rejected uint64
	// Dials are attempts to open a connection, Refused those that found no process listening.
	Dials, Refused uint64
	// Inbound are the connections now open that others opened; Conns are all.
	Inbound, Conns int
}

type counters struct {
	sent, received, dropped, sentBytes, receivedBytes, malformed, rejected, dials, refused atomic.Uint64
}

// Transport is a transport.Transport over TCP.
type Transport struct {
	cfg     Config
	handler transport.Handler
	ln      net.Listener
	dialer  net.Dialer
	count   counters
	warned  rarely
	ctx     context.Context // ends when the transport is closed
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	mu      sync.Mutex
	peers   map[key]*peer
	conns   map[net.Conn]bool // whether another side opened it
	inbound int
	perIP   map[netip.Addr]int // inbound
	closed  bool
}

// key names a conversation.
type key struct {
	addr  transport.Addr
	class transport.Class
}

// New returns a transport that listens, if it is to, but does not accept before Start.
func New(cfg Config) (*Transport, error) {
	cfg = cfg.WithDefaults()
	t := &Transport{cfg: cfg, peers: map[key]*peer{}, conns: map[net.Conn]bool{}, perIP: map[netip.Addr]int{},
		dialer: net.Dialer{KeepAlive: cfg.KeepAlive}}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	if cfg.Listen == "" {
		return t, nil
	}
	var err error
	listen := net.ListenConfig{KeepAlive: cfg.KeepAlive}
	if t.ln, err = listen.Listen(t.ctx, "tcp", cfg.Listen); err != nil {
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
	t.wg.Go(f)
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
	t.cancel()
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
	t.mu.Lock()
	defer t.mu.Unlock()
	return Stats{Sent: c.sent.Load(), Received: c.received.Load(), Dropped: c.dropped.Load(),
		SentBytes: c.sentBytes.Load(), ReceivedBytes: c.receivedBytes.Load(), Malformed: c.malformed.Load(), Rejected: c.rejected.Load(),
		Dials: c.dials.Load(), Refused: c.refused.Load(), Inbound: t.inbound, Conns: len(t.conns)}
}

// Send queues an envelope for its peer and returns at once. The payload belongs to the transport then.
func (t *Transport) Send(e transport.Envelope) {
	if len(e.Payload) > t.cfg.MaxFrame {
		t.count.dropped.Add(1)
		t.warned.log(t.cfg.Log, "dropped a message that is too large", "bytes", len(e.Payload), "to", string(e.To))
		return
	}
	for p := t.peer(key{e.To, e.Class}); p != nil && !p.push(e.Payload); {
		p = t.peer(p.key) // it was retired meanwhile
	}
}

// peer returns the conversation, which begins with the first message; nil if the transport is closed.
func (t *Transport) peer(k key) *peer {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.peers[k]
	if p == nil && !t.closed {
		p = newPeer(t, k)
		t.peers[k] = p
		t.wg.Go(p.run)
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
			case <-t.ctx.Done():
				return
			case <-time.After(50 * time.Millisecond): // out of descriptors: let some go first
			}
			continue
		}
		if !t.admit(c) {
			t.count.rejected.Add(1)
			t.warned.log(t.cfg.Log, "refused a connection: too many are open", "from", c.RemoteAddr().String())
			continue
		}
		t.run(func() { t.serve(c) })
	}
}

// ownKey is the key of a connection that somebody opened. Who asks from another machine than the one it says it listens at is a
// server of another datacenter, behind an address of its own: several may have the same address at home, and each is
// answered over the connection it opened.
func ownKey(k key, remote net.Addr) key {
	if k.class == transport.RPC && dialable(k.addr) && !sameIP(remote, k.addr) {
		k.addr += transport.Addr("@" + remote.String())
	}
	return k
}

// serve serves a connection that somebody opened.
func (t *Transport) serve(c net.Conn) {
	c.SetDeadline(time.Now().Add(t.cfg.HelloTimeout))
	k, err := readHello(c)
	if err != nil {
		t.count.malformed.Add(1)
		t.warned.log(t.cfg.Log, "refused a connection", "from", c.RemoteAddr().String(), "error", err)
		t.drop(c)
		return
	}
	c.SetDeadline(time.Time{})
	k = ownKey(k, c.RemoteAddr())
	p := t.peer(k)
	for p != nil && !p.adopt(c) {
		p = t.peer(k) // it was retired meanwhile
	}
	if p == nil {
		t.drop(c)
		return
	}
	t.read(c, p)
}

// read delivers the frames of a connection until it ends.
func (t *Transport) read(c net.Conn, p *peer) {
	in := &patient{Conn: c, idle: t.cfg.IdleTimeout, frame: t.cfg.FrameTimeout}
	err := readFrames(in, bufferSize(p.key.class), t.cfg.MaxFrame, func() bool { return p.idle(c) }, func(payload []byte) {
		t.count.received.Add(1)
		t.count.receivedBytes.Add(uint64(len(payload)))
		t.handler.Deliver(transport.Envelope{From: p.key.addr, To: t.cfg.Advertise, Class: p.key.class, Payload: payload})
	})
	if errors.Is(err, errFrame) {
		t.count.malformed.Add(1)
		t.warned.log(t.cfg.Log, "closed a connection", "from", c.RemoteAddr().String(), "error", err)
	}
	t.drop(c)
	p.lost(c, errors.Is(err, errIdle) || errors.Is(err, errGoodbye))
}
