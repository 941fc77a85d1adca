package swim

import (
	"net/netip"
	"time"
)

// State is what is believed of a member, in Serf's words.
type State uint8

const (
	// StateAlive: answers probes.
	StateAlive State = iota + 1
	// StateSuspect: missed a probe; becomes dead unless it refutes in time (SWIM section 4.2).
	StateSuspect
	// StateDead: confirmed failed. Shown as "failed".
	StateDead
	// StateLeft: left on its own account or by force-leave.
	StateLeft
)

// String returns the word that Serf and Consul show for the state.
func (s State) String() string {
	switch s {
	case StateAlive:
		return "alive"
	case StateSuspect:
		return "suspect"
	case StateDead:
		return "failed"
	case StateLeft:
		return "left"
	}
	return "unknown"
}

// Update is a claim about a member: the unit of dissemination (SWIM section 4.1). The
// precedence of two claims is decided by one function, precedes.
//
// Claims are shared by pointers, in one node and by all nodes of a process: they are never modified once made.
type Update struct {
	State       State
	Prune       bool // StateLeft: forget the member at once (force-leave -prune)
	Name        string
	ID          string // UUID of the node, "" if unknown
	Addr        netip.AddrPort
	Incarnation uint64
	Tags        map[string]string // nil in a gossiped StateSuspect or StateDead: not told
	From        string            // who says so: the suspecting or confirming member
	// Age is how long ago a dead or left member went, so that those who learn of it late reap it
	// when everybody else does, and none brings it back.
	Age time.Duration
}

// Member is a member of the pool as this node sees it.
type Member struct {
	Update
	Since time.Duration // when it went or its suspicion began, on this node's clock; 0 while it is alive
}

// MessageType names a message of the protocol.
type MessageType uint8

const (
	MsgPing MessageType = iota + 1
	MsgPingReq
	MsgAck
	MsgNack     // Lifeguard: an indirect probe that got no answer in time
	MsgPushPull // stream: full state of the sender, wants the receiver's in return
	MsgPushPullReply
	MsgGossip  // nothing but piggybacked updates
	MsgAnswer  // to a query, or the note that it was received
	MsgBuckets // stream: digests of the sender's state, wants what differs in return
)

// Message is what members send one another, one flat struct. Piggybacked updates travel
// beside it in a Packet.
type Message struct {
	Type   MessageType
	Seq    uint64         // echoed by acks and nacks
	Target string         // MsgPing: the name meant, so that a stranger at the address does not answer. MsgPingReq: whom to probe. MsgPushPull, MsgBuckets: the name meant, if any
	Addr   netip.AddrPort // MsgPingReq: where
	From   string         // sender's name
	// MsgPushPull and its reply.
	Join    bool
	Members []*Update
	// MsgAnswer; Target is who asked. With Addr it is to be passed on to there.
	Answer *Answer
	// Digest is of all that the sender knows, in some pings.
	Digest Digest
	// Buckets are digests of what the sender knows, by bucket of names, in MsgBuckets. In MsgPushPull they are a set of
	// buckets, a bit for each: Members has those in them, and the reply is to have the same; none: all.
	Buckets []uint64
	// Coordinate is the sender's, packed, in the answer to a ping; empty if it keeps none.
	Coordinate []byte
}

// Digest sums up what a member knows. Those who know the same have the same; the zero value is none.
type Digest struct {
	Members    uint64 // of all members
	Events     uint64 // of user events of Lamport time EventsFrom and later
	EventsFrom uint64 // 0: there were none
}

// Packet is a datagram to, or from, a member: one message with as many piggybacked updates as fit.
type Packet struct {
	Addr    netip.AddrPort // destination when sent, source when received
	Message Message
	Updates []*Update
	// Clocks are the sender's. User events and queries are piggybacked like updates; MsgPushPull and its reply have the
	// user events of late.
	Clocks  Clocks
	Events  []UserEvent
	Queries []QueryCast
}

// Clocks are the latest Lamport times of user events and queries that a member heard of; 0: of none.
type Clocks struct{ Event, Query uint64 }

// EventType names a change of membership, in Serf's words.
type EventType uint8

const (
	EventJoin EventType = iota + 1
	EventLeave
	EventFailed
	EventUpdate
	EventReap
)

// String returns Serf's name of the event, as its handlers know it.
func (t EventType) String() string {
	switch t {
	case EventJoin:
		return "member-join"
	case EventLeave:
		return "member-leave"
	case EventFailed:
		return "member-failed"
	case EventUpdate:
		return "member-update"
	case EventReap:
		return "member-reap"
	}
	return "unknown"
}

// Event tells the driver of a change of membership.
type Event struct {
	Type   EventType
	Member Member
}

// JoinResult answers Node.Join for one address.
type JoinResult struct {
	Addr netip.AddrPort
	Err  error
}

// Output is everything the core wants done since the last call of Node.Output.
type Output struct {
	// Packets go out as datagrams. Nothing is expected of them.
	Packets []Packet
	// Streams go out over a connection (large, or where datagrams are lost): push/pull and the
	// fallback probe. Failure to deliver is told by Node.StreamFailed.
	Streams []Packet
	Events  []Event
	Joined  []JoinResult
	// UserEvents are those fired anywhere in the pool, each once, those of one sender in the order of their Lamport times
	// unless one was delayed for long.
	UserEvents []UserEvent
	// Questions are queries that this member is asked.
	Questions []Question
	// Replies are what came of this member's own queries.
	Replies []Reply
	// Incarnation, when not 0, is to be kept on disk: a restart begins above it.
	Incarnation uint64
	// Left is set once after Leave, when the departure was told to enough members.
	Left bool
	// Notices are log lines for the operator: conflicts of names, refutations, suspicions.
	Notices []Notice
}

// Notice is a line for the log.
type Notice struct {
	Level  NoticeLevel
	Text   string
	Member string
}

// NoticeLevel is the level of a Notice.
type NoticeLevel uint8

const (
	Debug NoticeLevel = iota + 1
	Info
	Warn
	Error
)
