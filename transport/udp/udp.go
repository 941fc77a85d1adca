// Package udp is the transport for gossip's datagrams: a magic byte, a checksum, and a payload of at most
// transport.MaxDatagram bytes with them.
package udp

import (
	"bytes"
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

// queueLen is how many datagrams may wait for the system to take them.
const queueLen = 1024

// Transport is a transport.Transport over UDP.
type Transport struct {
	conn *net.UDPConn
	log  hclog.Logger
	wg   sync.WaitGroup
	out  chan transport.Envelope
	stop chan struct{}

	sent, received, dropped, malformed atomic.Uint64

	mu     sync.Mutex
	warned time.Time
	closed bool
}

// New returns a transport that listens at the address, but neither delivers nor sends before Start.
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
	if log == nil {
		log = hclog.NewNullLogger()
	}
	return &Transport{conn: conn, log: log, out: make(chan transport.Envelope, queueLen), stop: make(chan struct{})}, nil
}

// Addr is where the transport listens.
func (t *Transport) Addr() net.Addr { return t.conn.LocalAddr() }

// Start begins to hand what arrives to the handler, and to send.
func (t *Transport) Start(h transport.Handler) {
	t.wg.Go(func() { t.read(h) })
	t.wg.Go(t.write)
}

func (t *Transport) read(h transport.Handler) {
	buf := make([]byte, transport.MaxDatagram+1) // one more, to know those that are too large
	for {
		n, from, err := t.conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			t.warn("failed to receive a datagram", "error", err)
			select {
			case <-t.stop:
				return
			case <-time.After(10 * time.Millisecond): // whatever it is must not keep a processor busy
			}
			continue
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		if !genuine(buf[:n]) {
			t.malformed.Add(1)
			t.warn("dropped a foreign or damaged datagram", "from", from.String(), "bytes", n)
			continue
		}
		t.received.Add(1)
		payload := bytes.Clone(buf[Overhead:n])
		h.Deliver(transport.Envelope{From: transport.Addr(from.String()), Class: transport.Gossip, Payload: payload})
	}
}

func genuine(p []byte) bool {
	return len(p) >= Overhead && len(p) <= transport.MaxDatagram && p[0] == magic &&
		binary.BigEndian.Uint32(p[1:]) == crc32.Checksum(p[Overhead:], castagnoli)
}

// Send queues a datagram, or drops it.
func (t *Transport) Send(e transport.Envelope) {
	if len(e.Payload)+Overhead > transport.MaxDatagram {
		t.dropped.Add(1)
		t.warn("dropped a datagram that is too large", "to", string(e.To), "bytes", len(e.Payload))
		return
	}
	select {
	case t.out <- e:
	default:
		t.dropped.Add(1)
	}
}

// write sends what is queued. It is a goroutine of its own since the system may make it wait.
func (t *Transport) write() {
	buf := make([]byte, 0, transport.MaxDatagram)
	for {
		select {
		case <-t.stop:
			return
		case e := <-t.out:
			if err := t.transmit(buf, e); err != nil {
				t.dropped.Add(1)
				continue
			}
			t.sent.Add(1)
		}
	}
}

func (t *Transport) transmit(buf []byte, e transport.Envelope) error {
	to, err := netip.ParseAddrPort(string(e.To))
	if err != nil {
		return err
	}
	buf = binary.BigEndian.AppendUint32(append(buf, magic), crc32.Checksum(e.Payload, castagnoli))
	_, err = t.conn.WriteToUDPAddrPort(append(buf, e.Payload...), to)
	return err
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

// Close stops listening and waits until nothing is delivered any more.
func (t *Transport) Close() error {
	t.mu.Lock()
	again := t.closed
	t.closed = true
	t.mu.Unlock()
	if again {
		return nil
	}
	close(t.stop)
	err := t.conn.Close()
	t.wg.Wait()
	return err
}
