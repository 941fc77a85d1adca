package swim

import (
	"net/netip"
	"slices"
)

// Dissemination: piggybacked on every packet (SWIM section 4.1), in rounds of gossip of its own, and by
// exchanging full states.

// send lets a datagram out with as much news as fits, first of all tell if it is not nil.
func (n *Node) send(to netip.AddrPort, m Message, tell *Update) {
	p := Packet{Addr: to, Message: m}
	n.load(&p, tell)
	n.emit(p)
}

func (n *Node) emit(p Packet) {
	n.stats.PacketsSent++
	p.Clocks = n.clocks()
	n.out.Packets = append(n.out.Packets, p)
}

// sendStream lets a message out over a connection, with tell if it is not nil.
func (n *Node) sendStream(to netip.AddrPort, m Message, tell *Update) {
	p := Packet{Addr: to, Message: m}
	if tell != nil {
		p.Updates = []*Update{tell}
	}
	n.stats.StreamsSent++
	p.Clocks = n.clocks()
	if bringsEvents(&m) {
		p.Events = n.recentEvents()
	}
	n.out.Streams = append(n.out.Streams, p)
}

// load fills the rest of a packet with updates, user events and queries.
func (n *Node) load(p *Packet, tell *Update) {
	budget := n.cfg.MaxPacket - p.Size()
	skip := ""
	if tell != nil {
		budget -= tell.Size()
		p.Updates = []*Update{tell}
		skip = tell.Name
	}
	limit := transmitLimit(n.cfg.RetransmitMult, n.NumAlive())
	first := n.castsFirst && p.Message.Type == MsgGossip
	if first {
		budget = n.casts.take(p, budget, limit, n.now)
	}
	had := len(p.Updates)
	p.Updates = n.queue.take(p.Updates, budget, limit, skip)
	if !first && n.casts.len() > 0 {
		for i := range p.Updates[had:] {
			budget -= p.Updates[had+i].Size()
		}
		n.casts.take(p, budget, limit, n.now)
	}
	// In every other packet of gossip events and queries come first, so that neither they nor the updates starve.
	n.castsFirst = n.castsFirst != (p.Message.Type == MsgGossip)
	if n.leaving() {
		n.checkLeft()
	}
}

// gossip sends news to some members, the recently dead included: they may be alive after all.
func (n *Node) gossip() {
	n.targets = n.gossipTargets(n.targets[:0])
	if len(n.targets) == 0 {
		n.queue.clear() // nobody to tell; who joins later gets the full state
		n.casts.clear()
		return
	}
	for _, m := range n.targets {
		p := Packet{Addr: m.claim.Addr, Message: Message{Type: MsgGossip, From: n.cfg.Name}}
		if n.load(&p, nil); len(p.Updates)+len(p.Events)+len(p.Queries) == 0 {
			break
		}
		n.emit(p)
	}
	if n.queue.len()+n.casts.len() > 0 && !n.left {
		n.timers.Set(timerGossip, n.now+n.cfg.GossipInterval)
	}
}

// gossipTargets appends members to gossip to. Those who went recently have their share, but not more than one in each
// round: when most members failed at once, the news is still to reach the others.
func (n *Node) gossipTargets(dst []*member) []*member {
	k, living, absent := n.cfg.GossipNodes, len(n.table.lists[live]), len(n.table.lists[recent])
	if living > 0 && absent > 0 && n.rng.Chance(uint64(min(k*absent, living+absent)), uint64(living+absent)) {
		dst = n.table.pick(dst, 1, recent, recent, nil, n.rng)
	}
	if living == 0 {
		return n.table.pick(dst, k, recent, recent, nil, n.rng)
	}
	return n.table.pick(dst, max(1, k-len(dst)), live, live, nil, n.rng)
}

// answerClaims tells the sender of an old or false claim about this member the truth at once.
func (n *Node) answerClaims(p *Packet) {
	if n.tellSelf && p.Addr.IsValid() && n.cfg.has(Buddy) {
		n.send(p.Addr, Message{Type: MsgGossip, From: n.cfg.Name}, n.self.claim)
	}
	n.tellSelf = false
}

// pushPull asks for the full state of the member at the address, for this one's.
func (n *Node) pushPull(to netip.AddrPort, seq uint64, join bool) {
	n.sendStream(to, Message{Type: MsgPushPull, Seq: seq, From: n.cfg.Name, Join: join, Members: n.state(nil)}, nil)
}

// isMeant tells whether a message is for this member, and not for one that had its address before.
func (n *Node) isMeant(m *Message) bool { return m.Target == "" || m.Target == n.cfg.Name }

func (n *Node) onPushPull(p *Packet) {
	m := &p.Message
	if !parts(m.Buckets).valid() || !n.isMeant(m) {
		n.stats.InvalidMessages++
		return
	}
	if n.admits(m) {
		n.merge(m, true)
	}
	n.sendStream(p.Addr, Message{Type: MsgPushPullReply, Seq: m.Seq, From: n.cfg.Name, Join: m.Join,
		Buckets: m.Buckets, Members: n.state(m.Buckets)}, nil)
	n.tellSelf = false // the state did
}

// newcomersTell is how large a pool may be for those who join it to pass on whom they met. When a pool forms, its members
// join through different ones, each of which knows a part of them.
const newcomersTell = 32

func (n *Node) onPushPullReply(p *Packet) {
	if twin := n.twinIn(p.Message.Members); twin != nil && p.Message.Join {
		n.joined(p.Message.Seq, twin)
		return
	}
	// Who joins from nothing has no news for the pool but itself, unless others are joining at the same time elsewhere.
	n.merge(&p.Message, len(n.table.lists[live]) > 0 || len(p.Message.Members) <= newcomersTell)
	n.joined(p.Message.Seq, nil)
}

func (n *Node) merge(m *Message, spread bool) {
	n.stats.PushPulls++
	if more := min(len(m.Members), n.cfg.MaxMembers) - n.table.len(); more > n.table.len() {
		n.table.reserve(more) // a pool that was joined
		n.out.Events = slices.Grow(n.out.Events, more)
	}
	for _, u := range m.Members {
		n.learnFromState(u, spread)
	}
}

// state returns what this member knows of those in the buckets which: of itself first, then of the living, then of the
// others. If that is more than Config.MaxState it is a random part, with the living before the others.
func (n *Node) state(which parts) []*Update {
	var state []*Update
	if which == nil {
		state = make([]*Update, 0, n.table.len()+1)
	}
	if which.has(n.cfg.Name) {
		state = append(state, n.self.claim)
	}
	budget := n.cfg.MaxState - n.cfg.MaxPacket - n.self.claim.Size()
	for list := range lists {
		total := len(n.table.lists[list])
		start := n.rng.IntN(max(1, total))
		for i := range total {
			m := n.table.at((start+i)%total, list)
			if !which.has(m.claim.Name) {
				continue
			}
			u := n.statement(m)
			if budget -= u.Size(); budget < 0 {
				return state
			}
			state = append(state, u)
		}
	}
	return state
}

// noTags are the tags of a claim that tells that there are none.
var noTags = map[string]string{}

// statement is what a full state says of a member: its claim with the tags, if they are known, and with the time that
// it is gone.
func (n *Node) statement(m *member) *Update {
	if m.claim.State == StateAlive {
		return m.claim
	}
	u := *m.claim
	switch {
	case m.told() != u.Incarnation:
		u.Tags = nil
	case u.Tags == nil:
		u.Tags = noTags
	}
	if m.isGone() {
		u.Age = m.age(n.now)
	}
	return &u
}
