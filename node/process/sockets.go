package process

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"concord/node"
	"concord/node/runner"
	"concord/transport"
	"concord/transport/tcp"
	"concord/transport/udp"
)

// socket is a transport that can be started.
type socket interface {
	transport.Transport
	Start(transport.Handler)
}

// sockets are the transports of an agent, each with the classes that it carries.
type sockets struct {
	all     []socket
	classes [][]transport.Class
}

func (s *sockets) add(t socket, classes ...transport.Class) {
	s.all, s.classes = append(s.all, t), append(s.classes, classes)
}

func (s *sockets) attach(r *runner.Runner) {
	for i, t := range s.all {
		r.Attach(t, s.classes[i]...)
	}
}

func (s *sockets) start(h transport.Handler) {
	for _, t := range s.all {
		t.Start(h)
	}
}

func (s *sockets) close() error {
	var errs []error
	for _, t := range s.all {
		errs = append(errs, t.Close())
	}
	return errors.Join(errs...)
}

func (p *Process) openSockets() error {
	p.onClose(p.sockets.close)
	err := p.openGossip("serf_lan", p.cfg.BindLAN, p.lanAddr(), transport.Gossip, transport.GossipStream)
	if err == nil && p.hasWAN() {
		err = p.openGossip("serf_wan", p.cfg.BindWAN, p.wanAddr(), transport.WANGossip, transport.WANGossipStream)
	}
	if err != nil {
		return err
	}
	rpc := tcp.Config{Advertise: transport.Addr("node:" + p.id), Log: p.log}
	if port := uint16(p.cfg.ServerPort); p.cfg.Node.Server {
		rpc.Listen = netip.AddrPortFrom(p.cfg.Bind, port).String()
		rpc.Advertise = transport.Addr(netip.AddrPortFrom(p.cfg.Advertise, port).String())
	}
	server, err := tcp.New(rpc)
	if err != nil {
		return portError("server", p.cfg.ServerPort, err)
	}
	p.sockets.add(server, transport.Raft, transport.RPC)
	p.cfg.Node.RPCAddr = rpc.Advertise
	return nil
}

// openGossip opens the sockets of a pool: datagrams and streams on the same port.
func (p *Process) openGossip(name string, bind netip.Addr, advertise netip.AddrPort, packets, streams transport.Class) error {
	listen := netip.AddrPortFrom(bind, advertise.Port()).String()
	u, err := udp.New(listen, packets, p.log)
	if err != nil {
		return portError(name, int(advertise.Port()), err)
	}
	p.sockets.add(u, packets)
	t, err := tcp.New(tcp.Config{Listen: listen, Advertise: transport.Addr(advertise.String()), Log: p.log})
	if err != nil {
		return portError(name, int(advertise.Port()), err)
	}
	p.sockets.add(t, streams)
	return nil
}

func portError(name string, port int, err error) error {
	return fmt.Errorf("cannot listen on the %s port %d: %w: choose another with ports.%s", name, port, err, name)
}

func (p *Process) lanAddr() netip.AddrPort {
	return netip.AddrPortFrom(p.cfg.Advertise, uint16(p.cfg.SerfPort))
}

func (p *Process) wanAddr() netip.AddrPort {
	return netip.AddrPortFrom(p.cfg.AdvertiseWAN, uint16(p.cfg.SerfWANPort))
}

// hasWAN tells whether this agent is a member of the WAN pool.
func (p *Process) hasWAN() bool { return p.cfg.Node.Server && p.cfg.SerfWANPort > 0 }

// gossipIdentity fills in where this member is in each pool, and its incarnations, which are higher in each life.
func (p *Process) gossipIdentity(cfg *node.Config) error {
	cfg.LAN.Swim.Addr, cfg.LAN.Swim.MaxPacket = p.lanAddr(), transport.MaxDatagram-udp.Overhead
	cfg.WAN.Swim.MaxPacket = cfg.LAN.Swim.MaxPacket
	if p.cfg.AdvertiseWAN.IsValid() {
		cfg.AddressWAN = p.cfg.AdvertiseWAN.String()
	}
	if p.hasWAN() {
		cfg.WAN.Swim.Addr = p.wanAddr()
	}
	if p.files == nil {
		return nil
	}
	for name, number := range map[string]*uint64{node.SavedIncarnation: &cfg.LAN.Swim.Incarnation, node.SavedRemoteIncarnation: &cfg.WAN.Swim.Incarnation,
		node.SavedEventClock: &cfg.LAN.Swim.EventClock} {
		text, err := p.files.Read(name)
		if err != nil {
			return fmt.Errorf("gossip: %w", err)
		}
		// A damaged number counts as none: the others' memory of this node then brings it up to date.
		*number, _ = strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	}
	return nil
}
