package node

import (
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"concord/gossip"
	"concord/swim"
	"concord/transport"
)

// Tags that members carry, as Consul's operators know them from `members -detailed`.
const (
	tagRole       = "role" // roleServer or roleClient
	tagDatacenter = "dc"
	tagID         = "id"
	tagPort       = "port" // of the server RPC
	tagBuild      = "build"
	tagExpect     = "expect"
	tagBootstrap  = "bootstrap"
	tagWANPort    = "wan_join_port"
	roleServer    = "consul"
	roleClient    = "node"
)

// tags describes the node to the others.
func (c Config) tags() map[string]string {
	t := map[string]string{tagRole: roleClient, tagDatacenter: c.Datacenter, tagID: c.ID, tagBuild: c.Build,
		"acls": "0", "segment": "", "vsn": "2", "vsn_min": "2", "vsn_max": "3"}
	if !c.Server {
		return t
	}
	t[tagRole], t["raft_vsn"] = roleServer, "3"
	if c.hasWAN() {
		t[tagWANPort] = strconv.Itoa(int(c.WAN.Swim.Addr.Port()))
	}
	if i := strings.LastIndexByte(string(c.RPCAddr), ':'); i >= 0 {
		t[tagPort] = string(c.RPCAddr[i+1:])
	}
	switch {
	case c.Bootstrap || c.Expect == 1:
		t[tagBootstrap] = "1"
	case c.Expect > 1:
		t[tagExpect] = strconv.Itoa(c.Expect)
	}
	return t
}

// serverInfo is what the tags of a server say of it.
type serverInfo struct {
	ID     string
	Name   string
	Addr   transport.Addr // of its server RPC
	Build  string
	Expect int
	State  swim.State
}

// serverOf is what a member's tags say of it, if it is a server of this datacenter.
func (c Config) serverOf(m swim.Member) (serverInfo, bool) {
	if m.Tags[tagDatacenter] != c.Datacenter {
		return serverInfo{}, false
	}
	return serverAt(m)
}

// serverAt is what a member's tags say of it, if it is a server.
func serverAt(m swim.Member) (serverInfo, bool) {
	if m.Tags[tagRole] != roleServer {
		return serverInfo{}, false
	}
	port, err := strconv.ParseUint(m.Tags[tagPort], 10, 16)
	if err != nil || m.Tags[tagID] == "" {
		return serverInfo{}, false
	}
	expect, _ := strconv.Atoi(m.Tags[tagExpect]) // absent: it does not bootstrap by number
	return serverInfo{
		ID: m.Tags[tagID], Name: m.Name, Build: m.Tags[tagBuild], Expect: expect, State: m.State,
		Addr: transport.Addr(netip.AddrPortFrom(m.Addr.Addr(), uint16(port)).String()),
	}, true
}

