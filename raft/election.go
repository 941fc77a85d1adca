package raft

import (
	"time"

	"concord/internal/invariant"
	"concord/raft/quorum"
)

// promise is what a server owes the leader it last heard from: for LeaseTimeout it neither
// votes nor campaigns, so that the leader may answer reads from its lease (thesis section 6.4.1).
type promise struct {
	lastContact  time.Duration
	until        time.Duration // end of the promise
	restartUntil time.Duration // end of that of an earlier life, of which no more is known
	made         bool

	// The newest message for which the promise was made: its leader's term and time.
	term   uint64
	sentAt time.Duration

	// suspect: the leader's process is said to be gone; do as little waiting as the
	// promise allows.
	suspect bool
}

func (p *promise) restart(until time.Duration) {
	p.made, p.until, p.restartUntil = true, until, until
}

// votes counts an election.
type votes struct {
	from              map[ID]bool
	granted, rejected int
}

func (n *Node) resetElectionTimer() {
	most := 2 * n.cfg.ElectionTimeout
	if n.cfg.FaultPoints.Fire("raft/eager-election") {
		most = n.cfg.ElectionTimeout + 1
	}
	n.timers.Set(timerElection, n.now+n.rand.Duration(n.cfg.ElectionTimeout, most))
}

// heardLeader notes a message of the current term's leader.
func (n *Node) heardLeader(m *Message) {
	if n.role != Follower || n.leader != m.From {
		n.becomeFollower(m.Term, m.From)
	}
	p := &n.promise
	p.lastContact, p.suspect = n.now, false
	n.resetElectionTimer()
	if m.Transfer {
		return // the leader asks for no lease
	}
	p.made, p.until = true, max(p.until, n.now+n.cfg.LeaseTimeout)
	if p.term != m.Term {
		p.term, p.sentAt = m.Term, m.SentAt
	}
	p.sentAt = max(p.sentAt, m.SentAt)
}

// bound tells whether this server must not listen to a candidate: it heard from a leader
// lately (thesis section 4.2.3), or still owes one its lease.
func (n *Node) bound(m *Message) bool {
	if m.Transfer && n.released(m) {
		return false
	}
	if n.role == Leader || n.promise.made && n.now < n.promise.until {
		return true
	}
	return n.leader != "" && !n.promise.suspect && n.now < n.promise.lastContact+n.cfg.ElectionTimeout
}

// released tells whether the leader of the term before m's has let go of its lease for the
// sake of m's sender, and has not asked for a new one since: a request from an aborted
// transfer may come arbitrarily late.
func (n *Node) released(m *Message) bool {
	if n.role == Leader {
		return n.lead.transferee == m.From
	}
	p := &n.promise
	switch {
	case n.now < p.restartUntil:
		return false
	case p.term+1 < m.Term:
		return true // that leader was itself elected, so every older lease is over
	default:
		return p.term+1 == m.Term && m.SentAt >= p.sentAt
	}
}

// LeaderConnectionLost is a hint: the leader's process seems to be gone, for it refuses
// connections. The server no longer waits out its election timeout, but campaigns as
// soon as its promise to the leader allows. A wrong hint costs at most an
// unnecessary pre-vote, never safety.
func (n *Node) LeaderConnectionLost(now time.Duration) {
	n.advance(now)
	if n.role == Follower && n.leader != "" {
		n.promise.suspect = true
		at := max(n.now, n.promise.until) + n.rand.Duration(0, n.cfg.HeartbeatInterval/2)
		n.timers.Set(timerElection, min(at, n.timers.At(timerElection)))
	}
	n.checkInvariants()
}

func (n *Node) electionTimeout() {
	if !n.configs.hasVoter(n.cfg.ID) {
		n.becomeFollower(n.hs.Term, "") // only voters campaign (thesis section 4.2.1)
		n.timers.Clear(timerElection)
		return
	}
	if n.installPending() {
		n.resetElectionTimer() // its log is about to be replaced by a longer one
		return
	}
	n.preCampaign()
}

// preCampaign asks whether a campaign could be won, before raising the term (thesis section 9.6).
func (n *Node) preCampaign() {
	if n.soleVoter() {
		n.campaign(nil)
		return
	}
	invariant.Check(n.now >= n.promise.until, "raft: campaigns at %v, promised not to until %v", n.now, n.promise.until)
	n.becomeFollower(n.hs.Term, "")
	n.role = PreCandidate
	n.votes = votes{from: make(map[ID]bool)}
	n.retryCampaign()
	n.countVote(n.cfg.ID, true)
	n.eachOtherVoter(func(id ID) {
		n.send(Message{Type: MsgPreVote, To: id, Term: n.hs.Term + 1, LastIndex: n.log.last(), LastTerm: n.log.lastTerm()})
	})
}

