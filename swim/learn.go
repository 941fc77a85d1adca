package swim

import (
	"fmt"
	"maps"
	"strings"
	"time"
	"unicode"
)

// The rules of dissemination: what a claim that was heard changes (SWIM sections 4.1 and 4.2).

// maxConflicts bounds the names remembered as reported; conflictEvery is how often one is reported.
const (
	maxConflicts  = 64
	conflictEvery = time.Minute
)

// feedbackFrom is the size of the pool above which what others told counts as sent (queue.heard). It saves half of the
// gossip, but a burst of news then misses somebody more often, whom the digests find some seconds later. In smaller pools
// there is little to save.
const feedbackFrom = 128

func (n *Node) learnAll(updates []*Update) {
	if len(updates) == 0 {
		return
	}
	limit := transmitLimit(n.cfg.RetransmitMult, n.NumAlive())
	crowd := n.NumAlive() > feedbackFrom
	for _, u := range updates {
		if crowd {
			n.queue.heard(u, limit)
		}
		n.learn(u, true)
	}
}

// learn takes in a claim, which is kept, and passes it on to others if it is news and spread is set.
func (n *Node) learn(u *Update, spread bool) {
	if u.Validate() != nil {
		n.stats.InvalidUpdates++
		return
	}
	if u.Name == n.cfg.Name {
		n.learnOfSelf(u)
		return
	}
	if n.refuses(u) {
		return
	}
	m := n.table.get(u.Name)
	if m == nil {
		n.meet(u, spread)
		return
	}
	n.checkConflict(m.claim, u)
	if u == m.claim {
		return
	}
	if precedes(u, m.claim) {
		n.accept(m, u, spread)
		return
	}
	if u.ID != m.claim.ID {
		return
	}
	if u.State == StateSuspect && m.claim.State == StateSuspect && u.Incarnation == m.claim.Incarnation {
		n.confirm(m, u)
	}
	if tellsTags(u) && u.Incarnation > m.told() {
		n.learnTags(m, u)
	}
}

// learnFromState takes in a claim of another's full state. A failure told this way only raises a
// suspicion of a member that is alive here: after a partition both sides hold the other for failed,
// and the member must have the time to refute. The same holds for a departure that another forced.
func (n *Node) learnFromState(u *Update, spread bool) {
	m := n.table.get(u.Name)
	if m != nil && m.told() == u.Incarnation && u.State == StateAlive && m.claim.State == StateAlive && (u == m.claim ||
		u.Incarnation == m.claim.Incarnation && u.ID == m.claim.ID && u.Addr == m.claim.Addr) {
		return // nearly all of a full state is known already
	}
	if m != nil && !m.isGone() && (u.State == StateDead || u.State == StateLeft && u.From != u.Name) {
		c := *u
		c.State, c.From, c.Tags, c.Age, c.Prune = StateSuspect, n.cfg.Name, nil, 0, false
		n.learn(&c, spread)
		return
	}
	n.learn(u, spread)
}

// meet takes in a member never heard of. Of those gone for so long that they are forgotten here, or soon will be,
// nothing is remembered again: otherwise members that reap at different times would keep them for
// ever. Who is gone takes no room from others.
func (n *Node) meet(u *Update, spread bool) {
	isGone := u.State == StateDead || u.State == StateLeft
	if isGone && u.Age >= n.reapAfter(u.State)-reapSlack(n.reapAfter(u.State)) {
		return
	}
	if n.table.len()+1 >= n.cfg.MaxMembers && (isGone || !n.makeRoom()) {
		n.stats.MembersRefused++
		return
	}
	if !isGone {
		n.pardon(u.Name)
	}
	m := n.table.add(clean(u), live, n.rng)
	n.stats.UpdatesAccepted++
	told := uint64(0)
	if tellsTags(u) {
		told = u.Incarnation
	}
	// What happened long ago is not news: passed on with its age as of now it would go round among members that forget and
	// meet again, and reach, after a partition, those for whom the member lives.
	n.enter(m, told, spread && u.Age < n.cfg.GossipToTheDead)
	n.count(m)
	n.newsCame()
	if !isGone {
		n.event(EventJoin, m)
	}
	n.wake()
}

// reapSlack is by how much members may differ in when somebody went.
func reapSlack(reapAfter time.Duration) time.Duration { return min(reapAfter/16, 5*time.Minute) }

// makeRoom forgets a random member that is gone, if there is one.
func (n *Node) makeRoom() bool {
	n.targets = n.table.pick(n.targets[:0], 1, recent, gone, nil, n.rng)
	if len(n.targets) == 0 {
		return false
	}
	n.reap(n.targets[0])
	return true
}

