package raft

import "time"

// maxNumber bounds terms and indexes: nothing honest ever gets there, and arithmetic
// below it cannot overflow.
const maxNumber = 1 << 62

// handler is one cell of the dispatch table.
type handler func(*Node, *Message)

// dispatch is what each role does with each message of its own term (and with a MsgPreVote of
// any term). Step has dealt with other terms before.
var dispatch = [Leader + 1][MsgReadIndexReply + 1]handler{
	Follower: {
		MsgPreVote: (*Node).onPreVote, MsgPreVoteReply: late, // stopped campaigning since
		MsgVote: (*Node).onVote, MsgVoteReply: late,
		MsgAppend: (*Node).onAppend, MsgAppendReply: late, // stopped leading since
		MsgSnapshot: (*Node).onSnapshot, MsgSnapshotReply: late,
		MsgTimeoutNow: (*Node).onTimeoutNow,
		MsgReadIndex:  (*Node).refuseReadIndex, MsgReadIndexReply: (*Node).onReadIndexReply,
	},
	PreCandidate: {
		MsgPreVote: (*Node).onPreVote, MsgPreVoteReply: (*Node).onVoteReply,
		MsgVote: (*Node).onVote, MsgVoteReply: late,
		MsgAppend: (*Node).onAppend, MsgAppendReply: late,
		MsgSnapshot: (*Node).onSnapshot, MsgSnapshotReply: late,
		MsgTimeoutNow: late, // from a leader it has already given up
		MsgReadIndex:  (*Node).refuseReadIndex, MsgReadIndexReply: late,
	},
	Candidate: {
		MsgPreVote: (*Node).onPreVote, MsgPreVoteReply: late, // won with fewer
		MsgVote: (*Node).onVote, MsgVoteReply: (*Node).onVoteReply,
		MsgAppend: (*Node).onAppend, MsgAppendReply: late, // refuses an append of an older term
		MsgSnapshot: (*Node).onSnapshot, MsgSnapshotReply: impossibleNeverLed,
		MsgTimeoutNow: impossibleChosenUnheard,
		MsgReadIndex:  (*Node).refuseReadIndex, MsgReadIndexReply: late,
	},
	Leader: {
		MsgPreVote: (*Node).onPreVote, MsgPreVoteReply: late,
		MsgVote: (*Node).onVote, MsgVoteReply: late,
		MsgAppend: impossibleSecondLeader, MsgAppendReply: (*Node).onAppendReply,
		MsgSnapshot: impossibleSecondLeader, MsgSnapshotReply: (*Node).onSnapshotReply,
		MsgTimeoutNow: impossibleSecondLeader,
		MsgReadIndex:  (*Node).onReadIndex, MsgReadIndexReply: late,
	},
}

// late drops an answer whose question no longer matters.
func late(*Node, *Message) {}

// The impossible cells. A correct server never causes them, so they count as garbage.

// impossibleSecondLeader: there is at most one leader in a term (Election Safety).
func impossibleSecondLeader(n *Node, _ *Message) { n.garbage++ }

// impossibleNeverLed: a candidate has not yet led in its term, so nobody got a snapshot from it.
func impossibleNeverLed(n *Node, _ *Message) { n.garbage++ }

// impossibleChosenUnheard: a leader hands over only to a server whose log it knows to
// match, and that server has therefore acknowledged it and is no candidate.
func impossibleChosenUnheard(n *Node, _ *Message) { n.garbage++ }

// Step takes in a message from another server. Whatever no correct server sends is
// dropped and counted in Status().Garbage. The message and what it points to belong
// to the Node afterwards.
func (n *Node) Step(now time.Duration, m Message) {
	n.advance(now)
	if !n.validMessage(&m) {
		n.garbage++
		return
	}
	if n.agreeOnTerm(&m) {
		dispatch[n.role][m.Type](n, &m)
	}
	n.checkInvariants()
}

