package members

import (
	"io"
	"log"
	"net"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

// listed is a member of hashicorp/memberlist with its default configuration for a LAN.
type listed struct {
	list  *memberlist.Memberlist
	trans *counting
}

func startMemberlist(_ options, name string, r *recorder) (member, error) {
	quiet := log.New(io.Discard, "", 0)
	nt, err := memberlist.NewNetTransport(&memberlist.NetTransportConfig{BindAddrs: []string{"127.0.0.1"}, Logger: quiet})
	if err != nil {
		return nil, err
	}
	m := &listed{trans: &counting{NetTransport: nt}}
	c := memberlist.DefaultLANConfig()
	c.Name, c.BindAddr, c.AdvertiseAddr = name, "127.0.0.1", "127.0.0.1"
	c.BindPort, c.AdvertisePort = nt.GetAutoBindPort(), nt.GetAutoBindPort()
	c.Transport, c.Logger, c.Events = m.trans, quiet, delegate{r}
	if m.list, err = memberlist.Create(c); err != nil {
		nt.Shutdown()
		return nil, err
	}
	return m, nil
}

func (m *listed) join(to member) error {
	_, err := m.list.Join([]string{to.(*listed).list.LocalNode().Address()})
	return err
}

func (m *listed) traffic() traffic {
	t := m.trans
	return traffic{float64(t.datagrams.Load()), float64(t.bytes.Load()), float64(t.streams.Load()), float64(t.streamBytes.Load())}
}

func (m *listed) kill() error { return m.list.Shutdown() }

// delegate hands events to a recorder.
type delegate struct{ r *recorder }

func (d delegate) NotifyJoin(n *memberlist.Node)  { d.r.joined(n.Name) }
func (d delegate) NotifyLeave(n *memberlist.Node) { d.r.gone(n.Name) }
func (d delegate) NotifyUpdate(*memberlist.Node)  {}

// counting is memberlist's own transport, with what it sends counted.
type counting struct {
	*memberlist.NetTransport
	datagrams, bytes, streams, streamBytes atomic.Int64
}

// WriteTo implements memberlist.Transport.
func (c *counting) WriteTo(b []byte, addr string) (time.Time, error) {
	return c.WriteToAddress(b, memberlist.Address{Addr: addr})
}

// WriteToAddress implements memberlist.NodeAwareTransport.
func (c *counting) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	c.datagrams.Add(1)
	c.bytes.Add(int64(len(b)))
	return c.NetTransport.WriteToAddress(b, a)
}

// DialTimeout implements memberlist.Transport.
func (c *counting) DialTimeout(addr string, d time.Duration) (net.Conn, error) {
	return c.DialAddressTimeout(memberlist.Address{Addr: addr}, d)
}

// DialAddressTimeout implements memberlist.NodeAwareTransport.
func (c *counting) DialAddressTimeout(a memberlist.Address, d time.Duration) (net.Conn, error) {
	conn, err := c.NetTransport.DialAddressTimeout(a, d)
	if err != nil {
		return nil, err
	}
	c.streams.Add(1)
	return &countedConn{conn, c}, nil
}

// countedConn counts both directions, at the side that opened it.
type countedConn struct {
	net.Conn
	c *counting
}

// Write implements net.Conn.
func (c *countedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.c.streamBytes.Add(int64(n))
	return n, err
}

// Read implements net.Conn.
func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.c.streamBytes.Add(int64(n))
	return n, err
}