// accept replaces what is believed of a member by claim c, which precedes it.
func (n *Node) accept(m *member, c *Update, spread bool) {
	before := n.digest
	n.count(m)
	old, c, told := m.claim, clean(c), m.told()
	switch {
	case tellsTags(c):
		told = c.Incarnation
	case c.ID == old.ID:
		c = withTags(c, old.Tags)
	default:
		told = 0 // the tags known are another node's
	}
	if old.State == StateDead {
		n.failed--
	}
	m.claim = c
	n.stats.UpdatesAccepted++
	n.enter(m, told, spread)
	if n.count(m); n.digest != before {
		n.newsCame()
	}
	n.emitChange(m, old)
	n.wake()
}

// enter puts the member where its new claim belongs: list, watch and queue. The incarnation told is that of its tags.
func (n *Node) enter(m *member, told uint64, spread bool) {
	c := m.claim
	switch c.State {
	case StateAlive:
		n.watch.clear(m)
		n.table.move(m, live, n.rng)
	case StateSuspect:
		n.table.move(m, live, n.rng)
		n.suspect(m, told)
	case StateDead, StateLeft:
		n.depart(m, told)
	}
	if spread {
		n.queue.put(gossiped(c))
	}
}

// depart files a member that is gone, as of when it went.
func (n *Node) depart(m *member, told uint64) {
	since := n.now - m.claim.Age
	if m.claim.State == StateDead {
		n.failed++
	}
	list, next := recent, since+n.cfg.GossipToTheDead
	if next <= n.now || m.claim.State == StateLeft && m.claim.From == m.claim.Name {
		// Who left of its own accord has nothing to refute: news would bring back one that is started again.
		list, next = gone, since+n.reapAfter(m.claim.State)
	}
	n.table.move(m, list, n.rng)
	w := n.watch.set(m, next)
	w.since, w.told, w.suspicion = since, told, suspicion{}
}

// suspect begins, or for a higher incarnation begins anew, the suspicion of a member.
func (n *Node) suspect(m *member, told uint64) {
	n.stats.Suspicions++
	s := newSuspicion(&n.cfg, n.NumAlive(), n.now, m.claim.From)
	w := n.watch.set(m, s.end())
	w.since, w.told, w.suspicion = n.now, told, s
	n.notice(Info, m.claim.Name, "%s suspects that %s has failed", m.claim.From, m.claim.Name)
}

// confirm lets another member's suspicion shorten the one under way, and passes it on: "we also
// re-gossip the first K independent suspicions" (Lifeguard section IV-B). Only members that are
// alive have a voice.
func (n *Node) confirm(m *member, u *Update) {
	if author := n.table.get(u.From); u.From != n.cfg.Name && (author == nil || author.isGone()) {
		return
	}
	s := &m.watch.suspicion
	if !s.confirm(u.From) {
		return
	}
	n.watch.set(m, s.end())
	n.queue.put(gossiped(u))
	n.wake()
}

// declareDead ends a suspicion that was not refuted in time.
func (n *Node) declareDead(m *member) {
	n.checkDeath(m)
	n.stats.Deaths++
	c := *m.claim
	c.State, c.From, c.Tags = StateDead, n.cfg.Name, nil
	n.notice(Warn, c.Name, "%s has failed: it did not refute the suspicion in time", c.Name)
	n.accept(m, &c, true)
}

// learnTags takes the tags of an incarnation that was overtaken by a suspicion of it.
func (n *Node) learnTags(m *member, u *Update) {
	n.count(m)
	old := m.claim
	m.claim, m.watch.told = withTags(old, u.Tags), u.Incarnation
	n.count(m)
	n.emitChange(m, old)
}

// emitChange tells the driver how a known member's state, address or tags changed. That a suspicion
// began or ended is no change to it.
func (n *Node) emitChange(m *member, old *Update) {
	was, is := old.State, m.claim.State
	switch {
	case old.Prune && m.isGone():
	case !m.isGone() && !isLive(old):
		n.event(EventJoin, m)
	case is == StateDead && was != StateDead:
		n.event(EventFailed, m)
	case is == StateLeft && was != StateLeft:
		n.event(EventLeave, m)
	case old.Addr != m.claim.Addr || old.ID != m.claim.ID || !maps.Equal(old.Tags, m.claim.Tags):
		n.event(EventUpdate, m)
	}
	if m.claim.Prune && !old.Prune {
		n.event(EventReap, m)
	}
}

