package raft

import (
	"cmp"
	"math"
	"time"

	"concord/internal/invariant"
	"concord/raft/progress"
	"concord/raft/quorum"
)

// never is before all times.
const never = time.Duration(math.MinInt64)

// leadership is what a server keeps only while it leads.
type leadership struct {
	followers []*follower // all other members, ordered by ID
	voter     bool        // a leader may have removed itself (thesis section 4.2.2)
	termStart uint64      // index of the no-op this term began with
	due       bool        // flush may have something to send

	uncommitted int // bytes of entries behind the commit index

	// leaseAfter: only answers to messages sent later than this count for the lease.
	leaseAfter time.Duration
	transferee ID

	reads readRounds
}

// follower is another member as the leader sees it.
type follower struct {
	progress.Progress
	id    ID
	voter bool

	lastContact time.Duration // when it was last heard from
	ackedAt     time.Duration // newest time of the leader's that it echoed
	round       uint64        // newest read round that it echoed
	lastNews    time.Duration // when Match last rose, or entries were sent after a pause
	matchedAt   time.Duration // when Match last rose
	sentCommit  uint64        // commit index it was last told, as far as it can use it

	known   entryID  // an entry below the cache whose term a LogRead told
	reading *LogRead // outstanding
	snap    *outgoing
}

type entryID struct{ index, term uint64 }

func (n *Node) becomeLeader() {
	n.role, n.leader = Leader, n.cfg.ID
	n.timers.Clear(timerElection)
	n.lead = &leadership{termStart: n.log.last() + 1, leaseAfter: n.now - 1}
	n.incoming = nil
	for _, e := range n.log.slice(n.log.committed+1, n.log.last()+1) {
		n.lead.uncommitted += entrySize(&e)
	}
	n.memberships()
	// Entries of earlier terms are committed with it, never by counting (section 5.4.2).
	n.appendOwn(Entry{Type: EntryNoop})
}

// memberships makes the followers those of the configuration in force, keeping what is known
// of those that stay.
func (n *Node) memberships() {
	l := n.lead
	old := l.followers
	l.followers = make([]*follower, 0, len(n.config().Servers))
	l.voter = n.config().HasVoter(n.cfg.ID)
	for _, s := range n.config().Servers {
		if s.ID == n.cfg.ID {
			continue
		}
		f := find(old, s.ID)
		if f == nil {
			next := n.log.last() + 1
			if n.cfg.FaultPoints.Fire("raft/guess-too-low") {
				next = max(n.log.first, n.log.committed-min(n.log.committed, 5))
			}
			f = &follower{Progress: progress.New(next, n.cfg.MaxInflight), id: s.ID, lastContact: n.now, ackedAt: never, lastNews: n.now, matchedAt: n.now}
		}
		f.voter = s.Suffrage == Voter
		l.followers = append(l.followers, f)
	}
	l.due = true
	n.timers.Set(timerQuorum, n.now+n.cfg.ElectionTimeout)
	n.timers.Set(timerHeartbeat, n.now+n.cfg.HeartbeatInterval)
	if len(l.followers) == 0 { // nobody to tell, nobody to miss: a single server may sleep
		n.timers.Clear(timerQuorum)
		n.timers.Clear(timerHeartbeat)
	}
}

func find(followers []*follower, id ID) *follower {
	for _, f := range followers {
		if f.id == id {
			return f
		}
	}
	return nil
}

// follower returns the follower with the given ID, or nil, also when this server does
// not lead.
func (n *Node) follower(id ID) *follower {
	if n.lead == nil {
		return nil
	}
	return find(n.lead.followers, id)
}

// reached returns the greatest value that a majority of the voters have reached.
func reached[T cmp.Ordered](l *leadership, self T, of func(*follower) T) T {
	var room [16]T
	values := room[:0]
	if l.voter {
		values = append(values, self)
	}
	for _, f := range l.followers {
		if f.voter {
			values = append(values, of(f))
		}
	}
	return quorum.Reached(values)
}

// close tells everybody who waits for this leader that it is none any more.
func (l *leadership) close(n *Node) { l.reads.fail(n) }

// appendOwn appends an entry to the leader's log and returns its index.
func (n *Node) appendOwn(e Entry) uint64 {
	e.Term, e.Index = n.hs.Term, n.log.last()+1
	n.log.append(e)
	n.lead.uncommitted += entrySize(&e)
	n.lead.due = true
	if e.Type == EntryConfig {
		n.configs = append(n.configs, configAt{e.Index, *e.Config})
		n.memberships()
	}
	return e.Index
}

// Propose appends commands to the leader's log, as consecutive entries beginning with
// firstIndex. It returns before they are replicated. The command at index i succeeded
// when an entry with that index and this term is in Ready.Committed. It failed for certain,
// and may be proposed again, when an entry with that index and another term is. Losing
// leadership (Ready.RoleChange), or an index at or above Ready.DroppedFrom, decides neither: the command may
// yet be committed by another leader, so a driver that does not wait must call its outcome
// unknown. The Node keeps data; it must not be changed afterwards.
//
// Errors: ErrNotLeader, ErrTransferring, ErrTooMuchUncommitted.
func (n *Node) Propose(now time.Duration, data ...[]byte) (firstIndex, term uint64, err error) {
	n.advance(now)
	if err := n.mayPropose(); err != nil {
		return 0, 0, err
	}
	size := 0
	for _, d := range data {
		size += len(d) + entryOverhead
	}
	// One proposal is always let in, however large.
	if n.lead.uncommitted > 0 && n.lead.uncommitted+size > n.cfg.MaxUncommittedBytes {
		return 0, 0, ErrTooMuchUncommitted
	}
	firstIndex = n.log.last() + 1
	for _, d := range data {
		n.appendOwn(Entry{Type: EntryCommand, Data: d})
	}
	n.checkInvariants()
	return firstIndex, n.hs.Term, nil
}

