// Package transport moves bytes between nodes: datagrams for gossip, ordered streams for
// everything else. Real sockets (transport/tcp, transport/udp) and the simulator's virtual
// network implement it.
package transport

// Addr names an endpoint: "127.0.0.1:8300", or, for a peer that does not listen (a client
// agent's RPC), an opaque label that it announced when it connected and to which replies can be sent as
// long as the connection lives.
type Addr string

// Class says what an envelope carries, and so which socket, queue and limits it uses.
type Class uint8

const (
	// Gossip is a datagram of at most MaxDatagram bytes to a LAN gossip address.
	Gossip Class = iota + 1
	// GossipStream is a message to a LAN gossip address over TCP: push/pull, fallback probes.
	GossipStream
	// Raft is a consensus message to a server address.
	Raft
	// RPC is a request or an answer to a server address.
	RPC
	// WANGossip is a datagram to a WAN gossip address.
	WANGossip
	// WANGossipStream is a message to a WAN gossip address over TCP.
	WANGossipStream
	// Classes is one more than the last class.
	Classes
)

// Datagram tells whether envelopes of the class are datagrams.
func (c Class) Datagram() bool { return c == Gossip || c == WANGossip }

// MaxDatagram is the largest datagram in bytes: it fits every sane path unfragmented.
const MaxDatagram = 1400

// MaxStream is the largest payload of a stream envelope in bytes.
const MaxStream = 16 << 20

// Envelope is a message under way.
type Envelope struct {
	From, To Addr
	Class    Class
	Payload  []byte
}

// EventType names what a transport tells of a peer.
type EventType uint8

const (
	// Refused: the peer's machine answers, but no process listens at the address any more.
	Refused EventType = iota + 1
	// Unreachable: a stream envelope could not be delivered.
	Unreachable
)

// Event tells about a peer; it may be late or wrong, and nothing safe may depend on it.
type Event struct {
	Type  EventType
	Class Class
	Peer  Addr
	// Unsent are payloads to the peer that certainly did not leave this machine. Of others it is not known.
	Unsent [][]byte
}

// Handler takes what arrives. Its methods must not block for long; the payload belongs to the
// handler.
type Handler interface {
	Deliver(Envelope)
	PeerEvent(Event)
}

// Transport sends envelopes. Send never blocks: it queues, and drops (with a count, and an
// Unreachable event for streams) when the peer's queue is full. The payload belongs to the transport then.
// Delivery is not guaranteed. What of a stream of one class to one peer arrives does so in order, except
// where a new connection takes the place of another.
type Transport interface {
	Send(Envelope)
	Close() error
}
