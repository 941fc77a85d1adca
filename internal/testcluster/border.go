package testcluster

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Border stands between datacenters, as the routers at their edges do: each has an address of its own for the others, at which the
// border takes what is for its servers and hands it on. It can be cut: what crosses it is then lost, or waits if it is a stream's, while the
// servers of each datacenter go on to reach each other.
type Border struct {
	t      testing.TB
	ctx    chan struct{}     // closed with the test
	places map[uint16]string // datacenter by the port of a server, WAN gossip or RPC

	mu   sync.Mutex
	open chan struct{} // closed while the border is open
	wg   sync.WaitGroup
}

// NewBorder returns an open border.
func NewBorder(t testing.TB) *Border {
	b := &Border{t: t, ctx: make(chan struct{}), places: map[uint16]string{}, open: make(chan struct{})}
	close(b.open)
	t.Cleanup(func() {
		close(b.ctx)
		b.wg.Wait()
	})
	return b
}

// Cut cuts the datacenters off from each other.
func (b *Border) Cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open = make(chan struct{})
}

// Heal ends a cut.
func (b *Border) Heal() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.open)
}

func (b *Border) gate() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open
}

func (b *Border) isOpen() bool {
	select {
	case <-b.gate():
		return true
	default:
		return false
	}
}

// pass waits until the border is open; false: the test is over.
func (b *Border) pass() bool {
	select {
	case <-b.gate():
		return true
	case <-b.ctx:
		return false
	}
}

// StartDatacenter is StartDatacenter for one behind the border, whose address others know it by.
func (b *Border) StartDatacenter(name, address string, config map[string]any) *Cluster {
	b.t.Helper()
	all := map[string]any{"datacenter": name, "advertise_addr_wan": address}
	maps.Copy(all, config)
	return startCluster(b.t, name+"-server-%d", name+"-client", all, func(servers []*Agent) {
		for _, p := range servers {
			b.mu.Lock()
			b.places[uint16(p.WAN)], b.places[uint16(p.RPC)] = name, name
			b.mu.Unlock()
			b.datagrams(name, fmt.Sprintf("%s:%d", address, p.WAN), p.at(p.WAN))
			b.streams(name, fmt.Sprintf("%s:%d", address, p.WAN), p.at(p.WAN))
			b.streams(name, fmt.Sprintf("%s:%d", address, p.RPC), p.at(p.RPC))
		}
	})
}

// place is the datacenter of the server that has a port.
func (b *Border) place(port uint16) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.places[port]
}

func (b *Border) run(f func()) {
	b.wg.Add(1)
	go func() {
		defer b.wg.Done()
		f()
	}()
}

// closeAtEnd closes what a goroutine waits for when the test is over.
func (b *Border) closeAtEnd(c io.Closer) {
	b.run(func() {
		<-b.ctx
		c.Close()
	})
}

// datagrams hands on what comes to an address of a datacenter, and what is answered. Each sender has a socket of its own inside.
func (b *Border) datagrams(dc, outside, inside string) {
	in, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(outside)))
	require.NoError(b.t, err)
	b.closeAtEnd(in)
	sockets := map[netip.AddrPort]net.Conn{}
	b.run(func() {
		buf := make([]byte, 2048)
		for {
			n, from, err := in.ReadFromUDPAddrPort(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			crosses := b.place(from.Port()) != dc
			if err != nil || crosses && !b.isOpen() {
				continue
			}
			c := sockets[from]
			if c == nil {
				if c, err = net.Dial("udp", inside); err != nil {
					continue
				}
				sockets[from] = c
				b.closeAtEnd(c)
				b.run(func() { b.answers(in, c, from, crosses) })
			}
			c.Write(buf[:n]) // a datagram may be lost
		}
	})
}

func (b *Border) answers(in *net.UDPConn, c net.Conn, to netip.AddrPort, crosses bool) {
	buf := make([]byte, 2048)
	for {
		n, err := c.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil && (!crosses || b.isOpen()) {
			in.WriteToUDPAddrPort(buf[:n], to)
		}
	}
}

// streams hands on the connections to an address of a datacenter.
func (b *Border) streams(dc, outside, inside string) {
	l, err := net.Listen("tcp", outside)
	require.NoError(b.t, err)
	b.closeAtEnd(l)
	b.run(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b.closeAtEnd(c)
			b.run(func() { b.stream(dc, c, inside) })
		}
	})
}

// stream learns from a connection's hello (transport/tcp) who opened it, and hands on both directions.
func (b *Border) stream(dc string, c net.Conn, inside string) {
	defer c.Close()
	head := make([]byte, 7)
	if _, err := io.ReadFull(c, head); err != nil {
		return
	}
	label := make([]byte, head[6])
	if _, err := io.ReadFull(c, label); err != nil {
		return
	}
	from, err := netip.ParseAddrPort(string(label))
	crosses := err != nil || b.place(from.Port()) != dc
	if crosses && !b.pass() {
		return
	}
	to, err := net.Dial("tcp", inside)
	if err != nil {
		return
	}
	defer to.Close()
	b.run(func() {
		defer c.Close()
		b.copy(c, to, crosses)
	})
	if _, err := to.Write(append(head, label...)); err == nil {
		b.copy(to, c, crosses)
	}
}

func (b *Border) copy(to io.Writer, from io.Reader, crosses bool) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if crosses && !b.pass() {
			return
		}
		if _, failed := to.Write(buf[:n]); err != nil || failed != nil {
			return
		}
	}
}
