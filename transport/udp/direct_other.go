//go:build !linux

package udp

import (
	"net"
	"net/netip"
)

// direct waits as long as the system makes it wait.
type direct struct{ conn *net.UDPConn }

func (d *direct) open(conn *net.UDPConn) error { d.conn = conn; return nil }

func (d *direct) send(frame []byte, to netip.AddrPort) (int, error) {
	return d.conn.WriteToUDPAddrPort(frame, to)
}
