package udp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"net/netip"
	"os"
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

// BufferSize is how large the buffers are that Receive, Send and TrySend want: one byte more than the largest datagram,
// to know those that are too large.
const BufferSize = transport.MaxDatagram + 1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrTooLarge is returned for a payload that does not fit into a datagram.
var ErrTooLarge = errors.New("transport: the datagram is too large")

// Stats counts datagrams, and their bytes with Overhead, since the start.
type Stats struct {
	Sent, Received, Dropped, Malformed uint64
	SentBytes, ReceivedBytes           uint64
}

// Socket sends and receives datagrams in the caller's goroutines: for a loop that waits for datagrams itself, and so needs
// no other goroutine. One goroutine at a time may receive, and one send.
type Socket struct {
	conn   *net.UDPConn
	direct direct
	log    hclog.Logger

	sent, received, dropped, malformed, sentBytes, receivedBytes atomic.Uint64

	mu     sync.Mutex
	warned time.Time
}

// Listen returns a socket at the address.
func Listen(listen string, log hclog.Logger) (*Socket, error) {
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
	s := &Socket{conn: conn, log: log}
	if err := s.direct.open(conn); err != nil {
		return nil, errors.Join(fmt.Errorf("transport: %w", err), conn.Close())
	}
	return s, nil
}

// Addr is where the socket listens.
func (s *Socket) Addr() net.Addr { return s.conn.LocalAddr() }

// WakeAt lets Receive end at the time, also one that has begun; the zero time lets it wait for ever.
func (s *Socket) WakeAt(t time.Time) error { return s.conn.SetReadDeadline(t) }

// Receive waits for a datagram. The payload is part of buf. It fails with os.ErrDeadlineExceeded at the time given to
// WakeAt, and with net.ErrClosed after Close.
func (s *Socket) Receive(buf []byte) (payload []byte, from netip.AddrPort, err error) {
	for {
		n, from, err := s.conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) {
			return nil, from, err
		}
		if err != nil {
			s.warn("failed to receive a datagram", "error", err)
			time.Sleep(10 * time.Millisecond) // whatever it is must not keep a processor busy
			continue
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		if !genuine(buf[:n]) {
			s.malformed.Add(1)
			s.warn("dropped a foreign or damaged datagram", "from", from.String(), "bytes", n)
			continue
		}
		s.received.Add(1)
		s.receivedBytes.Add(uint64(n))
		return buf[Overhead:n], from, nil
	}
}

func genuine(p []byte) bool {
	return len(p) >= Overhead && len(p) <= transport.MaxDatagram && p[0] == magic &&
		binary.BigEndian.Uint32(p[1:]) == crc32.Checksum(p[Overhead:], castagnoli)
}

// Send sends a datagram and waits until the system takes it. What is in buf is lost.
func (s *Socket) Send(buf []byte, to netip.AddrPort, payload []byte) error {
	return s.transmit(buf, to, payload, s.conn.WriteToUDPAddrPort)
}

// TrySend sends a datagram if the system takes it at once. What is in buf is lost.
func (s *Socket) TrySend(buf []byte, to netip.AddrPort, payload []byte) error {
	return s.transmit(buf, to, payload, s.direct.send)
}

func (s *Socket) transmit(buf []byte, to netip.AddrPort, payload []byte, write func([]byte, netip.AddrPort) (int, error)) error {
	if !s.fits(payload) {
		return ErrTooLarge
	}
	frame := binary.BigEndian.AppendUint32(append(buf[:0], magic), crc32.Checksum(payload, castagnoli))
	frame = append(frame, payload...)
	if _, err := write(frame, to); err != nil {
		s.dropped.Add(1)
		return err
	}
	s.sent.Add(1)
	s.sentBytes.Add(uint64(len(frame)))
	return nil
}

// fits drops a payload that is too large.
func (s *Socket) fits(payload []byte) bool {
	if len(payload)+Overhead <= transport.MaxDatagram {
		return true
	}
	s.dropped.Add(1)
	s.warn("dropped a datagram that is too large", "bytes", len(payload))
	return false
}

// warn logs at most one line in ten seconds: what it is about comes from strangers.
func (s *Socket) warn(msg string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.warned) >= 10*time.Second {
		s.warned = time.Now()
		s.log.Warn("transport: "+msg, args...)
	}
}

// Stats returns the counters.
func (s *Socket) Stats() Stats {
	return Stats{Sent: s.sent.Load(), Received: s.received.Load(), Dropped: s.dropped.Load(), Malformed: s.malformed.Load(),
		SentBytes: s.sentBytes.Load(), ReceivedBytes: s.receivedBytes.Load()}
}

// Close ends Receive, and all that comes after.
func (s *Socket) Close() error { return s.conn.Close() }
