package swim

import (
	"net/netip"
	"slices"
	"time"

	"concord/internal/tick"
)

// The failure detector (SWIM section 3.1, Lifeguard section IV-A).

// probe is the one of the current protocol period.
type probe struct {
	active   bool // waits for an ack
	seq      uint64
	target   *member
	begun    time.Duration
	helpers  int  // indirect probes asked for
	nacks    int  // of them, the ones whose helper reported that it got no answer either
	streamed bool // was also tried over a stream
	refused  bool // over the stream: it is suspected already
}

// relay is a probe made for another member.
type relay struct {
	seq     uint64 // ours
	origin  netip.AddrPort
	theirs  uint64
	nackAt  time.Duration
	expires time.Duration
	nacked  bool
}

// maxRelays bounds the probes for others under way.
const maxRelays = 256

// wake sets the timers that what is known now needs.
func (n *Node) wake() {
	if n.left {
		return
	}
	if n.queue.len()+n.casts.len() > 0 && n.table.len() > 0 {
		n.arm(timerGossip, 0, n.cfg.GossipInterval)
	}
	if n.leaving() {
		return
	}
	if len(n.table.lists[live]) > 0 {
		n.arm(timerProbe, 0, n.cfg.ProbeInterval)
		n.arm(timerPushPull, n.cfg.PushPullInterval/2, n.cfg.PushPullInterval)
	}
	if n.failed+len(n.exiles) > 0 {
		n.arm(timerReconnect, n.cfg.ReconnectInterval/2, n.cfg.ReconnectInterval)
	}
}

// arm sets a timer that is not set to a random time ahead, so that members do not act in step.
func (n *Node) arm(timer int, lo, hi time.Duration) {
	if n.timers.At(timer) == tick.Never {
		n.timers.Set(timer, n.now+n.rng.Duration(lo, hi))
	}
}

// startProbe begins a protocol period: "Mi selects a random member [...] and a ping message is sent
// to it" (SWIM section 3.1), the choice being round-robin (section 4.3).
func (n *Node) startProbe() {
	m := n.table.next(n.rng)
	if m == nil || n.leaving() {
		return
	}
	n.stats.Probes++
	n.seq++
	n.probe = probe{active: true, seq: n.seq, target: m, begun: n.now}
	n.timers.Set(timerProbe, n.now+n.health.scale(n.cfg.ProbeInterval))
	n.timers.Set(timerIndirect, n.now+n.health.scale(n.cfg.ProbeTimeout))
	ping := n.ping(m)
	ping.Digest = n.dueDigest()
	n.send(m.claim.Addr, ping, n.buddyNotice(m))
}

func (n *Node) ping(m *member) Message {
	return Message{Type: MsgPing, Seq: n.probe.seq, Target: m.claim.Name, From: n.cfg.Name}
}

// buddyNotice returns the claim to tell a member that is not believed to be alive, at the first
// occasion, so that it can refute (Lifeguard section IV-C, Buddy System); nil if it is.
func (n *Node) buddyNotice(m *member) *Update {
	if m == nil || m.claim.State == StateAlive || !n.cfg.has(Buddy) {
		return nil
	}
	return gossiped(m.claim)
}

// probeIndirectly asks for help: "Mi selects k members at random and sends each a ping-req(Mj)
// message" (SWIM section 3.1). A ping goes over a stream at the same time, as datagrams alone may be lost
// or blocked.
func (n *Node) probeIndirectly() {
	m := n.probe.target
	if !n.probe.active || m.isGone() {
		return
	}
	n.targets = n.table.pick(n.targets[:0], n.cfg.IndirectChecks, live, live, m, n.rng)
	req := Message{Type: MsgPingReq, Seq: n.probe.seq, Target: m.claim.Name, Addr: m.claim.Addr, From: n.cfg.Name}
	for _, helper := range n.targets {
		n.send(helper.claim.Addr, req, n.buddyNotice(helper))
	}
	n.probe.helpers, n.probe.streamed = len(n.targets), true
	n.stats.IndirectProbes += uint64(len(n.targets))
	n.sendStream(m.claim.Addr, n.ping(m), n.buddyNotice(m))
}

// finishProbe ends the protocol period: without an answer the target becomes suspect.
func (n *Node) finishProbe() {
	p := &n.probe
	if !p.active {
		return
	}
	p.active = false
	m := p.target
	if m.isGone() || n.leaving() {
		return
	}
	n.stats.ProbesFailed++
	n.blameSelf(p.helpers - p.nacks)
	if !p.refused {
		n.accuse(m)
	}
}

// accuse makes this member suspect m.
func (n *Node) accuse(m *member) {
	c := *m.claim
	c.State, c.From, c.Tags = StateSuspect, n.cfg.Name, nil
	n.learn(&c, true)
}

// StreamRefused tells that the machine at addr answers, but that no process listens there. A member that is being probed is
// suspected at once then: a stream to it is only tried when it has not answered a datagram in time. Otherwise it is like
// StreamFailed.
func (n *Node) StreamRefused(now time.Duration, addr netip.AddrPort) {
	n.advance(now)
	p := &n.probe
	if p.active && p.streamed && !p.refused && p.target.claim.Addr == addr && !p.target.isGone() && !n.leaving() {
		p.refused = true // the period goes on, for the nacks and for an answer through a helper
		n.accuse(p.target)
	}
	n.takeOver(addr)
	n.StreamFailed(now, addr)
}

