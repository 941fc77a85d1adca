package udp

import (
	"net"
	"net/netip"
	"syscall"
)

// direct sends without ever waiting, which package net does not offer: a full buffer of the system is an error.
type direct struct {
	raw   syscall.RawConn
	v6    bool
	try   func(fd uintptr) bool // a field, so that sending does not allocate
	frame []byte
	to4   syscall.SockaddrInet4
	to6   syscall.SockaddrInet6
	err   error
}

func (d *direct) open(conn *net.UDPConn) (err error) {
	if d.raw, err = conn.SyscallConn(); err != nil {
		return err
	}
	d.try = func(fd uintptr) bool {
		var to syscall.Sockaddr = &d.to4
		if d.v6 {
			to = &d.to6
		}
		d.err = syscall.Sendto(int(fd), d.frame, syscall.MSG_DONTWAIT, to)
		return true
	}
	var own syscall.Sockaddr
	if controlErr := d.raw.Control(func(fd uintptr) { own, err = syscall.Getsockname(int(fd)) }); controlErr != nil {
		return controlErr
	}
	_, d.v6 = own.(*syscall.SockaddrInet6) // also where it listens at all addresses, those of IPv4 included
	return err
}

func (d *direct) send(frame []byte, to netip.AddrPort) (int, error) {
	if !to.IsValid() || !d.v6 && !to.Addr().Unmap().Is4() {
		return 0, &net.AddrError{Err: "no address for this socket", Addr: to.String()}
	}
	d.frame, d.err = frame, nil
	if d.v6 {
		d.to6.Port, d.to6.Addr = int(to.Port()), to.Addr().As16()
	} else {
		d.to4.Port, d.to4.Addr = int(to.Port()), to.Addr().Unmap().As4()
	}
	if err := d.raw.Write(d.try); err != nil {
		return 0, err
	}
	return len(frame), d.err
}
