package wire

import (
	"time"

	"concord/agent/userevent"
	"concord/catalog"
	"concord/raft/autopilot"
)

// Consistency is how fresh a read must be (https://developer.hashicorp.com/consul/api-docs/features/consistency).
type Consistency uint8

const (
	// Default is answered by the leader under its lease.
	Default Consistency = iota
	// Consistent is answered by the leader after a round with a quorum (ReadIndex).
	Consistent
	// Stale is answered by any server.
	Stale
)

// String returns the word of the X-Consul-Effective-Consistency header.
func (c Consistency) String() string { return [...]string{"leader", "consistent", "stale"}[c] }

// Read asks for the answer of a query.
type Read struct {
	Query       catalog.Query
	Consistency Consistency
	// MinIndex, if not 0, blocks the read until the answer's index is greater, or Wait is over.
	MinIndex uint64
	Wait     time.Duration
}

// OperatorKind names an operator request.
type OperatorKind uint8

const (
	// RaftConfiguration asks for the servers (/v1/operator/raft/configuration).
	RaftConfiguration OperatorKind = iota + 1
	// RemovePeer removes the server with ID or Address from the Raft configuration.
	RemovePeer
	// TransferLeader hands leadership to ID, or to the best candidate.
	TransferLeader
	// AutopilotHealth asks for the health of the servers.
	AutopilotHealth
	// BootstrapPromise asks a server, from the server with ID, for the promise to form its first
	// cluster with nobody but the servers of Set. It is answered by the server itself.
	BootstrapPromise
	// BootstrapRelease takes the request for a promise back.
	BootstrapRelease
	// Datacenters asks any server for the datacenters it knows, nearest first.
	Datacenters
	// CoordinateUpdate tells the coordinate of a node (/v1/coordinate/update). It becomes part of a batch some time
	// later; the answer does not wait for that.
	CoordinateUpdate
	// CoordinateDatacenters asks any server for the coordinates of the servers of all datacenters.
	CoordinateDatacenters
	// Keyring asks any server to carry out a key operation in the LAN pool of its datacenter.
	Keyring
	// FireEvent lets any server fire the user event Event (/v1/event/fire).
	FireEvent
)

// Operator is a request about the cluster itself, answered by the leader.
type Operator struct {
	Kind    OperatorKind
	ID      string
	Address string
	Set     []string // IDs of servers
	// Attempt tells a bootstrap attempt from others at the same Set: a release is for its own only.
	Attempt uint64
	// Coordinate of a CoordinateUpdate.
	Coordinate *catalog.Coordinate
	// Keyring is a KeyringRequest of a Keyring, encoded and sealed.
	Keyring []byte
	// Event of a FireEvent.
	Event *userevent.Event
}

// RaftServer is a server in the answer to RaftConfiguration.
type RaftServer struct {
	ID              string
	Node            string
	Address         string
	Leader          bool
	ProtocolVersion string
	Voter           bool
}

// OperatorReply answers an Operator request.
type OperatorReply struct {
	Servers []RaftServer
	Index   uint64
	Health  *autopilot.Health
	// Datacenters answers Datacenters.
	Datacenters []string
	// Maps answer CoordinateDatacenters.
	Maps []catalog.DatacenterMap
	// Keyring is the KeyringAnswer to a Keyring, encoded and sealed.
	Keyring []byte
}

// Request is what one node asks of another. Exactly one of Command, Read and Operator is set.
type Request struct {
	ID uint64 // chosen by the sender, echoed by the Response
	// Hops counts how often the request was forwarded, to end loops.
	Hops uint8
	// Timeout is how long the sender waits for the answer.
	Timeout  time.Duration
	Command  []byte // an encoded catalog.Command
	Read     *Read
	Operator *Operator
	// Datacenter whose servers are to answer; empty: that of whom it is sent to.
	Datacenter string
}

// Code says how a request ended.
type Code uint8

const (
	OK Code = iota
	// NoLeader: nobody leads at the moment. Nothing was changed.
	NoLeader
	// NotLeader: ask Response.Leader. Nothing was changed.
	NotLeader
	// Unknown: leadership was lost or time ran out while the command was under way; it may still take effect.
	Unknown
	// Refused: the request is wrong; Err says why.
	Refused
	// Busy: too much is under way; try again. Nothing was changed.
	Busy
	// Failed: the server failed at it; Err says why.
	Failed
	// NoPath: no live server of Request.Datacenter is known. Nothing was changed.
	NoPath
)

// Response answers a Request.
type Response struct {
	ID     uint64
	Code   Code
	Err    string
	Leader string // the leader's server RPC address, if known

	Result   *catalog.Result // of a Command
	Answer   *catalog.Answer // of a Read
	Operator *OperatorReply

	// Of a Read: how it was answered.
	Consistency Consistency
	KnownLeader bool
	Applied     uint64        // index of the state that the answer was read from
	LastContact time.Duration // since the answering server heard from the leader; 0 at the leader
}