// blameSelf lets a failed probe count against this member's own health. A helper's nack shows that its packets get
// through; what it blames itself for is each answer that it should have got (Lifeguard section IV-A).
func (n *Node) blameSelf(missed int) {
	if n.probe.helpers == 0 || !n.cfg.has(Nacks) {
		n.health.add(1)
		return
	}
	n.stats.NacksMissed += uint64(missed)
	n.health.add(missed)
}

// onPing answers a ping that is meant for this member.
func (n *Node) onPing(p *Packet, send func(netip.AddrPort, Message, *Update)) {
	m := &p.Message
	if m.Target != n.cfg.Name {
		n.stats.InvalidMessages++
		return
	}
	tell := n.buddyNotice(n.table.get(m.From))
	if n.tellSelf || n.leaving() {
		tell, n.tellSelf = n.self.claim, false
	}
	send(p.Addr, Message{Type: MsgAck, Seq: m.Seq, From: n.cfg.Name, Coordinate: n.locator.own()}, tell)
	// Somebody knows this member, which knows nobody: it restarted without being told whom to join.
	if n.table.len() == 0 && m.From != n.cfg.Name && !n.leaving() && n.now >= n.greetAt {
		n.greetAt = n.now + n.cfg.ProbeInterval
		n.pushPull(p.Addr, 0, false)
	} else {
		n.compare(p)
	}
}

// onPingReq probes a member for another: "each of them in turn pings Mj, and forwards the ack" (SWIM
// section 3.1).
func (n *Node) onPingReq(p *Packet) {
	m := &p.Message
	if !validName(m.Target) || !validAddr(m.Addr) {
		n.stats.InvalidMessages++
		return
	}
	if len(n.relays) >= maxRelays {
		n.stats.RelaysRefused++
		return
	}
	n.stats.Relayed++
	n.seq++
	n.relays = append(n.relays, relay{
		seq: n.seq, origin: p.Addr, theirs: m.Seq,
		nackAt: n.now + n.patience()*4/5, expires: n.now + n.cfg.ProbeTimeout, nacked: !n.cfg.has(Nacks),
	})
	n.armRelays()
	ping := Message{Type: MsgPing, Seq: n.seq, Target: m.Target, From: n.cfg.Name}
	n.send(m.Addr, ping, n.buddyNotice(n.table.get(m.Target)))
}

// patience is how long a helper waits for the target: it nacks "at 80% of the ping timeout" (Lifeguard section IV-A),
// early enough to arrive in time. The one that asked waits for what its own direct probe left of the period, which may
// be less than the timeout (2 of 3 seconds with the timing for WANs).
func (n *Node) patience() time.Duration {
	return min(n.cfg.ProbeTimeout, n.cfg.ProbeInterval-n.cfg.ProbeTimeout)
}

// onAck ends the probe under way, or passes the answer on to who asked for it.
func (n *Node) onAck(m *Message, stream bool) {
	if n.probe.active && m.Seq == n.probe.seq {
		n.probe.active = false
		n.timers.Clear(timerIndirect)
		n.health.add(-1)
		n.locate(m, stream)
		if stream {
			n.stats.FallbackAcks++
			n.notice(Warn, n.probe.target.claim.Name, "%s answers over TCP but not over UDP; check firewalls and the network",
				n.probe.target.claim.Name)
		}
		return
	}
	i := slices.IndexFunc(n.relays, func(r relay) bool { return r.seq == m.Seq })
	if i < 0 {
		if m.Seq != n.probe.seq {
			n.stats.UnknownAcks++
		}
		return
	}
	r := n.relays[i]
	n.relays = slices.Delete(n.relays, i, i+1)
	n.armRelays()
	n.send(r.origin, Message{Type: MsgAck, Seq: r.theirs, From: n.cfg.Name}, nil)
}

// onNack notes that a helper is well but got no answer from the target.
func (n *Node) onNack(m *Message) {
	if !n.probe.active || m.Seq != n.probe.seq || n.probe.nacks >= n.probe.helpers {
		n.stats.UnknownAcks++
		return
	}
	n.probe.nacks++
}

// expireRelays sends the nacks that are due and forgets the relays that are over.
func (n *Node) expireRelays() {
	keep := n.relays[:0]
	for _, r := range n.relays {
		if n.now >= r.nackAt && !r.nacked {
			r.nacked = true
			n.stats.NacksSent++
			n.send(r.origin, Message{Type: MsgNack, Seq: r.theirs, From: n.cfg.Name}, nil)
		}
		if n.now < r.expires {
			keep = append(keep, r)
		}
	}
	n.relays = keep
	n.armRelays()
}

func (n *Node) armRelays() {
	n.timers.Clear(timerRelay)
	for _, r := range n.relays {
		at := r.expires
		if !r.nacked {
			at = r.nackAt
		}
		n.timers.Set(timerRelay, min(n.timers.At(timerRelay), at))
	}
}