// retryCampaign sets when to campaign again if this one fails. A server that knows that its
// leader is gone waits for its peers to notice, not for an election timeout.
func (n *Node) retryCampaign() {
	n.resetElectionTimer()
	if n.promise.suspect && n.now < n.promise.lastContact+2*n.cfg.ElectionTimeout {
		n.timers.Set(timerElection, n.now+n.rand.Duration(n.cfg.HeartbeatInterval/2, n.cfg.HeartbeatInterval))
	}
}

// campaign begins an election (section 5.2). When the leader asked for it, transfer is the
// request.
func (n *Node) campaign(transfer *Message) {
	n.becomeFollower(n.hs.Term+1, "")
	n.role = Candidate
	n.hs.VotedFor = n.cfg.ID
	n.promise.suspect = false
	n.votes = votes{from: make(map[ID]bool)}
	n.eachOtherVoter(func(id ID) {
		m := Message{Type: MsgVote, To: id, LastIndex: n.log.last(), LastTerm: n.log.lastTerm()}
		if transfer != nil {
			m.Transfer, m.SentAt = true, transfer.SentAt
		}
		// Not before the log it boasts of, and the own vote, are on disk: after a crash,
		// an answer to a longer log must not elect a shorter one.
		n.sendAfterPersist(m)
	})
}

func (n *Node) eachOtherVoter(do func(ID)) {
	for _, s := range n.config().Servers {
		if s.Suffrage == Voter && s.ID != n.cfg.ID {
			do(s.ID)
		}
	}
}

// onPreVote answers whether it would vote for the sender, and changes nothing.
func (n *Node) onPreVote(m *Message) {
	free := m.Term > n.hs.Term || m.Term == n.hs.Term && n.mayVote(m.From)
	if free && !n.blank() && !n.bound(m) && n.log.upToDate(m.LastIndex, m.LastTerm) {
		n.send(Message{Type: MsgPreVoteReply, To: m.From, Term: m.Term})
		// Give the sender a head start, lest both campaign and split the vote.
		headStart := n.rand.Duration(n.cfg.HeartbeatInterval, 2*n.cfg.HeartbeatInterval)
		n.timers.Set(timerElection, max(n.timers.At(timerElection), n.now+headStart))
		return
	}
	// A higher term in the answer lets the sender catch up with it.
	n.reply(Message{Type: MsgPreVoteReply, To: m.From, Reject: true})
}

// mayVote tells whether the vote of the current term is still id's to have.
func (n *Node) mayVote(id ID) bool {
	return n.hs.VotedFor == id || n.hs.VotedFor == "" && n.leader == ""
}

// onVote is the RequestVote RPC of figure 2.
func (n *Node) onVote(m *Message) {
	if n.blank() || n.bound(m) || !n.mayVote(m.From) || !n.log.upToDate(m.LastIndex, m.LastTerm) {
		n.reply(Message{Type: MsgVoteReply, To: m.From, Reject: true})
		return
	}
	n.hs.VotedFor = m.From
	n.resetElectionTimer()
	n.sendAfterPersist(Message{Type: MsgVoteReply, To: m.From})
}

// onVoteReply counts the answers to MsgVote and MsgPreVote.
func (n *Node) onVoteReply(m *Message) {
	if n.role == PreCandidate && !m.Reject && m.Term != n.hs.Term+1 {
		return // granted for an earlier campaign
	}
	n.countVote(m.From, !m.Reject)
}

// countVote counts the first answer of each voter, and acts on the result.
func (n *Node) countVote(from ID, granted bool) {
	if _, voted := n.votes.from[from]; voted || !n.config().HasVoter(from) {
		return
	}
	n.votes.from[from] = granted
	if granted {
		n.votes.granted++
	} else {
		n.votes.rejected++
	}
	switch quorum.Count(n.config().Voters(), n.votes.granted, n.votes.rejected) {
	case quorum.Won:
		if n.role == PreCandidate {
			n.campaign(nil)
		} else {
			n.becomeLeader()
		}
	case quorum.Lost:
		at := n.timers.At(timerElection)
		n.becomeFollower(n.hs.Term, "")
		n.timers.Set(timerElection, at)
	}
}
