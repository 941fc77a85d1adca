package raft

import "time"

// ProposeChange appends a configuration that differs from the one in force by the change
// of a single server, which takes effect at once (thesis section 4.1). One change at a time;
// what became of it is told as for Propose.
//
// Errors: ErrNotLeader, ErrTransferring, ErrNotReady, ErrChangePending, ErrConfigChanged, ErrNoChange,
// ErrUnknownServer, ErrNoVoters, ErrBadChange, ErrNotCaughtUp.
func (n *Node) ProposeChange(now time.Duration, c Change) (index, term uint64, err error) {
	n.advance(now)
	if err := n.mayPropose(); err != nil {
		return 0, 0, err
	}
	cur := n.configs.current()
	switch {
	case !n.ready():
		return 0, 0, ErrNotReady
	case cur.index > n.log.committed:
		return 0, 0, ErrChangePending
	case c.PrevIndex != 0 && c.PrevIndex != cur.index:
		return 0, 0, ErrConfigChanged
	}
	if f := n.follower(c.Server.ID); c.Type == AddVoter && !cur.config.HasVoter(c.Server.ID) && c.Server.ID != n.cfg.ID && (f == nil || f.Match == 0) {
		return 0, 0, ErrNotCaughtUp
	}
	next, err := cur.config.With(c)
	if err != nil {
		return 0, 0, err
	}
	index = n.appendOwn(Entry{Type: EntryConfig, Config: &next})
	n.checkInvariants()
	return index, n.hs.Term, nil
}

// retire steps down after the configuration without this leader, or with it as nonvoter, is
// committed (thesis section 4.2.2), and lets the best voter take over at once.
func (n *Node) retire() {
	if f := n.bestVoter(); f != nil {
		n.lead.transferee = f.id
		n.flush() // tells the followers that it is committed
		n.timeoutNow(f)
	}
	n.becomeFollower(n.hs.Term, "")
}
