package raft

import "strconv"

var (
	entryTypeNames  = [...]string{EntryNoop: "noop", EntryCommand: "command", EntryConfig: "config"}
	suffrageNames   = [...]string{Voter: "voter", Nonvoter: "nonvoter"}
	changeTypeNames = [...]string{AddNonvoter: "add-nonvoter", AddVoter: "add-voter", DemoteVoter: "demote-voter", RemoveServer: "remove-server"}
	roleNames       = [...]string{Follower: "follower", PreCandidate: "pre-candidate", Candidate: "candidate", Leader: "leader"}
	messageNames    = [...]string{
		MsgPreVote: "PreVote", MsgPreVoteReply: "PreVoteReply",
		MsgVote: "Vote", MsgVoteReply: "VoteReply",
		MsgAppend: "Append", MsgAppendReply: "AppendReply",
		MsgSnapshot: "Snapshot", MsgSnapshotReply: "SnapshotReply",
		MsgTimeoutNow: "TimeoutNow",
		MsgReadIndex:  "ReadIndex", MsgReadIndexReply: "ReadIndexReply",
	}
)

func name[T ~uint8](names []string, v T) string {
	if int(v) < len(names) && names[v] != "" {
		return names[v]
	}
	return "unknown-" + strconv.Itoa(int(v))
}

// String returns the type's name.
func (t EntryType) String() string { return name(entryTypeNames[:], t) }

// String returns the suffrage's name.
func (s Suffrage) String() string { return name(suffrageNames[:], s) }

// String returns the type's name.
func (t ChangeType) String() string { return name(changeTypeNames[:], t) }

// String returns the role's name.
func (r Role) String() string { return name(roleNames[:], r) }

// String returns the message's name, without the Msg.
func (t MessageType) String() string { return name(messageNames[:], t) }
