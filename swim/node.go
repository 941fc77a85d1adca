package swim

import (
	"maps"
	"time"

	"concord/internal/prng"
	"concord/internal/tick"
)

// The timers of a Node.
const (
	timerProbe     = iota // end of the protocol period
	timerIndirect         // the direct probe took too long
	timerGossip           // next round of gossip; set only while there is news
	timerPushPull         // next comparison with another member
	timerReconnect        // next chance to reach a failed member
	timerRelay            // a probe made for another got no answer in time
	timerJoin             // a join got no answer in time
	timerLeave            // leaving took long enough
	timerHeld             // a user event waited for an earlier one for long enough
	timerQuery            // an own query is over
	timers
)

// Node is one member of the pool: a pure state machine. Every input method takes the current time,
// a duration since an origin of the driver's choice that never goes backwards; its effects are
// collected by Output. The driver calls Tick when NextDeadline has passed. A Node is not safe for
// concurrent use.
type Node struct {
	cfg    Config
	rng    *prng.Rand
	now    time.Duration
	timers *tick.Timers

	self    member // in no list, not in table
	table   table
	failed  int // members in StateDead
	watch   watches
	queue   queue
	locator *locator
	health  awareness

	casts      casts
	castsFirst bool // in the last packet of gossip
	events     events
	queries    queries

	exiles    []exile
	digest    uint64 // of all that is known, this member included
	checks    checks
	seq       uint64
	probe     probe
	relays    []relay
	joins     []join
	rival     *Update                  // of this member's name, whose address was asked whether it lives
	conflicts map[string]time.Duration // names in use twice and when that was last reported
	left      bool                     // departed: nothing is begun any more
	greetAt   time.Duration            // when a stranger's ping may be answered by a push/pull again

	stats Stats
	out   Output
	// tellSelf is set while a packet is handled that brought a false or old claim about this member.
	tellSelf bool
	// believed is the highest incarnation of this member that checkInvariants saw.
	believed uint64
	targets  []*member // scratch
}

// New returns a member that knows only itself. Its incarnation is one above cfg.Incarnation, and is
// in the first Output to be persisted. The zero knobs of cfg have their defaults; an error wraps
// ErrConfig. Its own EventJoin is in the first Output.
func New(cfg Config, rng *prng.Rand, now time.Duration) (*Node, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	n := &Node{
		cfg: cfg, rng: rng, now: now, timers: tick.New(timers),
		table: newTable(rng.Uint64()), queue: newQueue(), health: newAwareness(&cfg),
		conflicts: make(map[string]time.Duration),
		events:    newEvents(&cfg, now), queries: newQueries(&cfg),
		seq: rng.Uint64() >> 33, // so that an answer to a former life's probe is not taken for one to ours
	}
	n.locator = n.newLocator()
	own := &Update{
		State: StateAlive, Name: cfg.Name, ID: cfg.ID, Addr: cfg.Addr,
		Incarnation: cfg.Incarnation, Tags: maps.Clone(cfg.Tags), From: cfg.Name,
	}
	n.self = member{claim: own}
	n.count(&n.self)
	n.raise(cfg.Incarnation, StateAlive)
	n.event(EventJoin, &n.self)
	n.check()
	return n, nil
}

// Tick does what is due.
func (n *Node) Tick(now time.Duration) {
	n.advance(now)
	n.expireWatches()
	if n.timers.Fired(timerIndirect, n.now) {
		n.probeIndirectly()
	}
	if n.timers.Fired(timerProbe, n.now) {
		n.finishProbe()
		n.startProbe()
	}
	if n.timers.Fired(timerGossip, n.now) {
		n.gossip()
	}
	if n.timers.Fired(timerPushPull, n.now) {
		n.checks.due, n.table.sorted = true, nil
		n.wake()
	}
	if n.timers.Fired(timerReconnect, n.now) {
		n.reconnect()
	}
	if n.timers.Fired(timerRelay, n.now) {
		n.expireRelays()
	}
	if n.timers.Fired(timerJoin, n.now) {
		n.expireJoins()
	}
	if n.timers.Fired(timerLeave, n.now) {
		n.finishLeave()
	}
	if n.timers.Fired(timerHeld, n.now) {
		n.expireHeld()
	}
	if n.timers.Fired(timerQuery, n.now) {
		n.expireQueries(false)
	}
	n.check()
}

// HandlePacket takes in a datagram.
func (n *Node) HandlePacket(now time.Duration, p Packet) {
	n.advance(now)
	n.stats.PacketsReceived++
	n.hear(&p)
	n.learnAll(p.Updates)
	m := &p.Message
	switch m.Type {
	case MsgPing:
		n.onPing(&p, n.send)
	case MsgPingReq:
		n.onPingReq(&p)
	case MsgAck:
		n.onAck(m, false)
	case MsgNack:
		n.onNack(m)
	case MsgAnswer:
		n.onAnswer(m)
	case MsgGossip:
	default:
		n.stats.InvalidMessages++
	}
	n.answerClaims(&p)
	n.check()
}

