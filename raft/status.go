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
}
