package raft

import "time"

// ID identifies a server for its whole life: the UUID of its node. Addresses may
// change; the ID never does.
type ID string

// EntryType tells what a log entry carries.
type EntryType uint8

const (
	// EntryNoop is what a new leader appends first, so that it can commit what
	// earlier terms left (section 5.4.2, thesis section 6.4).
	EntryNoop EntryType = iota + 1
	// EntryCommand carries a command of the replicated state machine in Data.
	EntryCommand
	// EntryConfig carries a membership configuration in Config (thesis chapter 4).
	EntryConfig
)

// Entry is one entry of the replicated log.
type Entry struct {
	Term   uint64
	Index  uint64
	Type   EntryType
	Data   []byte         // EntryCommand only
	Config *Configuration // EntryConfig only; never changed once appended
}

// HardState is what a server must have on disk before it answers an RPC
// (figure 2, "persistent state on all servers", the log apart).
type HardState struct {
	Term     uint64
	VotedFor ID // empty: nobody in this term
}

// Suffrage tells whether a server's vote counts.
type Suffrage uint8

const (
	// Voter counts for elections and commitment.
	Voter Suffrage = iota + 1
	// Nonvoter receives the log only (thesis section 4.2.1).
	Nonvoter
)

// Server is a member of the cluster.
type Server struct {
	ID       ID
	Address  string // host:port of its server RPC, as last known by the configuration
	Suffrage Suffrage
}

// Configuration is the membership of the cluster, ordered by ID.
type Configuration struct{ Servers []Server }

// ChangeType tells what a membership change does.
type ChangeType uint8

const (
	// AddNonvoter adds a server without a vote, or updates its address.
	AddNonvoter ChangeType = iota + 1
	// AddVoter adds a voter, promotes a nonvoter, or updates an address.
	AddVoter
	// DemoteVoter takes a server's vote and keeps it as a nonvoter.
	DemoteVoter
	// RemoveServer takes a server out.
	RemoveServer
)

// Change is a single-server membership change (thesis section 4.1).
type Change struct {
	Type   ChangeType
	Server Server // for DemoteVoter and RemoveServer only the ID counts
	// PrevIndex, if not 0, is the index of the configuration the change was decided
	// on; the change is refused if another one came between.
	PrevIndex uint64
}

// SnapshotMeta names a snapshot: the state after the entry at Index, which has
// Term, with the configuration in force there.
type SnapshotMeta struct {
	Index, Term uint64
	Config      Configuration
	ConfigIndex uint64
}

// Role is what a server is at the moment (figure 4, with the pre-candidate of
// thesis section 9.6).
type Role uint8

const (
	Follower Role = iota + 1
	PreCandidate
	Candidate
	Leader
)

// MessageType names a message of the protocol.
type MessageType uint8

const (
	MsgPreVote MessageType = iota + 1
	MsgPreVoteReply
	MsgVote
	MsgVoteReply
	MsgAppend // with no entries it is the heartbeat
	MsgAppendReply
	MsgSnapshot // one chunk of InstallSnapshot
	MsgSnapshotReply
	MsgTimeoutNow // leadership transfer (thesis section 3.10)
	MsgReadIndex  // a follower asks the leader for a read index (thesis section 6.4)
	MsgReadIndexReply
)

// Message is what servers send one another: one flat struct, of which each type uses
// the fields named beside it.
type Message struct {
	Type     MessageType
	From, To ID
	// Term is the sender's. Of MsgPreVote, and of a MsgPreVoteReply that grants: the term
	// the pre-candidate would campaign in.
	Term uint64

	// MsgPreVote, MsgVote: the candidate's last entry (section 5.4.1).
	LastIndex, LastTerm uint64
	// Transfer, of MsgVote: asked for by the leader, so leases do not hold it up. Of
	// MsgAppend and MsgSnapshot: the leader is handing over, and asks for no lease.
	Transfer bool

	// MsgAppend: the entry before Entries, and the leader's commit index. A
	// MsgAppendReply echoes PrevIndex.
	PrevIndex, PrevTerm uint64
	Entries             []Entry
	Commit              uint64
	// SentAt is the leader's monotonic time at sending. Of MsgAppend, MsgSnapshot and
	// their replies: echoed unchanged by the follower; the leader counts its lease from it. Of
	// MsgTimeoutNow, and of the MsgVote with Transfer that it causes: when the leader
	// let go, so that a request older than a later lease is known as such.
	SentAt time.Duration
	Round  uint64 // read round, echoed (thesis section 6.4)

	// Replies.
	Reject bool
	Match  uint64 // MsgAppendReply: highest index known to be the leader's, on disk
	// HintIndex and HintTerm, of a rejected MsgAppendReply: where to look next (section
	// 5.3, last part). Of an accepted one HintIndex is the last index received, on disk or not.
	HintIndex, HintTerm uint64

	// Voter, of MsgAppend and MsgSnapshot: the leader counts on the receiver. Lost, of a rejected
	// MsgAppendReply: the receiver has lost what it had on disk, and nobody may count on it.
	Voter, Lost bool

	// MsgSnapshot, MsgSnapshotReply.
	Snapshot *SnapshotMeta
	Cursor   []byte // where the chunk begins; opaque to the core, empty at the start
	Chunk    []byte
	Next     []byte // where the next chunk begins
	Done     bool   // MsgSnapshot: last chunk. Reply: installed

	// MsgReadIndex, MsgReadIndexReply.
	ReadID uint64
	Index  uint64
}