// agreeOnTerm compares terms before anything else (section 5.1) and tells whether the message
// is still to be handled.
func (n *Node) agreeOnTerm(m *Message) bool {
	switch {
	case m.Type == MsgPreVote:
		return true // changes no terms: that is its point (thesis section 9.6)
	case m.Term < n.hs.Term:
		n.refuseOldTerm(m)
		return false
	case m.Term > n.hs.Term:
		return n.adoptTerm(m)
	default:
		return true
	}
}

// refuseOldTerm tells candidates and leaders of the past the current term ("reply false if
// term < currentTerm", figure 2). Without the answer to a leader a server with a higher
// term, which won a pre-vote and no more, would stay cut off for ever.
func (n *Node) refuseOldTerm(m *Message) {
	switch m.Type {
	case MsgVote:
		n.reply(Message{Type: MsgVoteReply, To: m.From, Reject: true})
	case MsgAppend, MsgSnapshot:
		n.reply(Message{Type: MsgAppendReply, To: m.From, Reject: true})
	}
}

// adoptTerm follows a higher term where the sender may make it do so, and tells whether
// the message is then to be handled.
func (n *Node) adoptTerm(m *Message) bool {
	switch m.Type {
	case MsgVote:
		if n.bound(m) {
			return false // thesis section 4.2.3: neither a vote nor a new term
		}
		n.becomeFollower(m.Term, "")
		return true
	case MsgAppend, MsgSnapshot:
		n.becomeFollower(m.Term, m.From)
		return true
	case MsgPreVoteReply:
		if !m.Reject {
			return true // the term asked for, not the voter's
		}
		fallthrough
	case MsgVoteReply, MsgAppendReply, MsgSnapshotReply:
		// A removed server must not disturb (thesis section 4.2.3).
		if _, member := n.config().Server(m.From); member {
			n.becomeFollower(m.Term, "")
		}
		return false
	default:
		return false // whoever asks or hands over in a higher term, it is not meant for this server
	}
}

// validMessage tells whether a correct server could have sent m.
func (n *Node) validMessage(m *Message) bool {
	if m.Type < MsgPreVote || m.Type > MsgReadIndexReply || m.From == "" || m.From == n.cfg.ID || m.To != n.cfg.ID {
		return false
	}
	for _, x := range [...]uint64{m.Term, m.LastIndex, m.LastTerm, m.PrevIndex, m.PrevTerm, m.Commit, m.Match, m.HintIndex, m.HintTerm, m.Index} {
		if x >= maxNumber {
			return false
		}
	}
	switch m.Type {
	case MsgPreVote, MsgVote:
		return m.Term > 0 && m.LastTerm < m.Term
	case MsgAppend:
		return m.Term > 0 && validAppend(m)
	case MsgSnapshot:
		s := m.Snapshot
		return m.Term > 0 && s != nil && s.Index > 0 && s.Index < maxNumber && s.Term > 0 && s.Term <= m.Term &&
			s.ConfigIndex <= s.Index && s.Config.Validate() == nil && (m.Done || len(m.Next) > 0)
	case MsgSnapshotReply:
		return m.Snapshot != nil
	default:
		return true
	}
}

func validAppend(m *Message) bool {
	if m.PrevTerm > m.Term || (m.PrevIndex == 0) != (m.PrevTerm == 0) {
		return false
	}
	term := m.PrevTerm
	for i := range m.Entries {
		e := &m.Entries[i]
		if e.Index != m.PrevIndex+uint64(i)+1 || !validEntry(e, term, m.Term) {
			return false
		}
		term = e.Term
	}
	return true
}

// validEntry tells whether e may stand behind an entry of minTerm in a log of maxTerm.
func validEntry(e *Entry, minTerm, maxTerm uint64) bool {
	if e.Term == 0 || e.Term < minTerm || e.Term > maxTerm {
		return false
	}
	switch e.Type {
	case EntryNoop, EntryCommand:
		return e.Config == nil
	case EntryConfig:
		return e.Config != nil && e.Config.Validate() == nil
	default:
		return false
	}
}
