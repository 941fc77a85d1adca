// Package udp is the transport for gossip's datagrams: a magic byte, a checksum, and a payload of at most
// transport.MaxDatagram bytes with them.
package udp

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"sync"

	"github.com/hashicorp/go-hclog"

	"concord/transport"
)

// queueLen is how many datagrams may wait for the system to take them.
const queueLen = 1024

// Transport is a transport.Transport over UDP.
type Transport struct {
	socket *Socket
	class  transport.Class
	wg     sync.WaitGroup
	out    chan transport.Envelope
	stop   chan struct{}

	mu     sync.Mutex
	closed bool
}

// New returns a transport that listens at the address, but neither delivers nor sends before Start. What arrives is of the class.
func New(listen string, class transport.Class, log hclog.Logger) (*Transport, error) {
	s, err := Listen(listen, log)
	if err != nil {
		return nil, err
	}
	return &Transport{socket: s, class: class, out: make(chan transport.Envelope, queueLen), stop: make(chan struct{})}, nil
}

// Addr is where the transport listens.
func (t *Transport) Addr() net.Addr { return t.socket.Addr() }

// Start begins to hand what arrives to the handler, and to send.
func (t *Transport) Start(h transport.Handler) {
	t.wg.Go(func() { t.read(h) })
	t.wg.Go(t.write)
}

func (t *Transport) read(h transport.Handler) {
	buf := make([]byte, BufferSize)
	for {
		payload, from, err := t.socket.Receive(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		h.Deliver(transport.Envelope{From: transport.Addr(from.String()), Class: t.class, Payload: bytes.Clone(payload)})
	}
}

// Send queues a datagram, or drops it.
func (t *Transport) Send(e transport.Envelope) {
	if !t.socket.fits(e.Payload) {
		return
	}
	select {
	case t.out <- e:
	default:
		t.socket.dropped.Add(1)
	}
}

// write sends what is queued. It is a goroutine of its own since the system may make it wait.
func (t *Transport) write() {
	buf := make([]byte, BufferSize)
	for {
		select {
		case <-t.stop:
			return
		case e := <-t.out:
			to, err := netip.ParseAddrPort(string(e.To))
			if err != nil {
				t.socket.dropped.Add(1)
				continue
			}
			t.socket.Send(buf, to, e.Payload) // it counts what it drops
		}
	}
}

// Stats returns the counters.
func (t *Transport) Stats() Stats { return t.socket.Stats() }

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
	err := t.socket.Close()
	t.wg.Wait()
	return err
}