// ReadState answers a ReadIndex request.
type ReadState struct {
	ID    uint64
	Index uint64 // serve once this index is applied
	Err   error  // ErrNotLeader or ErrNoLeader: ask again, or elsewhere
}

// LogRead asks the driver for entries that the core no longer caches. It is answered by
// Node.LogRead with entries from Lo on, at most up to Hi and MaxBytes, at least one.
type LogRead struct {
	For      ID // the follower they are for
	Lo, Hi   uint64
	MaxBytes int
}

// ChunkRead asks the driver for a chunk of the newest snapshot it can give (at the
// leader). Answered by Node.ChunkRead. Cursor empty begins a new snapshot; else Meta
// names the one being sent.
type ChunkRead struct {
	For    ID
	Meta   SnapshotMeta // zero: begin with the newest applied state
	Cursor []byte
}

// ChunkWrite asks the driver to add a chunk to the snapshot being received (at a
// follower), and with Done to install it: the state replaced atomically, the log empty and starting
// behind Meta.Index. Answered by Node.ChunkWritten.
type ChunkWrite struct {
	Meta   SnapshotMeta
	Cursor []byte // empty: throw away what was received so far
	Chunk  []byte
	Next   []byte
	Done   bool
}

// Ready is everything the core wants done since the last call of Node.Ready.
//
// The driver sends Messages at once. It writes HardState and Entries (the first entry's
// index says from where on older entries are overwritten), durably and in the order of
// the Readys, and then sends AfterPersist and calls Node.Persisted(ID). A Ready with
// nothing to write but with AfterPersist waits for the writes before it.
type Ready struct {
	ID           uint64 // counts up from 1
	HardState    *HardState
	Entries      []Entry
	Messages     []Message
	AfterPersist []Message
	Committed    []Entry // to be applied in this order; answered by Node.Applied
	Reads        []ReadState
	LogReads     []LogRead
	ChunkReads   []ChunkRead
	ChunkWrite   *ChunkWrite
	// RoleChange is set when role, term or leader changed, for logs and reactions.
	RoleChange *RoleChange
	// Lost are followers that turned out not to have on disk what they had acknowledged, or, being
	// voters, to have nothing at all. The driver should make a voter among them a nonvoter, which may
	// become a voter again once it has caught up.
	Lost []ID
	// Dropped tells which of this server's own proposals were overwritten or may have
	// been lost: all with an index of at least DroppedFrom and a term below the
	// current one, when not 0.
	DroppedFrom uint64
}

// RoleChange tells what a server became.
type RoleChange struct {
	Role   Role
	Term   uint64
	Leader ID // empty: unknown
}

// MustPersist tells whether the Ready has something to write.
func (r *Ready) MustPersist() bool { return r.HardState != nil || len(r.Entries) > 0 }

// InitialState is what a server finds on its disks at start.
type InitialState struct {
	HardState HardState
	// Snapshot describes the state at which the log begins: the log's first entry is
	// Snapshot.Index+1. Zero for a new server.
	Snapshot SnapshotMeta
	// Applied is the index the state machine durably contains (>= Snapshot.Index).
	Applied uint64
	// AppliedTerm is the term of the entry at Applied.
	AppliedTerm uint64
	// Config is the configuration in force at Applied, with its index.
	Config      Configuration
	ConfigIndex uint64
	// Entries are all entries on disk behind Applied, without gaps.
	Entries []Entry
	// FirstIndex is the lowest index on disk (LastIndex+1 when the log is empty).
	FirstIndex uint64
}
