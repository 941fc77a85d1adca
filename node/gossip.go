package node

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

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
	roleServer    = "consul"
	roleClient    = "node"
)

// tags describes the node to the others.
func (c Config) tags() map[string]string {
	t := map[string]string{tagRole: roleClient, tagDatacenter: c.Datacenter, tagID: c.ID, tagBuild: c.Build,
		"segment": "", "vsn": "2", "vsn_min": "2", "vsn_max": "3"}
	if !c.Server {
		return t
	}
	t[tagRole], t["raft_vsn"] = roleServer, "3"
	if i := strings.LastIndexByte(string(c.RPCAddr), ':'); i >= 0 {
		t[tagPort] = string(c.RPCAddr[i+1:])
	}
	if c.Expect > 0 {
		t[tagExpect] = strconv.Itoa(c.Expect)
	}
	if c.Bootstrap {
		t[tagBootstrap] = "1"
	}
	return t
}

// serverInfo is what a member's tags say of it, if it is a server of this datacenter.
type serverInfo struct {
	ID     string
	Name   string
	Addr   transport.Addr // of its server RPC
	Build  string
	Expect int
	State  swim.State
}

func (c Config) serverOf(m swim.Member) (serverInfo, bool) {
	if m.Tags[tagRole] != roleServer || m.Tags[tagDatacenter] != c.Datacenter {
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

// Member is the member of that name.
func (n *Node) Member(name string) (swim.Member, bool) { return n.lan.Member(name) }

// GossipStats are the counters of the LAN pool.
func (n *Node) GossipStats() swim.Stats { return n.lan.Stats() }

// Join asks the members at the addresses to let this node into their pool. What comes of it is
// told to done, once for each address.
func (n *Node) Join(addrs []netip.AddrPort, done func(swim.JoinResult)) {
	n.begin()
	for _, a := range addrs {
		n.router.joins[a] = append(n.router.joins[a], done)
	}
	n.seeds.remember(n.now, addrs)
	n.lan.Join(n.now, addrs)
}

// ForceLeave takes a failed member for one that has left; with prune it is also forgotten.
func (n *Node) ForceLeave(name string, prune bool) error {
	n.begin()
	return n.lan.ForceLeave(n.now, name, prune)
}

func (n *Node) onGossip(e transport.Envelope) {
	from, err := netip.ParseAddrPort(string(e.From))
	if err == nil {
		err = n.lan.Receive(n.now, from, e.Class == transport.GossipStream, e.Payload)
	}
	if err != nil {
		n.log(Debug, "swim", "dropped a malformed message", "from", string(e.From), "error", err)
	}
}

func (n *Node) gossipUnreachable(peer transport.Addr) {
	if a, err := netip.ParseAddrPort(string(peer)); err == nil {
		n.lan.StreamFailed(n.now, a)
	}
}

// drainGossip carries out what gossip wants, and tells whether it wanted anything that may lead to more.
func (n *Node) drainGossip() bool {
	if !n.lan.HasOutput() {
		return false
	}
	out := n.lan.Output()
	for _, s := range out.Sends {
		class := transport.Gossip
		if s.Stream {
			class = transport.GossipStream
		}
		n.env.Send(transport.Envelope{To: transport.Addr(s.To.String()), Class: class, Payload: s.Payload})
	}
	for _, o := range out.Notices {
		n.log(noticeLevels[o.Level], "swim", o.Text)
	}
	if out.Incarnation != 0 {
		n.env.Save(SavedIncarnation, strconv.AppendUint(nil, out.Incarnation, 10))
	}
	for _, j := range out.Joined {
		n.router.joined(j)
	}
	for _, ev := range out.Events {
		n.onMember(ev)
	}
	if len(out.Events) > 0 {
		n.gossipChanged()
	}
	if out.Left {
		n.leave.gossipLeft = true
		n.leaveTick()
	}
	return true
}

var noticeLevels = map[swim.NoticeLevel]Level{swim.Debug: Debug, swim.Info: Info, swim.Warn: Warn, swim.Error: Error}

var eventNames = map[swim.EventType]string{
	swim.EventJoin: "EventMemberJoin", swim.EventLeave: "EventMemberLeave", swim.EventFailed: "EventMemberFailed",
	swim.EventUpdate: "EventMemberUpdate", swim.EventReap: "EventMemberReap",
}

func (n *Node) onMember(ev swim.Event) {
	n.log(Info, "swim", eventNames[ev.Type]+": "+ev.Member.Name+" "+ev.Member.Addr.Addr().String())
	if n.server != nil {
		n.server.onMember(ev)
	}
}

// gossipChanged passes on what the pool now looks like.
func (n *Node) gossipChanged() {
	n.local.SetClusterSize(n.lan.NumAlive())
	n.router.update(n.servers())
	n.savePeers()
	if n.server != nil {
		n.server.gossipChanged()
	}
	n.releaseHeld()
}

// savedPeers remembers what was saved, so that the file is written only when it changes.
type savedPeers struct{ last string }

// savePeers keeps the addresses of the live members, from which -rejoin starts.
func (n *Node) savePeers() {
	var b strings.Builder
	for _, m := range n.lan.Members() {
		if m.Name != n.cfg.Name && (m.State == swim.StateAlive || m.State == swim.StateSuspect) {
			b.WriteString(m.Addr.String() + "\n")
		}
	}
	// An empty pool is not saved: all others failing at once is when the old list is needed most.
	if s := b.String(); s != n.peers.last && s != "" {
		n.peers.last = s
		n.env.Save(SavedPeers, []byte(s))
	}
}
