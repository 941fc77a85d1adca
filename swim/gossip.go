package swim

import (
	"math/bits"
	"net/netip"
	"time"
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
	if m.Type == MsgPushPull || m.Type == MsgPushPullReply {
		p.Events = n.recentEvents()
	}
	n.out.Streams = append(n.out.Streams, p)
}

// load fills the rest of a packet with updates, user events and queries.
func (n *Node) load(p *Packet, tell *Update) {
	budget := n.cfg.MaxPacket - PacketOverhead - clocksSize - p.Message.Size()
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
	n.targets = n.table.pick(n.targets[:0], n.cfg.GossipNodes, live, recent, nil, n.rng)
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

// answerClaims tells the sender of an old or false claim about this member the truth at once.
func (n *Node) answerClaims(p *Packet) {
	if n.tellSelf && p.Addr.IsValid() && n.cfg.has(Buddy) {
		n.send(p.Addr, Message{Type: MsgGossip, From: n.cfg.Name}, n.self.claim)
	}
	n.tellSelf = false
}

// pushPullInterval grows with the logarithm of the size of the pool beyond 32 members, to keep the
// load of full states in check.
func (n *Node) pushPullInterval() time.Duration {
	return n.cfg.PushPullInterval * time.Duration(1+bits.Len(uint(n.NumAlive()-1)>>5))
}

// pushPullRandom exchanges full states with a random member.
func (n *Node) pushPullRandom() {
	n.targets = n.table.pick(n.targets[:0], 1, live, live, nil, n.rng)
	for _, m := range n.targets {
		n.pushPull(m.claim.Addr, 0, false)
		n.timers.Set(timerPushPull, n.now+n.pushPullInterval())
	}
}

// reconnect tries to reach a failed member: all members together each failed one about once in each
// interval, however large the pool. It is what reunites the parts after a partition.
func (n *Node) reconnect() {
	if n.failed == 0 || n.leaving() {
		return
	}
	n.timers.Set(timerReconnect, n.now+n.cfg.ReconnectInterval)
	if !n.rng.Chance(uint64(n.failed), uint64(n.NumAlive())) {
		return
	}
	total := len(n.table.lists[recent]) + len(n.table.lists[gone])
	start := n.rng.IntN(total)
	for i := range total {
		if m := n.table.at((start+i)%total, recent); m.claim.State == StateDead {
			n.pushPull(m.claim.Addr, 0, false)
			return
		}
	}
}

func (n *Node) pushPull(to netip.AddrPort, seq uint64, join bool) {
	n.sendStream(to, Message{Type: MsgPushPull, Seq: seq, From: n.cfg.Name, Join: join, Members: n.state()}, nil)
}

func (n *Node) onPushPull(p *Packet) {
	if n.foreign(&p.Message) == nil && n.admits(&p.Message) {
		n.merge(&p.Message, true)
	}
	reply := Message{Type: MsgPushPullReply, Seq: p.Message.Seq, From: n.cfg.Name, Join: p.Message.Join, Members: n.state()}
	n.sendStream(p.Addr, reply, nil)
	n.tellSelf = false // the state did
}

func (n *Node) onPushPullReply(p *Packet) {
	if twin := n.twinIn(p.Message.Members); twin != nil && p.Message.Join {
		n.joined(p.Message.Seq, twin)
		return
	}
	if err := n.foreign(&p.Message); err != nil {
		n.joined(p.Message.Seq, err)
		return
	}
	// Who joins from nothing has no news for the pool but itself.
	n.merge(&p.Message, len(n.table.lists[live]) > 0)
	n.joined(p.Message.Seq, nil)
}

func (n *Node) merge(m *Message, spread bool) {
	n.stats.PushPulls++
	for i := range m.Members {
		n.learnFromState(m.Members[i], spread)
	}
}

// state returns what this member knows of all, itself first. If that is more than Config.MaxState it
// is a random part.
func (n *Node) state() []*Update {
	total := n.table.len()
	budget := n.cfg.MaxState - n.cfg.MaxPacket - n.self.claim.Size()
	state := make([]*Update, 1, total+1)
	state[0] = n.self.claim
	start := n.rng.IntN(total)
	for i := range total {
		u := n.statement(n.table.at((start+i)%total, live))
		if budget -= u.Size(); budget < 0 {
			break
		}
		state = append(state, u)
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
