// Package udp is the transport for gossip's datagrams: a magic byte, a checksum, and a payload of at most
// transport.MaxDatagram bytes with them.
package udp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"concord/transport"
)

// magic tells Concord's datagrams from others'.
const magic = 0xc5

// Overhead is what a datagram has besides its payload, in bytes.
const Overhead = 5

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Stats counts datagrams since the start.
type Stats struct{ Sent, Received, Dropped, Malformed uint64 }

// Transport is a transport.Transport over UDP.
type Transport struct {
	conn    *net.UDPConn
	log     hclog.Logger
	done    chan struct{}
	started bool

	sent, received, dropped, malformed atomic.Uint64

	mu     sync.Mutex
	warned time.Time
}

// New returns a transport that listens at the address, but does not deliver before Start.
func New(listen string, log hclog.Logger) (*Transport, error) {
	addr, err := net.ResolveUDPAddr("udp", listen)
	if err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	conn, err := net.ListenUDP("udp", addr)
	if err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	conn.SetReadBuffer(2 << 20) // bursts, when all members answer at once; the kernel's limit may be lower
	return &Transport{conn: conn, log: log, done: make(chan struct{})}, nil
}

// Addr is where the transport listens.
func (t *Transport) Addr() net.Addr { return t.conn.LocalAddr() }

// Start begins to hand what arrives to the handler.
func (t *Transport) Start(h transport.Handler) {
	t.started = true
	go t.read(h)
}

func (t *Transport) read(h transport.Handler) {
	defer close(t.done)
	buf := make([]byte, 64<<10)
	for {
		n, from, err := t.conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP error for something sent before
		}
		if n < Overhead || n > transport.MaxDatagram || buf[0] != magic ||
			binary.BigEndian.Uint32(buf[1:]) != crc32.Checksum(buf[Overhead:n], castagnoli) {
			t.malformed.Add(1)
			t.warn("dropped a foreign or damaged datagram", "from", from.String(), "bytes", n)
			continue
		}
		t.received.Add(1)
		payload := append([]byte(nil), buf[Overhead:n]...)
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		h.Deliver(transport.Envelope{From: transport.Addr(from.String()), Class: transport.Gossip, Payload: payload})
	}
}

// Send sends a datagram, or drops it.
func (t *Transport) Send(e transport.Envelope) {
	if len(e.Payload)+Overhead > transport.MaxDatagram {
		t.dropped.Add(1)
		t.warn("dropped a datagram that is too large", "to", string(e.To), "bytes", len(e.Payload))
		return
	}
	to, err := netip.ParseAddrPort(string(e.To))
	if err != nil {
		t.dropped.Add(1)
		return
	}
	p := make([]byte, Overhead, Overhead+len(e.Payload))
	p[0] = magic
	binary.BigEndian.PutUint32(p[1:], crc32.Checksum(e.Payload, castagnoli))
	if _, err := t.conn.WriteToUDPAddrPort(append(p, e.Payload...), to); err != nil {
		t.dropped.Add(1)
		return
	}
	t.sent.Add(1)
}

// warn logs at most one line in ten seconds: what it is about comes from strangers.
func (t *Transport) warn(msg string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Since(t.warned) >= 10*time.Second {
		t.warned = time.Now()
		t.log.Warn("transport: "+msg, args...)
	}
}

// Stats returns the counters.
func (t *Transport) Stats() Stats {
	return Stats{Sent: t.sent.Load(), Received: t.received.Load(), Dropped: t.dropped.Load(), Malformed: t.malformed.Load()}
}

// Close stops listening and waits until nothing is delivered any more. Closing twice does no harm.
func (t *Transport) Close() error {
	err := t.conn.Close()
	if t.started {
		<-t.done
	}
	if errors.Is(err, net.ErrClosed) {
		return nil // closed before
	}
	return err
}