// HandleStream takes in a message that came over a connection. What answers it goes out as a stream
// to p.Addr.
func (n *Node) HandleStream(now time.Duration, p Packet) {
	n.advance(now)
	n.stats.StreamsReceived++
	if err := n.foreign(&p.Message); err != nil {
		n.onForeign(&p, err)
		n.check()
		return
	}
	n.hear(&p)
	n.learnAll(p.Updates)
	m := &p.Message
	switch m.Type {
	case MsgPing:
		n.onPing(&p, n.sendStream)
	case MsgAck:
		n.onAck(m, true)
	case MsgPushPull:
		n.onPushPull(&p)
	case MsgPushPullReply:
		n.onPushPullReply(&p)
	case MsgBuckets:
		n.onBuckets(&p)
	default:
		n.stats.InvalidMessages++
	}
	n.answerClaims(&p)
	n.check()
}

// Output returns what is to be done since the last call, and forgets it.
func (n *Node) Output() Output {
	out := n.out
	n.out = Output{}
	return out
}

// HasOutput tells whether Output has anything.
func (n *Node) HasOutput() bool {
	o := &n.out
	return len(o.Packets)+len(o.Streams)+len(o.Events)+len(o.Joined)+len(o.Notices)+len(o.UserEvents)+len(o.Questions)+len(o.Replies) > 0 || o.Incarnation != 0 || o.Left
}

// NextDeadline returns when Tick wants to be called next; tick.Never if there is nothing to wait for.
func (n *Node) NextDeadline() time.Duration { return min(n.timers.Next(), n.watch.next()) }

// Members returns all members by name, this one included, those pruned left out.
func (n *Node) Members() []Member {
	others := n.table.ordered()
	members := make([]Member, 0, len(others)+1)
	own := false
	for _, slot := range others {
		m := n.table.member(slot)
		if !own && m.claim.Name > n.cfg.Name {
			members, own = append(members, n.Local()), true
		}
		if !m.claim.Prune {
			members = append(members, m.view())
		}
	}
	if !own {
		members = append(members, n.Local())
	}
	return members
}

// Member returns the named member, and whether it is known and not pruned.
func (n *Node) Member(name string) (Member, bool) {
	if name == n.cfg.Name {
		return n.Local(), true
	}
	m := n.table.get(name)
	if m == nil || m.claim.Prune {
		return Member{}, false
	}
	return m.view(), true
}

// NumAlive returns the number of members that are alive or suspect, this one included.
func (n *Node) NumAlive() int { return len(n.table.lists[live]) + 1 }

// Local returns this member.
func (n *Node) Local() Member { return n.self.view() }

// leaving tells whether Leave was called.
func (n *Node) leaving() bool { return n.self.claim.State == StateLeft }

func (m *member) view() Member {
	if m.watch == nil {
		return Member{Update: *m.claim}
	}
	return Member{Update: *m.claim, Since: m.watch.since}
}

// advance moves the clock. If the node was not driven for long (a paused process or machine), what
// others failed to do meanwhile says nothing about them.
func (n *Node) advance(now time.Duration) {
	late := now - max(n.now, n.NextDeadline())
	n.now = max(n.now, now)
	if late > n.cfg.ProbeInterval && n.cfg.has(LocalHealth) {
		n.probe.active = false
		n.timers.Clear(timerIndirect)
		n.watch.delaySuspicions(late)
		n.health.add(1)
		n.stats.Stalls++
		n.notice(Warn, "", "this node was not scheduled for %v; is the machine overloaded or was it paused?", late)
	}
	if memory := min(n.cfg.ReconnectTimeout, n.cfg.TombstoneTimeout); late >= memory-reapSlack(memory) {
		n.beginAnew()
	}
}

// expireWatches ends suspicions and forgets members that are gone for long enough.
func (n *Node) expireWatches() {
	for m := n.watch.due(n.now); m != nil; m = n.watch.due(n.now) {
		switch {
		case m.claim.State == StateSuspect:
			n.declareDead(m)
		case m.age(n.now) >= n.reapAfter(m.claim.State):
			n.reap(m)
		default:
			n.table.move(m, gone, n.rng)
			n.watch.set(m, m.watch.since+n.reapAfter(m.claim.State))
		}
	}
}

// reapAfter returns how long a member that is gone is remembered.
func (n *Node) reapAfter(s State) time.Duration {
	if s == StateLeft {
		return n.cfg.TombstoneTimeout
	}
	return n.cfg.ReconnectTimeout
}

func (n *Node) reap(m *member) {
	if !m.claim.Prune {
		n.event(EventReap, m)
	}
	if m.claim.State == StateDead {
		n.banish(m.claim)
	}
	n.forget(m)
	n.wake()
}

// forget removes all that is known of the member.
func (n *Node) forget(m *member) {
	if m.claim.State == StateDead {
		n.failed--
	}
	if n.probe.target == m {
		n.probe.active, n.probe.target = false, nil // what it points to will be another
	}
	n.count(m)
	n.newsCame()
	n.watch.clear(m)
	n.queue.drop(m.claim.Name)
	n.locator.forget(m.claim.Name)
	n.table.remove(m)
}
