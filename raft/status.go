package raft

import (
	"time"

	"concord/raft/progress"
)

// Status is a server's view of itself and, at the leader, of its followers.
type Status struct {
	ID     ID
	Role   Role
	Term   uint64
	Leader ID // empty: unknown

	// LastIndex and LastTerm are the end of the log, on disk or not; FirstIndex is the lowest
	// index on disk.
	FirstIndex, LastIndex, LastTerm uint64
	// StableIndex is the highest index on this server's disk.
	StableIndex, CommitIndex, AppliedIndex uint64

	// Config is the configuration in force; it is committed when ConfigIndex is at
	// most CommitIndex.
	Config          Configuration
	ConfigIndex     uint64
	ConfigCommitted bool

	// LastContact is when this server last heard from the leader (at the leader: the last
	// time given to it). 0: never.
	LastContact time.Duration
	// Ready tells whether this leader has committed an entry of its term.
	Ready bool
	// TransferTo is the server leadership is being transferred to; empty: none.
	TransferTo ID
	// Followers are the other servers, ordered by ID; at the leader only.
	Followers []FollowerStatus
	// Garbage counts the messages that were dropped because no correct server sends them.
	Garbage uint64
}

// FollowerStatus is a follower as the leader sees it.
type FollowerStatus struct {
	ID          ID
	Voter       bool
	State       progress.State
	Match, Next uint64
	Inflight    int
	// LastContact is when the leader last heard from it. 0: never.
	LastContact time.Duration
	// Snapshot is the index of the snapshot on its way to it; 0: none.
	Snapshot uint64
}

// LastContact is when this server last heard from the leader; at the leader the last time given to it.
func (n *Node) LastContact() time.Duration {
	if n.lead != nil {
		return n.now
	}
	return n.promise.lastContact
}

// Status returns the server's present state. It allocates; it is not for hot paths.
func (n *Node) Status() Status {
	cur := n.configs.current()
	s := Status{
		ID: n.cfg.ID, Role: n.role, Term: n.hs.Term, Leader: n.leader,
		FirstIndex: n.log.first, LastIndex: n.log.last(), LastTerm: n.log.lastTerm(),
		StableIndex: n.log.stable, CommitIndex: n.log.committed, AppliedIndex: n.log.applied,
		Config: cur.config, ConfigIndex: cur.index, ConfigCommitted: cur.index <= n.log.committed,
		LastContact: n.promise.lastContact, Garbage: n.garbage,
	}
	if n.lead == nil {
		return s
	}
	s.LastContact, s.Ready, s.TransferTo = n.now, n.ready(), n.lead.transferee
	for _, f := range n.lead.followers {
		fs := FollowerStatus{
			ID: f.id, Voter: f.voter, State: f.State(), Match: f.Match, Next: f.Next,
			Inflight: f.Inflight(), LastContact: f.lastContact,
		}
		if f.snap != nil {
			fs.Snapshot = f.snap.meta.Index
		}
		s.Followers = append(s.Followers, fs)
	}
	return s
}