// servers lists the servers of this datacenter by ID, in any state but left.
func (n *Node) servers() []serverInfo {
	var out []serverInfo
	for _, m := range n.lan.Members() {
		if s, ok := n.cfg.serverOf(m); ok && s.State != swim.StateLeft {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b serverInfo) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// Members lists the members of the LAN pool by name.
func (n *Node) Members() []swim.Member { return n.lan.Members() }

// WANMembers lists the members of the WAN pool by name; nil where there is none.
func (n *Node) WANMembers() []swim.Member {
	if n.wan == nil {
		return nil
	}
	return n.wan.Members()
}

// Member is the member of the LAN pool of that name.
func (n *Node) Member(name string) (swim.Member, bool) { return n.lan.Member(name) }

// GossipStats are the counters of the LAN pool.
func (n *Node) GossipStats() gossip.Stats { return n.lan.Stats() }

// WANStats are the counters of the WAN pool, and whether there is one.
func (n *Node) WANStats() (gossip.Stats, bool) {
	if n.wan == nil {
		return gossip.Stats{}, false
	}
	return n.wan.Stats(), true
}

// Join asks the members at the addresses to let this node into their pool. What comes of it is
// told to done, once for each address.
func (n *Node) Join(addrs []netip.AddrPort, done func(swim.JoinResult)) {
	n.begin()
	n.join(n.lan, addrs, done)
}

// ErrNoWAN is returned where something is asked of the WAN pool on an agent that has none.
var ErrNoWAN = errors.New("Must be a server to join WAN cluster, with ports.serf_wan other than -1")

// JoinWAN is Join for the WAN pool. It fails with ErrNoWAN where there is none.
func (n *Node) JoinWAN(addrs []netip.AddrPort, done func(swim.JoinResult)) error {
	n.begin()
	if n.wan == nil {
		return ErrNoWAN
	}
	n.join(n.wan, addrs, done)
	return nil
}

// ForceLeave takes a failed member for one that has left; with prune it is also forgotten. A server is a member of both
// pools: its name in the WAN pool has the datacenter behind it, and servers of other datacenters are only known there.
func (n *Node) ForceLeave(name string, prune bool) error {
	n.begin()
	err := n.lan.ForceLeave(n.now, name, prune)
	if n.wan == nil {
		return err
	}
	inWAN := name
	if err == nil {
		inWAN = wanName(name, n.cfg.Datacenter)
	}
	if errWAN := n.wan.ForceLeave(n.now, inWAN, prune); err != nil && errors.Is(err, swim.ErrUnknownMember) {
		return errWAN
	}
	return err
}

func (n *Node) onGossip(e transport.Envelope) {
	p := n.poolOf(e.Class)
	if p == nil {
		return
	}
	from, err := netip.ParseAddrPort(string(e.From))
	if err == nil {
		err = p.Receive(n.now, from, e.Class == p.streams, e.Payload)
	}
	if err != nil {
		n.dropped(p, string(e.From), err)
	}
}

func (n *Node) gossipUnreachable(p *pool, ev *transport.Event) {
	a, err := netip.ParseAddrPort(string(ev.Peer))
	switch {
	case err != nil || p == nil:
	case ev.Type == transport.Refused:
		p.StreamRefused(n.now, a)
	default:
		p.StreamFailed(n.now, a)
	}
}

// poolOf is the pool that messages of a class belong to, nil if this node is in none.
func (n *Node) poolOf(c transport.Class) *pool {
	if c == transport.WANGossip || c == transport.WANGossipStream {
		return n.wan
	}
	return n.lan
}

// drainGossip carries out what the pools want, and tells whether they wanted anything that may lead to more.
func (n *Node) drainGossip() (again bool) {
	for _, p := range n.pools {
		again = n.drainPool(p) || again
	}
	return again
}

var noticeLevels = map[swim.NoticeLevel]Level{swim.Debug: Debug, swim.Info: Info, swim.Warn: Warn, swim.Error: Error}

var eventNames = map[swim.EventType]string{
	swim.EventJoin: "EventMemberJoin", swim.EventLeave: "EventMemberLeave", swim.EventFailed: "EventMemberFailed",
	swim.EventUpdate: "EventMemberUpdate", swim.EventReap: "EventMemberReap",
}

func (n *Node) onMember(p *pool, ev swim.Event) {
	n.log(Info, p.component, eventNames[ev.Type]+": "+ev.Member.Name+" "+ev.Member.Addr.Addr().String())
	if p == n.lan && n.server != nil {
		n.server.onMember(ev)
	}
}

// gossipChanged passes on what a pool now looks like.
func (n *Node) gossipChanged(p *pool) {
	n.savePeers(p)
	if p == n.lan {
		n.local.SetClusterSize(n.lan.NumAlive())
		n.router.update(n.servers())
		if n.server != nil {
			n.server.gossipChanged()
		}
	}
	if p == n.wan {
		n.remotes.update(n.cfg.Datacenter, n.wan.Members())
	}
	n.floodWAN()
	n.releaseHeld()
}
