package raft

import "time"

// TransferLeadership hands leadership to the given voter, or to the best one when to is
// empty (thesis section 3.10). Until the transfer is over no proposals are accepted
// and no reads answered from the lease. Success shows as the loss of leadership; a transfer
// that takes longer than an election timeout is given up and proposals go on.
//
// Errors: ErrNotLeader, ErrTransferring, ErrNotVoter, ErrUnknownServer (nobody to take over).
func (n *Node) TransferLeadership(now time.Duration, to ID) error {
	n.advance(now)
	if err := n.mayPropose(); err != nil {
		return err
	}
	f := n.follower(to)
	if to == "" {
		f = n.bestVoter()
	}
	switch {
	case f == nil && to == "":
		return ErrUnknownServer
	case f == nil || !f.voter:
		return ErrNotVoter
	}
	n.lead.transferee = f.id
	n.timers.Set(timerTransfer, n.now+n.cfg.ElectionTimeout)
	n.heartbeats() // tells everybody that this leader asks for no lease now
	n.tryTransfer(f)
	n.checkInvariants()
	return nil
}

// bestVoter returns the voter that needs the least to take over, one heard from lately if
// there is any; nil: there is no other voter.
func (n *Node) bestVoter() *follower {
	var best *follower
	for _, f := range n.lead.followers {
		if !f.voter {
			continue
		}
		if best == nil || n.recent(f) && !n.recent(best) || n.recent(f) == n.recent(best) && f.Match > best.Match {
			best = f
		}
	}
	return best
}

// tryTransfer tells f to campaign if it is the transferee and has the whole log.
func (n *Node) tryTransfer(f *follower) {
	if f.id == n.lead.transferee && f.Match == n.log.last() {
		n.timeoutNow(f)
	}
}

func (n *Node) timeoutNow(f *follower) {
	n.send(Message{Type: MsgTimeoutNow, To: f.id, Term: n.hs.Term, SentAt: n.now})
}

// abortTransfer resumes leading. What was promised while handing over was promised to
// nobody, so the lease begins anew.
func (n *Node) abortTransfer() {
	n.lead.transferee = ""
	n.lead.leaseAfter = n.now
	n.lead.due = true
}

// onTimeoutNow campaigns at once, without a pre-vote, for the leader asks for it.
func (n *Node) onTimeoutNow(m *Message) {
	p := &n.promise
	fresh := m.SentAt >= p.sentAt || p.term != m.Term
	if n.leader != m.From || !n.config().HasVoter(n.cfg.ID) || !fresh || n.now < p.restartUntil || n.installPending() {
		return
	}
	n.campaign(m)
}
