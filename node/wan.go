package node

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"concord/swim"
)

// wanName is what a server is called in the WAN pool.
func wanName(name, datacenter string) string { return name + "." + datacenter }

// wanTags describes a server to those of other datacenters.
func (c Config) wanTags() map[string]string {
	t := c.tags()
	delete(t, tagWANPort)
	return t
}

// refuseFromLAN keeps agents of other datacenters out of the LAN pool. Two pools that were joined by mistake would otherwise be one for
// good, each leader taking the agents of the other datacenter for its own.
func refuseFromLAN(datacenter string) func(*swim.Update) error {
	return func(u *swim.Update) error {
		if dc := u.Tags[tagDatacenter]; dc != datacenter {
			return fmt.Errorf("Member '%s' part of wrong datacenter '%s'", u.Name, dc)
		}
		return nil
	}
}

// refuseFromWAN keeps those out of the WAN pool who are no servers.
func refuseFromWAN(u *swim.Update) error {
	if u.Tags[tagRole] != roleServer || u.Name == wanName("", u.Tags[tagDatacenter]) || !strings.HasSuffix(u.Name, wanName("", u.Tags[tagDatacenter])) {
		return fmt.Errorf("Member '%s' is not a server", u.Name)
	}
	return nil
}

// floodInterval is how soon servers that should be in the WAN pool and are not are asked again.
const floodInterval = 15 * time.Second

// flood remembers who was asked to join the WAN pool, until all that are still missing are asked again.
type flood struct {
	asked map[netip.AddrPort]bool
	at    time.Duration // of asking again
}

func newFlood() flood { return flood{asked: map[netip.AddrPort]bool{}, at: never} }

// floodWAN joins, in the WAN pool, the servers of this datacenter that are not members of it yet. So that all servers of two
// datacenters meet it is enough that one of them is told of one of the other.
func (n *Node) floodWAN() {
	if n.wan == nil || n.leave.phase != staying {
		return
	}
	for _, a := range n.missingInWAN() {
		if n.flood.asked[a] {
			continue
		}
		n.flood.asked[a] = true
		n.wan.Join(n.now, []netip.AddrPort{a})
		n.flood.at = min(n.flood.at, n.now+n.rng.Duration(floodInterval/2, floodInterval*3/2))
	}
}

// floodTick asks those again that have not come.
func (n *Node) floodTick() {
	if n.flood.at <= n.now {
		n.flood = newFlood()
		n.floodWAN()
	}
}

// missingInWAN are the WAN addresses of the live servers of this datacenter that the WAN pool does not know as alive.
func (n *Node) missingInWAN() []netip.AddrPort {
	var out []netip.AddrPort
	for _, m := range n.lan.Members() {
		info, ok := n.cfg.serverOf(m)
		port, err := strconv.ParseUint(m.Tags[tagWANPort], 10, 16)
		if !ok || info.ID == n.cfg.ID || m.State != swim.StateAlive || err != nil || port == 0 {
			continue
		}
		if in, known := n.wan.Member(wanName(m.Name, n.cfg.Datacenter)); !known || in.State == swim.StateDead || in.State == swim.StateLeft {
			out = append(out, netip.AddrPortFrom(m.Addr.Addr(), uint16(port)))
		}
	}
	return out
}
