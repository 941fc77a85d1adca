package node

import (
	"time"

	"concord/agent"
	"concord/agent/userevent"
	"concord/catalog"
	"concord/node/machine"
	"concord/raft"
	"concord/transport"
	"concord/wire"
)

// Env is the world of a node: everything it makes happen. No call re-enters the node; what
// comes of a call comes back later as an input (OnPersisted, OnApplied, ...).
type Env interface {
	// Now is the monotonic time since an arbitrary origin.
	Now() time.Duration
	// Wall is the wall clock, since an arbitrary origin. It may be set.
	Wall() time.Duration
	// Send hands an envelope to the transport of its class.
	Send(transport.Envelope)
	// Persist writes to the Raft log, durably and in order; answered by OnPersisted.
	Persist(PersistTask)
	// Apply changes the state machine, in order; answered by OnApplied.
	Apply(ApplyTask)
	// View tells what reads may be answered without the node, from now on.
	View(ReadView)
	// Read answers a query from the state machine to its asker, or, if it is the node itself, to OnRead.
	Read(ReadTask)
	// Fetch reads what Raft needs to bring a follower up to date; answered by OnFetched.
	Fetch(FetchTask)
	// Reply answers a request that OnRequest brought.
	Reply(token uint64, resp *wire.Response)
	// Save keeps a small piece of data under a name, crash-safely, in its own time.
	Save(name string, data []byte)
	// SaveKeyring keeps a pool's keys, crash-safely and for nobody else's eyes; answered by OnKeyringSaved.
	SaveKeyring(KeyringTask)
	// Event hands over a user event that is for this node. Each comes once.
	Event(userevent.Event)
	// Agent carries out what the local agent wants of the machine: check runners and files.
	Agent(AgentTask)
	// Log writes a line of the log.
	Log(level Level, component, message string, args ...any)
}

// Names of the pieces given to Env.Save.
const (
	// SavedIncarnation is the gossip incarnation, a decimal number.
	SavedIncarnation = "incarnation"
	// SavedPeers are the gossip addresses of the members known last, a line each.
	SavedPeers = "peers"
	// SavedEventClock is the Lamport time of the next user event, a decimal number: older ones are not delivered again.
	SavedEventClock = "event-clock"
	// SavedRemoteIncarnation and SavedRemotePeers are those of the WAN pool.
	SavedRemoteIncarnation = "remote-incarnation"
	SavedRemotePeers       = "remote-peers"
)

// KeyringTask keeps a keyring.
type KeyringTask struct {
	Name string // SavedKeyring or SavedRemoteKeyring
	Seq  uint64 // of the pool
	Data []byte // secret: it must not be logged
}

// Names of keyrings, Consul's.
const (
	SavedKeyring       = "local.keyring"
	SavedRemoteKeyring = "remote.keyring"
)

// Level is the level of a log line.
type Level uint8

const (
	Trace Level = iota + 1
	Debug
	Info
	Warn
	Error
)

// PersistTask is what one batch adds to the log store. Each field may be empty.
type PersistTask struct {
	Seq       uint64 // counts up; OnPersisted(seq) says that all up to seq are durable
	HardState *raft.HardState
	Entries   []raft.Entry
	// Promise is the bootstrap promise to keep (see bootstrap.go); nil: unchanged.
	Promise *string
	// Reset empties the log, which then begins behind the snapshot.
	Reset *raft.SnapshotMeta
	// Compact drops the entries up to and including that of the snapshot.
	Compact *raft.SnapshotMeta
}

// ApplyTask changes the state machine. Exactly one field is set.
type ApplyTask struct {
	Entries []raft.Entry
	Chunk   *raft.ChunkWrite
	// Flush makes what was applied before durable.
	Flush bool
}

// ApplyDone tells what came of an ApplyTask.
type ApplyDone struct {
	Task    ApplyTask
	Outcome machine.Outcome // of Entries
	Applied machine.Applied // what the state contains now; after Flush: durably
	Err     error           // of a Chunk; any other failure stops the server
}

// Origin is who asked: a caller on this machine, another node, or this node itself.
type Origin struct {
	Token uint64         // of OnRequest, when not 0
	Peer  transport.Addr // where to answer a request of another node
	ID    uint64         // that node's number of the request
}

// ReadTask asks for the answer of a query. To a Token or Peer the Env completes Response and
// answers; otherwise it calls OnRead.
type ReadTask struct {
	To       Origin
	Internal uint64 // for OnRead, when To is zero
	Query    catalog.Query
	Response *wire.Response
}

// FetchTask is a LogRead or a ChunkRead of Raft's.
type FetchTask struct {
	Log   *raft.LogRead
	Chunk *raft.ChunkRead
}

// FetchDone answers a FetchTask.
type FetchDone struct {
	Task    FetchTask
	Entries []raft.Entry
	Meta    raft.SnapshotMeta
	Data    []byte
	Next    []byte
	Done    bool
	Err     error
}

// AgentTask is what the local agent wants of the machine.
type AgentTask struct {
	Persist []agent.PersistOp
	Start   []agent.CheckDefinition
	Stop    []string
}
