package raft

import "errors"

// The errors of proposals, membership changes, reads and transfers. None of them means
// that anything was appended to the log.
var (
	// ErrNotLeader: this server is not the leader; ask Status().Leader.
	ErrNotLeader = errors.New("raft: not the leader")
	// ErrNoLeader: no leader is known or it was lost; try again after an election.
	ErrNoLeader = errors.New("raft: no leader known")
	// ErrTooMuchUncommitted: the bound on uncommitted bytes is reached; wait for
	// commits and try again.
	ErrTooMuchUncommitted = errors.New("raft: too many bytes are waiting to be committed; try again later")
	// ErrTransferring: leadership is being handed over; ask the next leader.
	ErrTransferring = errors.New("raft: leadership is being transferred; ask the next leader")
	// ErrNotReady: the leader has not committed an entry of its own term yet; try again.
	ErrNotReady = errors.New("raft: leader has not committed an entry of its term yet; try again")
	// ErrChangePending: an earlier membership change is not committed yet; try again.
	ErrChangePending = errors.New("raft: a membership change is still being committed; try again")
	// ErrConfigChanged: the configuration is no longer the one the change was decided
	// on; look at the newest one and decide again.
	ErrConfigChanged = errors.New("raft: configuration changed since; decide again on the newest one")
	// ErrNoChange: the configuration says so already.
	ErrNoChange = errors.New("raft: configuration already says so")
	// ErrUnknownServer: the server is not a member, or cannot do what is asked of it.
	ErrUnknownServer = errors.New("raft: no such server in the configuration")
	// ErrNoVoters: the change would leave the cluster without a voter.
	ErrNoVoters = errors.New("raft: change would leave the cluster without a voter")
	// ErrNotCaughtUp: a server becomes a voter only once it has a part of the log (thesis section 4.2.1).
	ErrNotCaughtUp = errors.New("raft: the server has nothing of the log yet; add it as a nonvoter first")
	// ErrBadChange: the change is malformed.
	ErrBadChange = errors.New("raft: malformed membership change")
	// ErrNotVoter: leadership can only be transferred to another voter.
	ErrNotVoter = errors.New("raft: leadership can only be transferred to another voter")
)
