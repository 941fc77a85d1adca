// Package raft is the Raft consensus algorithm as a pure state machine, written from
// Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm (Extended
// Version)", 2014 (cited as "section"), and Ongaro's thesis, "Consensus: Bridging Theory and
// Practice", 2014 (cited as "thesis section").
//
// A Node does no I/O and knows no clock. Its driver calls the input methods (Tick, Step, Propose,
// Persisted, ...), each with the time, a monotonic duration since any origin; it then
// collects what is to be done with Ready, and calls Tick when NextDeadline has passed. A Node
// is not safe for concurrent use.
//
// Where it departs from the paper, docs/divergence.md says why.
package raft

import (
	"fmt"
	"time"

	"concord/internal/invariant"
	"concord/internal/prng"
	"concord/internal/tick"
)

// The timers of a Node.
const (
	timerElection  = iota // follower, candidates: campaign
	timerHeartbeat        // leader: send heartbeats
	timerQuorum           // leader: step down if no quorum was heard from
	timerTransfer         // leader: give up handing over
	timerReads            // others: give up waiting for a read index
	timerCount
)

// Node is one server's part in the consensus.
type Node struct {
	cfg    Config
	rand   *prng.Rand
	now    time.Duration
	timers *tick.Timers

	hs      HardState
	role    Role
	leader  ID
	log     raftLog
	configs configs

	promise  promise
	votes    votes
	forming  bool        // see MayForm
	lead     *leadership // while Leader
	incoming *incoming   // snapshot being received
	asking   asking      // reads forwarded to the leader

	out     outbox
	garbage uint64
}

// New starts a server from what its disks hold, at the time now. Before New, the driver
// of a brand-new cluster writes what Bootstrap returns; a server that shall join one
// starts with an empty InitialState. It fails when cfg or st is not valid.
//
// A sole voter campaigns at once: its driver finds that in the first Ready.
func New(cfg Config, st InitialState, rand *prng.Rand, now time.Duration) (*Node, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := st.validate(); err != nil {
		return nil, err
	}
	n := &Node{
		cfg: cfg, rand: rand, now: now, timers: tick.New(timerCount),
		hs: st.HardState, role: Follower,
		log:     newLog(st, cfg.CacheBytes),
		configs: configs{{index: st.ConfigIndex, config: st.Config}},
	}
	n.configs.add(st.Entries)
	n.out.hsWritten, n.out.hsDurable = n.hs, n.hs
	n.out.reported = RoleChange{Role: Follower, Term: n.hs.Term}
	if n.hs.Term > 0 {
		// It may have promised its leader a lease just before it went down.
		n.promise.restart(now + cfg.LeaseTimeout)
	}
	n.resetElectionTimer()
	if n.soleVoter() {
		n.campaign(nil)
	}
	n.checkInvariants()
	return n, nil
}

func (st *InitialState) validate() error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("raft: initial state: "+format, args...)
	}
	if st.Snapshot.Index > st.Applied {
		return fail("applied index %d lies before the log's beginning at %d", st.Applied, st.Snapshot.Index)
	}
	if st.FirstIndex > st.Applied+1 {
		return fail("log begins at %d, but only entries up to %d are applied", st.FirstIndex, st.Applied)
	}
	if st.ConfigIndex > st.Applied {
		return fail("configuration of %d is not applied, only up to %d", st.ConfigIndex, st.Applied)
	}
	if st.Applied > 0 && st.AppliedTerm == 0 {
		return fail("the term of applied entry %d is missing", st.Applied)
	}
	term := st.AppliedTerm
	for i := range st.Entries {
		e := &st.Entries[i]
		if e.Index != st.Applied+uint64(i)+1 {
			return fail("entry %d stands where %d should", e.Index, st.Applied+uint64(i)+1)
		}
		if !validEntry(e, term, st.HardState.Term) {
			return fail("entry %d (term %d, type %v) is malformed", e.Index, e.Term, e.Type)
		}
		term = e.Term
	}
	if term > st.HardState.Term {
		return fail("the log has term %d, the hard state only %d", term, st.HardState.Term)
	}
	return nil
}

// Tick lets the timers fire that are due at now.
func (n *Node) Tick(now time.Duration) {
	n.advance(now)
	if n.timers.Fired(timerElection, n.now) {
		n.electionTimeout()
	}
	if n.timers.Fired(timerHeartbeat, n.now) {
		n.heartbeatTimeout()
	}
	if n.timers.Fired(timerQuorum, n.now) {
		n.checkQuorum()
	}
	if n.timers.Fired(timerTransfer, n.now) {
		n.abortTransfer()
	}
	if n.timers.Fired(timerReads, n.now) {
		n.failAskedReads()
	}
	n.checkInvariants()
}

