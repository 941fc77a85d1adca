package raft

import (
	"slices"
	"time"

	"concord/raft/progress"
)

// The paper takes it for granted that a server's disk keeps what was written. A voter that comes
// back without its log has forgotten its votes and acknowledgements, and would undo commitments if it were
// counted. It is known by its empty log: one becomes a voter only with entries on its disk
// (ErrNotCaughtUp), or by forming a cluster (MayForm).

// MayForm tells that this server has promised, durably, to be one of the first voters of a new
// cluster: until it has an entry, it may vote and acknowledge although it has none.
func (n *Node) MayForm(now time.Duration, may bool) {
	n.advance(now)
	n.forming = may
	n.checkInvariants()
}

// blank tells whether this server has nothing that its votes and answers could rest on.
func (n *Node) blank() bool { return n.log.last() == 0 && !n.forming }

// refuseAsLost answers a leader that counts on a voter whose log is gone. A server that the leader does not
// count on is a new one, or was readmitted, and takes what it is sent.
func (n *Node) refuseAsLost(m *Message) bool {
	if !m.Voter || !n.blank() {
		return false
	}
	n.reply(Message{Type: MsgAppendReply, To: m.From, SentAt: m.SentAt, PrevIndex: m.PrevIndex, Reject: true, Lost: true})
	return true
}

// lostData begins anew with a follower that does not have what it acknowledged, and tells the driver.
// Until the next heartbeat nothing is sent to it.
func (n *Node) lostData(f *follower) {
	f.Progress = progress.New(n.log.last()+1, n.cfg.MaxInflight)
	f.SentEntries(n.log.last())
	f.snap, f.reading, f.known, f.sentCommit = nil, nil, entryID{}, 0
	f.ackedAt = never
	if !slices.Contains(n.out.lost, f.id) {
		n.out.lost = append(n.out.lost, f.id)
	}
}
