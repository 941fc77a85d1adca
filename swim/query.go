package swim

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"time"
)

// Query is a question to all members, or to some, whose answers come back to the asker, as Serf's queries are.
type Query struct {
	Name    string
	Payload []byte
	// Nodes are the names of those who are asked; empty: everybody.
	Nodes []string
	// Tags are regular expressions, by tag, that the tags of those who are asked must match. A tag that a member does not
	// have is empty.
	Tags map[string]string
	// Ack: everybody who is asked says so at once.
	Ack bool
	// Relay is through how many other members, besides directly, each answer is sent, against loss. At most MaxRelay.
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

// QueryCast is a query as members tell it to one another. Its Timeout is what is left of it.
type QueryCast struct {
	ID QueryID
	// Addr is where the asker wants the answers. It need not be where others know a member of that name: of two nodes with one
	// name the one that is not believed asks as well, to find out.
	Addr netip.AddrPort
	Query
}

// Question is a query as it reaches a member that is asked.
type Question struct {
	ID       QueryID
	Name     string
	Payload  []byte
	Deadline time.Duration // on this node's clock; later answers are refused
}

// Answer is an answer to a query, or the note that it was received, on its way to the asker.
type Answer struct {
	LTime   uint64
	Number  uint32
	Ack     bool
	Payload []byte
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

const (
	// MaxRelay is the highest Query.Relay.
	MaxRelay = 5
	// MaxQueryTimeout is the longest Query.Timeout.
	MaxQueryTimeout = time.Hour

	maxAsks      = 256 // own queries under way
	maxQuestions = 512 // others' queries to be answered
)

// queries is what a Node knows of queries.
type queries struct {
	clock     lamport
	recent    history[QueryID]
	asks      []*ask      // own, in order of asking
	questions []*question // to this member, in order of arrival
}

// ask is a query of this member's own.
type ask struct {
	id       QueryID
	deadline time.Duration
	acked    map[string]bool
	answered map[string]bool
}

// question is a query that this member is asked and has not answered.
type question struct {
	id       QueryID
	addr     netip.AddrPort
	relay    int
	deadline time.Duration
}

// heardQuery is a query that is being told.
type heardQuery struct {
	QueryCast
	deadline time.Duration // on this node's clock
}

func newQueries(cfg *Config) queries {
	return queries{clock: lamport(max(1, cfg.QueryClock)), recent: newHistory[QueryID](cfg.QueryBuffer, cfg.QueryClock)}
}

// QueryClock returns the Lamport time that the next query will have; it is to be kept like EventClock.
func (n *Node) QueryClock() uint64 { return uint64(n.queries.clock) }

// DefaultQueryTimeout is how long a query takes to reach all members and be answered, with a margin; it grows with the logarithm
// of their number: Serf's 16 rounds of gossip for each digit.
func (n *Node) DefaultQueryTimeout() time.Duration {
	return n.cfg.GossipInterval * queryTimeoutMult * time.Duration(transmitLimit(1, n.NumAlive()))
}

const queryTimeoutMult = 16

// Ask puts a question to the pool, this member included. What comes of it is in Output.Replies. It fails with ErrQuery
// if it has no name, a filter is no regular expression, a limit is broken, the query is larger than Config.MaxQuery or
// too many are under way, and with ErrLeft after Leave. What q refers to must not be changed afterwards.
func (n *Node) Ask(now time.Duration, q Query) (QueryID, error) {
	n.advance(now)
	if n.leaving() {
		return QueryID{}, ErrLeft
	}
	if q.Timeout == 0 {
		q.Timeout = n.DefaultQueryTimeout()
	}
	c := QueryCast{ID: QueryID{From: n.cfg.Name, LTime: uint64(n.queries.clock), Number: uint32(n.rng.Uint64())}, Addr: n.self.claim.Addr, Query: q}
	if err := c.Validate(); err != nil {
		return QueryID{}, err
	}
	if size := c.Size(); size > n.cfg.MaxQuery {
		return QueryID{}, fmt.Errorf("%w: query exceeds limit of %d bytes: it needs %d; shorten its payload or its filters", ErrQuery, n.cfg.MaxQuery, size)
	}
	if len(n.queries.asks) >= maxAsks {
		return QueryID{}, fmt.Errorf("%w: %d queries are under way; wait until some are over", ErrQuery, maxAsks)
	}
	n.queries.clock.next()
	n.stats.QueriesAsked++
	n.queries.asks = append(n.queries.asks, &ask{id: c.ID, deadline: n.now + q.Timeout,
		acked: make(map[string]bool), answered: make(map[string]bool)})
	n.armQueries()
	n.rememberQuery(c)
	n.check()
	return c.ID, nil
}

// hearQuery takes in a query that another member told.
func (n *Node) hearQuery(c *QueryCast) {
	if c.Validate() != nil || c.Size() > n.cfg.MaxQuery || !n.queries.clock.witness(c.ID.LTime) {
		n.stats.QueriesInvalid++
		return
	}
	r := &n.queries.recent
	switch {
	case c.ID.LTime < r.floor:
		n.stats.QueriesOld++
	case slices.Contains(r.at(c.ID.LTime), c.ID):
		n.stats.QueriesDuplicate++
	default:
		own := *c
		own.Payload = slices.Clone(c.Payload)
		n.rememberQuery(own)
	}
}

// rememberQuery takes in a query that is new here: tells it to others, and puts it to this member if it is asked.
func (n *Node) rememberQuery(c QueryCast) {
	r := &n.queries.recent
	r.follow(c.ID.LTime)
	r.add(c.ID.LTime, c.ID)
	deadline := n.now + c.Timeout
	n.cast(&cast{query: &heardQuery{QueryCast: c, deadline: deadline}, size: c.Size()})
	if n.leaving() || !c.asks(n.self.claim) {
		return
	}
	if len(n.queries.questions) >= maxQuestions {
		n.expireQuestions()
	}
	if len(n.queries.questions) >= maxQuestions {
		n.stats.QueriesRefused++
		return
	}
	q := &question{id: c.ID, addr: c.Addr, relay: c.Relay, deadline: deadline}
	n.queries.questions = append(n.queries.questions, q)
	n.stats.QueriesReceived++
	if c.Ack {
		n.answer(q, Answer{LTime: c.ID.LTime, Number: c.ID.Number, Ack: true})
	}
	n.out.Questions = append(n.out.Questions, Question{ID: c.ID, Name: c.Name, Payload: c.Payload, Deadline: deadline})
}

// asks tells whether the filters of the query let a member through.
func (c *QueryCast) asks(m *Update) bool {
	if len(c.Nodes) > 0 && !slices.Contains(c.Nodes, m.Name) {
		return false
	}
	for tag, expr := range c.Tags {
		re, err := regexp.Compile(expr)
		if err != nil || !re.MatchString(m.Tags[tag]) {
			return false
		}
	}
	return true
}

// Respond answers a question. It fails with ErrQuery if the question is unknown, its deadline has passed, it was
// answered already, or the answer is larger than Config.MaxResponse. The payload must not be changed afterwards.
func (n *Node) Respond(now time.Duration, id QueryID, payload []byte) error {
	n.advance(now)
	i := slices.IndexFunc(n.queries.questions, func(q *question) bool { return q.id == id })
	if i < 0 {
		return fmt.Errorf("%w: it is not known here, was answered already or its time is over", ErrQuery)
	}
	q := n.queries.questions[i]
	if n.now >= q.deadline {
		return fmt.Errorf("%w: response is past the deadline", ErrQuery)
	}
	a := Answer{LTime: id.LTime, Number: id.Number, Payload: payload}
	if size := n.answerMessage(q, a).Size(); size > n.cfg.MaxResponse {
		return fmt.Errorf("%w: response exceeds limit of %d bytes: it needs %d", ErrQuery, n.cfg.MaxResponse, size)
	}
	n.queries.questions = slices.Delete(n.queries.questions, i, i+1)
	n.answer(q, a)
	n.check()
	return nil
}

func (n *Node) answerMessage(q *question, a Answer) *Message {
	return &Message{Type: MsgAnswer, Target: q.id.From, Addr: q.addr, From: n.cfg.Name, Answer: &a}
}

// answer sends an answer to who asked, also through other members if that is wanted.
func (n *Node) answer(q *question, a Answer) {
	if q.id.From == n.cfg.Name {
		n.reply(n.cfg.Name, &a)
		return
	}
	m := n.answerMessage(q, a)
	if q.relay > 0 {
		n.targets = n.table.pick(n.targets[:0], q.relay, live, live, n.table.get(q.id.From), n.rng)
		for _, via := range n.targets {
			n.emit(Packet{Addr: via.claim.Addr, Message: *m})
		}
	}
	m.Addr = netip.AddrPort{} // arrived: not to be passed on
	n.emit(Packet{Addr: q.addr, Message: *m})
}

// onAnswer takes in an answer, or passes on one that it is to relay.
func (n *Node) onAnswer(m *Message) {
	a := m.Answer
	switch {
	case a == nil || !validName(m.From) || len(a.Payload) > n.cfg.MaxResponse:
		n.stats.InvalidMessages++
	case m.Target == n.cfg.Name:
		own := *a
		own.Payload = slices.Clone(a.Payload)
		n.reply(m.From, &own)
	case validAddr(m.Addr):
		on := *m
		on.Addr = netip.AddrPort{}
		if on.Size() > n.cfg.MaxResponse {
			n.stats.InvalidMessages++
			return
		}
		n.stats.AnswersRelayed++
		n.emit(Packet{Addr: m.Addr, Message: on})
	default:
		n.stats.InvalidMessages++
	}
}

// reply hands an answer to a query of this member's own to the driver, the first of each member.
func (n *Node) reply(from string, a *Answer) {
	i := slices.IndexFunc(n.queries.asks, func(q *ask) bool { return q.id.LTime == a.LTime && q.id.Number == a.Number })
	if i < 0 {
		n.stats.AnswersLate++
		return
	}
	q := n.queries.asks[i]
	seen := q.answered
	if a.Ack {
		seen = q.acked
	}
	switch {
	case n.now >= q.deadline:
		n.stats.AnswersLate++
	case seen[from] || len(seen) >= n.cfg.MaxMembers:
		n.stats.AnswersDuplicate++
	default:
		seen[from] = true
		n.stats.Answers++
		n.out.Replies = append(n.out.Replies, Reply{ID: q.id, From: from, Ack: a.Ack, Payload: a.Payload})
	}
}

// expireQueries ends the queries whose time is over.
func (n *Node) expireQueries(all bool) {
	keep := n.queries.asks[:0]
	for _, q := range n.queries.asks {
		if all || q.deadline <= n.now {
			n.out.Replies = append(n.out.Replies, Reply{ID: q.id, Done: true})
		} else {
			keep = append(keep, q)
		}
	}
	clear(n.queries.asks[len(keep):])
	n.queries.asks = keep
	n.expireQuestions()
	n.armQueries()
}

func (n *Node) expireQuestions() {
	n.queries.questions = slices.DeleteFunc(n.queries.questions, func(q *question) bool { return q.deadline <= n.now })
}

// armQueries waits for the first own query to end.
func (n *Node) armQueries() {
	n.timers.Clear(timerQuery)
	for _, q := range n.queries.asks {
		n.timers.Set(timerQuery, min(n.timers.At(timerQuery), q.deadline))
	}
}

// Validate tells what is wrong with a query that is asked or was received; it wraps ErrQuery.
func (c *QueryCast) Validate() error {
	switch {
	case c.Name == "":
		return fmt.Errorf("%w: it needs a name", ErrQuery)
	case !validName(c.ID.From) || !validAddr(c.Addr) || c.ID.LTime >= maxLTime:
		return fmt.Errorf("%w: asked by nobody that could be answered", ErrQuery)
	case c.Relay < 0 || c.Relay > MaxRelay:
		return fmt.Errorf("%w: relay factor must be 0 to %d, not %d", ErrQuery, MaxRelay, c.Relay)
	case c.Timeout <= 0 || c.Timeout > MaxQueryTimeout:
		return fmt.Errorf("%w: timeout must be positive and at most %v, not %v", ErrQuery, MaxQueryTimeout, c.Timeout)
	}
	for _, tag := range slices.Sorted(maps.Keys(c.Tags)) {
		if _, err := regexp.Compile(c.Tags[tag]); err != nil {
			return fmt.Errorf("%w: filter of tag %q is no regular expression: %w", ErrQuery, clip(tag), err)
		}
	}
	return nil
}