func (n *Node) mayPropose() error {
	switch {
	case n.lead == nil:
		return ErrNotLeader
	case n.lead.transferee != "":
		return ErrTransferring
	default:
		return nil
	}
}

// ready tells whether the leader has committed an entry of its term, before which it
// knows neither the commit index (thesis section 6.4) nor may change the membership
// (thesis errata to section 4.1).
func (n *Node) ready() bool { return n.log.committed >= n.lead.termStart }

// maybeCommit is the leader's rule of figure 2: an index is committed when a majority have
// it on disk, itself included, and its entry is of the current term.
func (n *Node) maybeCommit() {
	index := reached(n.lead, n.log.stable, func(f *follower) uint64 { return f.Match })
	if index <= n.log.committed {
		return
	}
	if term, _ := n.log.term(index); term != n.hs.Term {
		return
	}
	wasReady := n.ready()
	for _, e := range n.log.slice(n.log.committed+1, index+1) {
		n.lead.uncommitted -= entrySize(&e)
	}
	n.commitTo(index)
	n.lead.due = true
	if !wasReady && n.ready() {
		n.startReadRound()
	}
	if n.configs.current().index <= index && !n.lead.voter {
		n.retire()
	}
}

// commitTo raises the commit index, if index is higher.
func (n *Node) commitTo(index uint64) {
	if index > n.log.committed {
		n.log.committed = index
		n.configs.committed(index)
	}
}

// heartbeatTimeout tells all followers that the leader is there, and looks after those that
// were left waiting.
func (n *Node) heartbeatTimeout() {
	n.timers.Set(timerHeartbeat, n.now+n.cfg.HeartbeatInterval)
	for _, f := range n.lead.followers {
		n.unstick(f)
		n.sendHeartbeat(f)
	}
	if f := n.follower(n.lead.transferee); f != nil {
		n.tryTransfer(f)
	}
	n.lead.due = true
}

func (n *Node) heartbeats() {
	for _, f := range n.lead.followers {
		n.sendHeartbeat(f)
	}
}

// sendHeartbeat sends an AppendEntries without entries, which the follower answers at once,
// whatever its disk does. It commits no more than what is known to match.
func (n *Node) sendHeartbeat(f *follower) {
	// If the follower has told that it received more, ask about that: its answer to the entries
	// may have been lost.
	prev := f.Match
	if f.State() == progress.Replicate {
		prev = max(prev, min(f.Received, f.Next-1))
	}
	term, ok := n.prevTerm(f, prev)
	if !ok {
		prev, term = 0, 0
	}
	f.sentCommit = min(f.Match, n.log.committed)
	n.sendAsLeader(Message{Type: MsgAppend, To: f.id, PrevIndex: prev, PrevTerm: term, Commit: f.sentCommit})
}

// sendAsLeader sends a message from which leases and read rounds are counted.
func (n *Node) sendAsLeader(m Message) {
	m.Term, m.SentAt, m.Round = n.hs.Term, n.now, n.lead.reads.round
	m.Transfer = n.lead.transferee != ""
	m.Voter = n.config().HasVoter(m.To)
	n.send(m)
}

// heard notes an answer of f.
func (n *Node) heard(f *follower, m *Message) {
	f.lastContact = n.now
	if m.SentAt <= n.now {
		f.ackedAt = max(f.ackedAt, m.SentAt)
	}
	if m.Round <= n.lead.reads.round && m.Round > f.round {
		f.round = m.Round
		n.finishReadRound()
	}
}

// checkQuorum steps down when no majority was heard from for an election timeout, so that
// clients do not wait for a leader that cannot commit (thesis section 6.2).
func (n *Node) checkQuorum() {
	contact := reached(n.lead, n.now, func(f *follower) time.Duration { return f.lastContact })
	if deadline := contact + n.cfg.ElectionTimeout; n.now < deadline {
		n.timers.Set(timerQuorum, deadline)
		return
	}
	n.becomeFollower(n.hs.Term, "")
}

// PeerUnreachable tells that messages to the given server are being lost: pipelining to it
// stops until it answers again.
func (n *Node) PeerUnreachable(now time.Duration, id ID) {
	n.advance(now)
	if f := n.follower(id); f != nil && f.State() == progress.Replicate && f.Inflight() > 0 {
		f.BecomeProbe()
		f.SentEntries(f.Next - 1) // an answer to a heartbeat lets it go on
	}
	n.checkInvariants()
}

func (l *leadership) checkInvariants(n *Node) {
	if l.termStart > n.log.last() {
		broken("the term's first entry %d was lost, log ends at %d", l.termStart, n.log.last())
	}
	if l.uncommitted < 0 {
		broken("%d uncommitted bytes", l.uncommitted)
	}
	for _, f := range l.followers {
		f.CheckInvariants(n.log.last())
		if (f.State() == progress.Snapshot) != (f.snap != nil) {
			broken("follower %s in state %v, snapshot %t", f.id, f.State(), f.snap != nil)
		}
	}
	if invariant.Expensive {
		bytes := 0
		for _, e := range n.log.slice(n.log.committed+1, n.log.last()+1) {
			bytes += entrySize(&e)
		}
		invariant.Check(bytes == l.uncommitted, "raft: counts %d uncommitted bytes, holds %d", l.uncommitted, bytes)
	}
}
