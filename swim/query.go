package swim

import (
	"errors"
	"time"
)

// Query is a question to all members, or to some, whose answers come back to the asker, as Serf's queries are.
type Query struct {
	Name    string
	Payload []byte
	// Nodes are the names of those who are asked; empty: everybody.
	Nodes []string
	// Tags are regular expressions, by tag, that the tags of those who are asked must match.
	Tags map[string]string
	// Ack: everybody who is asked says so at once.
	Ack bool
	// Relay is through how many other members, besides directly, each answer is sent, against loss.
	Relay int
	// Timeout is how long answers are waited for; 0: DefaultQueryTimeout.
	Timeout time.Duration
}

// QueryID names a query in the pool.
type QueryID struct {
	From   string // who asks
	LTime  uint64
	Number uint32 // tells queries of one LTime apart
}

// Question is a query as it reaches a member that is asked.
type Question struct {
	ID       QueryID
	Name     string
	Payload  []byte
	Deadline time.Duration // on this node's clock; later answers are refused
}

// Reply is what came of a query that this member made. The last one of each query has Done set and nothing else.
type Reply struct {
	ID      QueryID
	From    string
	Ack     bool // that member got the query
	Payload []byte
	Done    bool // no more will come: the time is over
}

// ErrQuery is wrapped by what Ask and Respond refuse.
var ErrQuery = errors.New("swim: bad query")

// Ask puts a question to the pool, this member included. What comes of it is in Output.Replies. It fails with ErrQuery
// if a filter is no regular expression or the query is larger than Config.MaxQuery, and with ErrLeft after Leave.
func (n *Node) Ask(now time.Duration, q Query) (QueryID, error) { return QueryID{}, ErrQuery }

// Respond answers a question. It fails with ErrQuery if the question is unknown, its deadline has passed, it was
// answered already, or the answer is larger than Config.MaxResponse.
func (n *Node) Respond(now time.Duration, id QueryID, payload []byte) error { return ErrQuery }

// DefaultQueryTimeout is how long a query takes to reach all members and be answered, with a margin; it grows with the logarithm
// of their number.
func (n *Node) DefaultQueryTimeout() time.Duration { return 16 * n.cfg.GossipInterval }