// NextDeadline returns when Tick must be called at the latest, or tick.Never.
func (n *Node) NextDeadline() time.Duration { return n.timers.Next() }

// advance moves the clock, which never goes backwards.
func (n *Node) advance(now time.Duration) { n.now = max(n.now, now) }

// Term returns the term of the entry at index, if it is still in memory.
func (n *Node) Term(index uint64) (term uint64, ok bool) { return n.log.term(index) }

// Compacted tells that the driver deleted the log below firstIndex. It may do so up to the
// applied index, and should keep what followers (Status) will soon need: a follower
// further behind gets a snapshot.
func (n *Node) Compacted(now time.Duration, firstIndex uint64) {
	n.advance(now)
	n.log.compacted(firstIndex)
	n.checkInvariants()
}

// Applied tells that the state machine contains all committed entries up to index.
func (n *Node) Applied(now time.Duration, index uint64) {
	n.advance(now)
	n.log.applied = max(n.log.applied, min(index, n.log.applying))
	n.log.evict()
	n.tryInstall()
	n.checkInvariants()
}

// Persisted tells that the writes of all Readys up to id are on disk.
func (n *Node) Persisted(now time.Duration, id uint64) {
	n.advance(now)
	stable, hs := n.out.persisted(id, n.log.stable, n.hs)
	n.log.stable = stable
	n.log.evict()
	if hs && n.role == Candidate {
		// A vote counts once it is on disk, a candidate's own too.
		n.countVote(n.cfg.ID, true)
	}
	if n.role == Leader {
		n.maybeCommit()
	}
	n.tryInstall()
	n.checkInvariants()
}

// becomeFollower takes the given term, which is not below the current one, and leader
// (empty: unknown), and gives up whatever role it had.
func (n *Node) becomeFollower(term uint64, leader ID) {
	if term > n.hs.Term {
		n.hs = HardState{Term: term}
	}
	if n.lead != nil {
		n.lead.close(n)
		n.lead = nil
		n.timers.Clear(timerHeartbeat)
		n.timers.Clear(timerQuorum)
		n.timers.Clear(timerTransfer)
	}
	if leader == "" || leader != n.leader {
		n.failAskedReads()
	}
	n.role, n.leader = Follower, leader
	n.resetElectionTimer()
}

func (n *Node) config() *Configuration { return &n.configs.current().config }

func (n *Node) soleVoter() bool {
	c := n.config()
	return c.Voters() == 1 && c.HasVoter(n.cfg.ID)
}

// checkInvariants ends each input method.
func (n *Node) checkInvariants() {
	n.log.checkInvariants()
	cur, was := n.configs.current(), n.out.hsWritten
	// A switch, because the arguments of invariant.Check would be allocated each time.
	switch {
	case n.hs.Term < n.log.lastTerm():
		broken("term %d below that of the log, %d", n.hs.Term, n.log.lastTerm())
	case n.hs.Term < was.Term:
		broken("term fell from %d to %d", was.Term, n.hs.Term)
	case n.hs.Term == was.Term && was.VotedFor != "" && was.VotedFor != n.hs.VotedFor:
		broken("vote of term %d changed from %q to %q", n.hs.Term, was.VotedFor, n.hs.VotedFor)
	case n.log.committed < n.out.committed:
		broken("commit index fell from %d to %d", n.out.committed, n.log.committed)
	case cur.index > n.log.last():
		broken("configuration of %d beyond the log's end %d", cur.index, n.log.last())
	case (n.role == Leader) != (n.lead != nil):
		broken("role %v, leader's state %t", n.role, n.lead != nil)
	case (n.role == Leader) != (n.leader == n.cfg.ID):
		broken("role %v, leader %q", n.role, n.leader)
	case (n.role == Candidate || n.role == Leader) && n.hs.VotedFor != n.cfg.ID:
		broken("%v voted for %q", n.role, n.hs.VotedFor)
	}
	n.out.committed = n.log.committed
	if n.lead != nil {
		n.lead.checkInvariants(n)
	}
	if invariant.Expensive {
		n.configs.checkInvariants(n.log.committed)
	}
}

// broken stops at a violated invariant.
func broken(format string, args ...any) { invariant.Check(false, "raft: "+format, args...) }
