package tcp

import (
	"net"
	"net/netip"

	"concord/transport"
)

// admit registers a connection that another side opened, or closes it where there are too many.
func (t *Transport) admit(c net.Conn) bool {
	from := ipOf(c.RemoteAddr())
	t.mu.Lock()
	ok := !t.closed && t.inbound < t.cfg.MaxConns && t.perIP[from] < t.cfg.MaxConnsPerIP
	if ok {
		t.inbound++
		t.perIP[from]++
		t.conns[c] = true
	}
	t.mu.Unlock()
	if !ok {
		c.Close()
		return false
	}
	t.tune(c)
	return true
}

// keep registers a connection that this side opened, or closes it because the transport is closed.
func (t *Transport) keep(c net.Conn) bool {
	t.mu.Lock()
	ok := !t.closed
	if ok {
		t.conns[c] = false
	}
	t.mu.Unlock()
	if !ok {
		c.Close()
		return false
	}
	t.tune(c)
	return true
}

// drop closes a connection and forgets it.
func (t *Transport) drop(c net.Conn) {
	c.Close()
	from := ipOf(c.RemoteAddr())
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conns[c] {
		t.inbound--
		if t.perIP[from]--; t.perIP[from] == 0 {
			delete(t.perIP, from)
		}
	}
	delete(t.conns, c)
}

func (t *Transport) tune(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		if raw, err := tcp.SyscallConn(); err == nil {
			setAckTimeout(raw, t.cfg.AckTimeout)
		}
	}
}

func ipOf(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// sameIP tells whether a peer connected from the machine at which it says it listens.
func sameIP(remote net.Addr, announced transport.Addr) bool {
	a, err := netip.ParseAddrPort(string(announced))
	return err == nil && a.Addr().Unmap() == ipOf(remote)
}