// learnOfSelf takes in a claim about this member. What is false is refuted: "if Mj is alive, it will
// [...] disseminate an Alive message with a higher incarnation number" (SWIM section 4.2). So is the claim of a former life
// whose incarnation was lost.
func (n *Node) learnOfSelf(u *Update) {
	own := n.self.claim
	mine := u.ID == own.ID || u.ID == "" || own.ID == "" || u.Addr == own.Addr
	switch {
	case !mine && isLive(u):
		// Another node has the name. Whom the pool believes is for precedes to say; to raise the
		// incarnation would start a race that nobody wins. If the other goes, the name is free.
		if n.conflict(own, u) {
			n.challenge(u)
		}
	case precedes(own, u):
		n.tellSelf = n.tellSelf || u.State != StateAlive
	case precedes(u, own) || !sameSelf(u, own):
		// sameSelf: a former life whose incarnation was lost told the same incarnation.
		n.refute(u)
	}
}

// sameSelf tells whether a claim that equals this member's own in precedence tells the same of it.
func sameSelf(u, own *Update) bool {
	return u.Addr == own.Addr && (!tellsTags(u) || maps.Equal(u.Tags, own.Tags))
}

// refute raises the incarnation above a false claim.
func (n *Node) refute(u *Update) {
	if u.Incarnation >= maxIncarnation {
		n.stats.InvalidUpdates++
		return
	}
	n.stats.Refutes++
	if u.State == StateSuspect || u.State == StateDead {
		n.health.add(1)
	}
	n.raise(u.Incarnation, n.self.claim.State)
	n.tellSelf = true
	n.notice(Warn, n.cfg.Name, "%s says that this member is %s (incarnation %d); refuted", u.From, u.State, u.Incarnation)
}

// raise makes this member's own claim of the given state with an incarnation above the one given.
func (n *Node) raise(above uint64, s State) {
	c := *n.self.claim
	c.Incarnation, c.State = max(c.Incarnation, above)+1, s
	n.setSelf(&c)
	n.out.Incarnation = c.Incarnation
	n.queue.put(&c)
	n.wake()
}

// setSelf makes c this member's own claim.
func (n *Node) setSelf(c *Update) {
	n.count(&n.self)
	n.self.claim = c
	n.count(&n.self)
	n.newsCame()
}

// checkConflict reports that two live nodes claim one name.
func (n *Node) checkConflict(a, b *Update) {
	if a.ID != b.ID && a.ID != "" && b.ID != "" && a.Addr != b.Addr &&
		a.State <= StateSuspect && b.State <= StateSuspect {
		n.conflict(a, b)
	}
}

// conflict reports that two live nodes claim one name, unless that was done of late; it tells whether it did.
func (n *Node) conflict(a, b *Update) bool {
	n.stats.Conflicts++
	if !n.mayReport(a.Name) {
		return false
	}
	// Each of the two may only ever hear what it says itself.
	for _, c := range []struct{ of, to *Update }{{a, b}, {b, a}} {
		if c.to != n.self.claim {
			n.emit(Packet{Addr: c.to.Addr, Message: Message{Type: MsgGossip, From: n.cfg.Name}, Updates: []*Update{c.of}})
		}
	}
	n.notice(Error, a.Name, "two nodes are named %s: %s at %v and %s at %v; rename one of them", a.Name, a.ID, a.Addr, b.ID, b.Addr)
	return true
}

// gossiped returns the claim as it is gossiped: a suspicion or a failure without tags, to stay small.
func gossiped(c *Update) *Update {
	if c.State != StateSuspect && c.State != StateDead {
		return c
	}
	return withTags(c, nil)
}

// withTags returns the claim with these tags instead of its own.
func withTags(c *Update, tags map[string]string) *Update {
	if c.Tags == nil && tags == nil {
		return c
	}
	other := *c
	other.Tags = tags
	return &other
}

// clean returns the claim without what does not belong to its state.
func clean(u *Update) *Update {
	age, prune := u.Age, u.Prune && u.State == StateLeft
	if u.State < StateDead {
		age = 0
	}
	if age == u.Age && prune == u.Prune {
		return u
	}
	c := *u
	c.Age, c.Prune = age, prune
	return &c
}

func (n *Node) event(t EventType, m *member) {
	n.out.Events = append(n.out.Events, Event{Type: t, Member: m.view()})
}

// notice tells the operator something. What strangers said in it cannot begin a line of its own.
func (n *Node) notice(l NoticeLevel, member, format string, args ...any) {
	text := strings.Map(printable, fmt.Sprintf(format, args...))
	n.out.Notices = append(n.out.Notices, Notice{Level: l, Text: text, Member: member})
}

func printable(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return unicode.ReplacementChar
}
