package node

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"concord/gossip"
	"concord/internal/prng"
	"concord/swim"
	"concord/transport"
)

// pool is the node's part in a gossip pool: the LAN pool of all agents of its datacenter or, on a server, the WAN pool of the
// servers of all datacenters.
type pool struct {
	*gossip.Pool
	component        string          // of its log lines
	packets, streams transport.Class // of what it sends
	incarnation      string          // names for Env.Save
	peers            string
	keyring          string // name for Env.SaveKeyring

	keyOps map[uint64]func(gossip.KeyResponse) // that wait for their end
	warnAt time.Duration                       // when a dropped message may be warned of again

	joins map[netip.AddrPort][]func(swim.JoinResult)
	seeds seeds
	saved string // the peers as they were saved last, so that the file is written only when they change
	left  bool   // this member's departure was told to the others
}

func newLAN(cfg gossip.Config, rng *prng.Rand, now time.Duration) (*pool, error) {
	p := &pool{component: "swim", packets: transport.Gossip, streams: transport.GossipStream, incarnation: SavedIncarnation,
		peers: SavedPeers, keyring: SavedKeyring}
	return p.open(cfg, rng.Fork("swim"), now)
}

func newWAN(cfg gossip.Config, rng *prng.Rand, now time.Duration) (*pool, error) {
	p := &pool{component: "swim.wan", packets: transport.WANGossip, streams: transport.WANGossipStream,
		incarnation: SavedRemoteIncarnation, peers: SavedRemotePeers, keyring: SavedRemoteKeyring}
	return p.open(cfg, rng.Fork("swim-wan"), now)
}

func (p *pool) open(cfg gossip.Config, rng *prng.Rand, now time.Duration) (*pool, error) {
	var err error
	p.Pool, err = gossip.New(cfg, rng, now)
	p.keyOps = map[uint64]func(gossip.KeyResponse){}
	p.joins, p.seeds = map[netip.AddrPort][]func(swim.JoinResult){}, seeds{at: never}
	return p, err
}

// nextDeadline is when the pool wants to be ticked.
func (p *pool) nextDeadline() time.Duration {
	if p == nil {
		return never
	}
	return min(p.NextDeadline(), p.seeds.at)
}

// join asks the members at the addresses to let this node in. done is called once for each.
func (n *Node) join(p *pool, addrs []netip.AddrPort, done func(swim.JoinResult)) {
	for _, a := range addrs {
		p.joins[a] = append(p.joins[a], done)
	}
	p.seeds.remember(n.now, addrs)
	p.Join(n.now, addrs)
}

// joined passes on what came of a join.
func (p *pool) joined(j swim.JoinResult) {
	waiting := p.joins[j.Addr]
	delete(p.joins, j.Addr)
	for _, done := range waiting {
		done(j)
	}
}

// drainPool carries out what a pool wants, and tells whether it wanted anything that may lead to more.
func (n *Node) drainPool(p *pool) bool {
	if !p.HasOutput() {
		return false
	}
	out := p.Output()
	for _, s := range out.Sends {
		class := p.packets
		if s.Stream {
			class = p.streams
		}
		n.env.Send(transport.Envelope{To: transport.Addr(s.To.String()), Class: class, Payload: s.Payload})
	}
	for _, o := range out.Notices {
		n.log(noticeLevels[o.Level], p.component, o.Text)
	}
	if out.Incarnation != 0 {
		n.env.Save(p.incarnation, strconv.AppendUint(nil, out.Incarnation, 10))
	}
	n.drainKeys(p, &out)
	for _, j := range out.Joined {
		p.joined(j)
	}
	for _, ev := range out.Events {
		n.onMember(p, ev)
	}
	if p == n.lan {
		n.onUserEvents(out.UserEvents)
	}
	if len(out.Events) > 0 {
		n.gossipChanged(p)
		n.forsake(out.Events)
	}
	if out.Left {
		p.left = true
		n.leaveTick()
	}
	return true
}

// savePeers keeps the addresses of the live members, from which -rejoin starts.
func (n *Node) savePeers(p *pool) {
	var b strings.Builder
	own := p.Local().Name
	for _, m := range p.Members() {
		if m.Name != own && (m.State == swim.StateAlive || m.State == swim.StateSuspect) {
			b.WriteString(m.Addr.String() + "\n")
		}
	}
	// An empty pool is not saved: all others failing at once is when the old list is needed most.
	if s := b.String(); s != p.saved && s != "" {
		p.saved = s
		n.env.Save(p.peers, []byte(s))
	}
}
