package raft_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"concord/internal/prng"
	"concord/raft"
)

// One test for each rule of the paper, on a single Node that is fed by hand. Each quotes its rule.

// server is a Node whose disk is instantaneous, and what it last sent.
type server struct {
	t       *testing.T
	n       *raft.Node
	now     time.Duration
	sent    []raft.Message
	applied []raft.Entry
	reads   []raft.ReadState
	noDisk  bool
	stuck   []raft.Ready
}

// start starts server a in a cluster of a, b and c whose logs begin with the configuration; terms are those
// of the further entries.
func start(t *testing.T, terms ...uint64) *server { return startAt(t, time.Minute, terms...) }

func startAt(t *testing.T, now time.Duration, terms ...uint64) *server {
	cfg := raft.Configuration{Servers: []raft.Server{{ID: "a", Suffrage: raft.Voter}, {ID: "b", Suffrage: raft.Voter}, {ID: "c", Suffrage: raft.Voter}}}
	st, err := raft.Bootstrap(cfg)
	require.NoError(t, err)
	for i, term := range terms {
		st.Entries = append(st.Entries, raft.Entry{Term: term, Index: uint64(i) + 2, Type: raft.EntryCommand})
		st.HardState.Term = term
	}
	n, err := raft.New(raft.Config{ID: "a"}, st, prng.New(1), now)
	require.NoError(t, err)
	// The promise of an earlier life is over.
	return &server{t: t, n: n, now: now + 300*time.Millisecond}
}

func (s *server) pump() {
	for s.n.HasReady() {
		rd := s.n.Ready()
		s.sent = append(s.sent, rd.Messages...)
		s.reads = append(s.reads, rd.Reads...)
		s.applied = append(s.applied, rd.Committed...)
		if len(rd.Committed) > 0 {
			s.n.Applied(s.now, rd.Committed[len(rd.Committed)-1].Index)
		}
		if rd.ChunkWrite != nil {
			s.n.ChunkWritten(s.now, *rd.ChunkWrite, nil)
		}
		for _, r := range rd.LogReads {
			s.n.LogRead(s.now, r, nil, errors.New("compacted"))
		}
		if s.noDisk {
			s.stuck = append(s.stuck, rd)
			continue
		}
		s.persist(rd)
	}
}

func (s *server) persist(rd raft.Ready) {
	s.sent = append(s.sent, rd.AfterPersist...)
	s.n.Persisted(s.now, rd.ID)
}

// step delivers m and returns what is sent.
func (s *server) step(m raft.Message) []raft.Message {
	m.To = "a"
	s.sent = nil
	s.n.Step(s.now, m)
	s.pump()
	return s.sent
}

func (s *server) status() raft.Status { return s.n.Status() }

// lead makes a the leader, of term+1, with b's vote.
func (s *server) lead() {
	s.now = max(s.now, s.n.NextDeadline())
	s.n.Tick(s.now)
	s.pump()
	term := s.status().Term + 1
	s.step(raft.Message{Type: raft.MsgPreVoteReply, From: "b", Term: term})
	s.step(raft.Message{Type: raft.MsgVoteReply, From: "b", Term: term})
	require.Equal(s.t, raft.Leader, s.status().Role)
}

// ack lets from acknowledge everything the leader has sent.
func (s *server) ack(from raft.ID) []raft.Message {
	st := s.status()
	return s.step(raft.Message{Type: raft.MsgAppendReply, From: from, Term: st.Term, Match: st.LastIndex, HintIndex: st.LastIndex, SentAt: s.now})
}

func one(t *testing.T, ms []raft.Message, kind raft.MessageType) raft.Message {
	t.Helper()
	for _, m := range ms {
		if m.Type == kind {
			return m
		}
	}
	require.Failf(t, "not sent", "%v among %+v", kind, ms)
	return raft.Message{}
}

func entry(index, term uint64) raft.Entry {
	return raft.Entry{Index: index, Term: term, Type: raft.EntryCommand}
}

// "If RPC request or response contains term T > currentTerm: set currentTerm = T, convert to follower" (figure 2, all servers).
func TestHigherTermMakesFollower(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.lead()
	s.step(raft.Message{Type: raft.MsgAppendReply, From: "c", Term: 9, Reject: true})
	require.Equal(t, raft.Follower, s.status().Role)
	require.Equal(t, uint64(9), s.status().Term)
}

// "Reply false if term < currentTerm" (figure 2, both RPCs).
func TestLowerTermIsRefused(t *testing.T) {
	t.Parallel()
	s := start(t, 5)
	r := one(t, s.step(raft.Message{Type: raft.MsgAppend, From: "b", Term: 4}), raft.MsgAppendReply)
	require.True(t, r.Reject)
	require.Equal(t, uint64(5), r.Term)
	r = one(t, s.step(raft.Message{Type: raft.MsgVote, From: "b", Term: 4, LastIndex: 9, LastTerm: 3}), raft.MsgVoteReply)
	require.True(t, r.Reject)
}

// "Each server will vote for at most one candidate in a given term, on a first-come-first-served basis" (section 5.2).
func TestOneVotePerTerm(t *testing.T) {
	t.Parallel()
	s := start(t)
	vote := raft.Message{Type: raft.MsgVote, From: "b", Term: 2, LastIndex: 1, LastTerm: 1}
	require.False(t, one(t, s.step(vote), raft.MsgVoteReply).Reject)
	other := vote
	other.From = "c"
	require.True(t, one(t, s.step(other), raft.MsgVoteReply).Reject)
	require.False(t, one(t, s.step(vote), raft.MsgVoteReply).Reject, "the same candidate may ask again")
}

// "If votedFor is null or candidateId, and candidate's log is at least as up-to-date as receiver's log, grant vote" (figure 2; section 5.4.1).
func TestVoteOnlyForUpToDateLogs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		index, term uint64
		granted     bool
	}{{3, 3, true}, {4, 3, true}, {2, 4, true}, {2, 3, false}, {9, 2, false}} {
		s := start(t, 2, 3)
		r := one(t, s.step(raft.Message{Type: raft.MsgVote, From: "b", Term: 9, LastIndex: c.index, LastTerm: c.term}), raft.MsgVoteReply)
		require.Equal(t, c.granted, !r.Reject, "log ends with %d/%d", c.index, c.term)
	}
}

// "Updated on stable storage before responding to RPCs" (figure 2, persistent state).
func TestVoteWaitsForTheDisk(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.noDisk = true
	require.Empty(t, s.step(raft.Message{Type: raft.MsgVote, From: "b", Term: 2, LastIndex: 1, LastTerm: 1}))
	require.Equal(t, &raft.HardState{Term: 2, VotedFor: "b"}, s.stuck[0].HardState)
	s.persist(s.stuck[0])
	require.False(t, one(t, s.sent, raft.MsgVoteReply).Reject)
}

// The same for entries: an acknowledgement means that they are on disk. A heartbeat is answered meanwhile, for less.
func TestAcknowledgementWaitsForTheDisk(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.step(raft.Message{Type: raft.MsgAppend, From: "b", Term: 2, PrevIndex: 1, PrevTerm: 1})
	s.noDisk = true
	require.Empty(t, s.step(raft.Message{Type: raft.MsgAppend, From: "b", Term: 2, PrevIndex: 1, PrevTerm: 1, Entries: []raft.Entry{entry(2, 2)}}))
	r := one(t, s.step(raft.Message{Type: raft.MsgAppend, From: "b", Term: 2, PrevIndex: 2, PrevTerm: 2}), raft.MsgAppendReply)
	require.Equal(t, uint64(1), r.Match)
	s.sent = nil
	s.persist(s.stuck[0])
	require.Equal(t, uint64(2), one(t, s.sent, raft.MsgAppendReply).Match)
}

// "Reply false if log doesn't contain an entry at prevLogIndex whose term matches prevLogTerm" (figure 2, AppendEntries 2).
func TestConsistencyCheck(t *testing.T) {
	t.Parallel()
	s := start(t, 2)
	r := one(t, s.step(raft.Message{Type: raft.MsgAppend, From: "b", Term: 3, PrevIndex: 2, PrevTerm: 3, Entries: []raft.Entry{entry(3, 3)}}), raft.MsgAppendReply)
	require.True(t, r.Reject)
	r = one(t, s.step(raft.Message{Type: raft.MsgAppend, From: "b", Term: 3, PrevIndex: 5, PrevTerm: 3}), raft.MsgAppendReply)
	require.True(t, r.Reject)
	require.Equal(t, uint64(2), r.HintIndex)
	require.Equal(t, uint64(2), s.status().LastIndex)
}

// "If an existing entry conflicts with a new one (same index but different terms), delete the existing entry and all that follow it" (figure 2, AppendEntries 3) -
// and only then: a delayed message must not shorten the log.
func TestOnlyConflictsTruncate(t *testing.T) {
	t.Parallel()
	s := start(t, 2, 2, 2)
	s.step(raft.Message{Type: raft.MsgAppend, From: "b", Term: 2, PrevIndex: 1, PrevTerm: 1, Entries: []raft.Entry{entry(2, 2)}})
	require.Equal(t, uint64(4), s.status().LastIndex)
	s.step(raft.Message{Type: raft.MsgAppend, From: "b", Term: 3, PrevIndex: 2, PrevTerm: 2, Entries: []raft.Entry{entry(3, 3)}})
	require.Equal(t, uint64(3), s.status().LastIndex)
	require.Equal(t, uint64(3), s.status().LastTerm)
}

// "If leaderCommit > commitIndex, set commitIndex = min(leaderCommit, index of last new entry)" (figure 2, AppendEntries 5).
func TestFollowerCommitsNoFurtherThanItMatches(t *testing.T) {
	t.Parallel()
	s := start(t, 2, 2)
	s.step(raft.Message{Type: raft.MsgAppend, From: "b", Term: 3, PrevIndex: 2, PrevTerm: 2, Commit: 9})
	require.Equal(t, uint64(2), s.status().CommitIndex, "entry 3 is not known to be the leader's")
}

// "Raft never commits log entries from previous terms by counting replicas" (section 5.4.2).
func TestOnlyOwnTermIsCommittedByCounting(t *testing.T) {
	t.Parallel()
	s := start(t, 2)
	s.lead()
	s.step(raft.Message{Type: raft.MsgAppendReply, From: "b", Term: 3, Match: 2, HintIndex: 2})
	require.Zero(t, s.status().CommitIndex)
	s.ack("b")
	require.Equal(t, uint64(3), s.status().CommitIndex)
	require.Len(t, s.applied, 3, "those before are committed indirectly")
}

// A leader's own disk counts like any other: "a majority" means durable (section 5.3; thesis section 10.2.1).
func TestLeaderCountsItselfOnlyOnceDurable(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.lead()
	s.ack("b")
	s.noDisk = true
	s.sent = nil
	_, _, err := s.n.Propose(s.now, []byte("x"))
	require.NoError(t, err)
	s.pump()
	require.NotEmpty(t, one(t, s.sent, raft.MsgAppend).Entries, "but it replicates in parallel with its own disk")
	s.ack("b")
	require.Equal(t, uint64(2), s.status().CommitIndex)
	s.persist(s.stuck[0])
	require.Equal(t, uint64(3), s.status().CommitIndex)
}

// "A leader never overwrites or deletes entries in its log; it only appends" (figure 3, Leader Append-Only).
func TestLeaderTakesEntriesFromNobody(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.lead()
	s.step(raft.Message{Type: raft.MsgAppend, From: "b", Term: 2, PrevIndex: 1, PrevTerm: 1, Entries: []raft.Entry{entry(2, 2)}})
	require.Equal(t, raft.Leader, s.status().Role)
	require.Equal(t, uint64(1), s.status().Garbage)
}

// "While waiting for votes, a candidate may receive an AppendEntries from another server claiming to be leader. If the leader's term is
// at least as large as the candidate's current term, then the candidate returns to follower state" (section 5.2).
func TestCandidateRecognizesTheWinner(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.now = s.n.NextDeadline()
	s.n.Tick(s.now)
	s.step(raft.Message{Type: raft.MsgPreVoteReply, From: "b", Term: 2})
	require.Equal(t, raft.Candidate, s.status().Role)
	s.step(raft.Message{Type: raft.MsgAppend, From: "c", Term: 2, PrevIndex: 1, PrevTerm: 1})
	require.Equal(t, raft.Follower, s.status().Role)
	require.Equal(t, raft.ID("c"), s.status().Leader)
}

// "Election timeouts are chosen randomly from a fixed interval" (section 5.2): here [T, 2T).
func TestElectionTimeoutsAreSpread(t *testing.T) {
	t.Parallel()
	s := start(t)
	var shortest, longest time.Duration = time.Hour, 0
	for range 300 {
		s.step(raft.Message{Type: raft.MsgAppend, From: "b", Term: 1})
		d := s.n.NextDeadline() - s.now
		shortest, longest = min(shortest, d), max(longest, d)
	}
	require.GreaterOrEqual(t, shortest, 600*time.Millisecond)
	require.Less(t, longest, 1200*time.Millisecond)
	require.Greater(t, longest-shortest, 500*time.Millisecond)
}

// A read index is not given before the leader's first commit (thesis section 6.4, step 1), and not from before a round with a majority (step 3).
func TestReadIndexNeedsCommitAndRound(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.lead()
	s.n.ReadIndex(s.now, 7)
	s.pump()
	require.Empty(t, s.reads)
	beat := one(t, s.ack("b"), raft.MsgAppend)
	require.Empty(t, s.reads)
	s.step(raft.Message{Type: raft.MsgAppendReply, From: "b", Term: 2, Match: 2, HintIndex: 2, Round: beat.Round - 1})
	require.Empty(t, s.reads, "an answer to an older round")
	s.step(raft.Message{Type: raft.MsgAppendReply, From: "b", Term: 2, Match: 2, HintIndex: 2, Round: beat.Round})
	require.Equal(t, []raft.ReadState{{ID: 7, Index: 2}}, s.reads)
}

// Every ReadIndex is answered, with an error when the leader is lost.
func TestReadsFailWithTheLeader(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.n.ReadIndex(s.now, 1)
	s.step(raft.Message{Type: raft.MsgAppend, From: "b", Term: 2, PrevIndex: 1, PrevTerm: 1})
	s.n.ReadIndex(s.now, 2)
	s.step(raft.Message{Type: raft.MsgAppend, From: "c", Term: 3, PrevIndex: 1, PrevTerm: 1})
	s.n.ReadIndex(s.now, 3)
	s.now += 600 * time.Millisecond
	s.n.Tick(s.now) // the answer was lost
	s.pump()
	require.Equal(t, []raft.ReadState{{ID: 1, Err: raft.ErrNoLeader}, {ID: 2, Err: raft.ErrNoLeader}, {ID: 3, Err: raft.ErrNoLeader}}, s.reads)
}

// "A leader must not append a new configuration until it has committed an entry from its term" (erratum to thesis section 4.1).
func TestChangeWaitsForFirstCommit(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.lead()
	_, _, err := s.n.ProposeChange(s.now, raft.Change{Type: raft.RemoveServer, Server: raft.Server{ID: "c"}})
	require.ErrorIs(t, err, raft.ErrNotReady)
	s.ack("b")
	_, _, err = s.n.ProposeChange(s.now, raft.Change{Type: raft.RemoveServer, Server: raft.Server{ID: "c"}})
	require.NoError(t, err)
	_, _, err = s.n.ProposeChange(s.now, raft.Change{Type: raft.RemoveServer, Server: raft.Server{ID: "b"}})
	require.ErrorIs(t, err, raft.ErrChangePending)
}

// A server that is not in its latest configuration still campaigns until that is committed (thesis section 4.2.2).
func TestRemovedServerCampaignsUntilCommitted(t *testing.T) {
	t.Parallel()
	s := start(t)
	cfg := &raft.Configuration{Servers: []raft.Server{{ID: "c", Suffrage: raft.Voter}}}
	s.step(raft.Message{Type: raft.MsgAppend, From: "b", Term: 2, PrevIndex: 1, PrevTerm: 1, Entries: []raft.Entry{{Index: 2, Term: 2, Type: raft.EntryConfig, Config: cfg}}})
	s.now = s.n.NextDeadline()
	s.n.Tick(s.now)
	require.Equal(t, raft.PreCandidate, s.status().Role)
	s.step(raft.Message{Type: raft.MsgAppend, From: "b", Term: 2, PrevIndex: 2, PrevTerm: 2, Commit: 2})
	s.now = s.n.NextDeadline()
	s.n.Tick(s.now)
	require.Equal(t, raft.Follower, s.status().Role)
}

// The lease is given up while leadership is handed over, and does not come back from what was promised before or
// during that (thesis section 6.4.1; docs/divergence.md).
func TestLeaseAfterAbortedTransfer(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.lead()
	s.ack("b")
	_, ok := s.n.LeaseRead(s.now)
	require.True(t, ok)
	require.NoError(t, s.n.TransferLeadership(s.now, "c"))
	_, ok = s.n.LeaseRead(s.now)
	require.False(t, ok)
	s.now += 599 * time.Millisecond
	s.n.Tick(s.now)
	s.pump()
	s.ack("b") // confirmed, but with Transfer set: a promise to nobody
	s.now += time.Millisecond
	s.n.Tick(s.now)
	s.pump()
	require.Empty(t, s.status().TransferTo)
	_, ok = s.n.LeaseRead(s.now)
	require.False(t, ok)
	s.now += time.Millisecond
	s.ack("b")
	_, ok = s.n.LeaseRead(s.now)
	require.True(t, ok)
}

// A vote that the leader asked for is granted during its lease, unless the leader has asked for a lease since.
func TestTransferOverridesOnlyOlderLeases(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		later    raft.Message // after the MsgTimeoutNow at 100 ms
		released bool
	}{
		{"nothing since", raft.Message{}, true},
		{"heartbeat of the transfer", raft.Message{SentAt: 150 * time.Millisecond, Transfer: true}, true},
		{"the transfer was aborted", raft.Message{SentAt: 150 * time.Millisecond}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			s.step(raft.Message{Type: raft.MsgAppend, From: "b", Term: 2, PrevIndex: 1, PrevTerm: 1, SentAt: 50 * time.Millisecond})
			if c.later.SentAt > 0 {
				c.later.Type, c.later.From, c.later.Term, c.later.PrevIndex, c.later.PrevTerm = raft.MsgAppend, "b", 2, 1, 1
				s.step(c.later)
			}
			out := s.step(raft.Message{Type: raft.MsgVote, From: "c", Term: 3, LastIndex: 1, LastTerm: 1, Transfer: true, SentAt: 100 * time.Millisecond})
			require.Equal(t, c.released, len(out) == 1 && !out[0].Reject)
			require.Equal(t, c.released, s.status().Term == 3, "otherwise not even the term is taken over")
		})
	}
}

// A hint never lets a server campaign before its promise to the leader is over.
func TestConnectionLostKeepsThePromise(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.step(raft.Message{Type: raft.MsgAppend, From: "b", Term: 2, PrevIndex: 1, PrevTerm: 1})
	s.n.LeaderConnectionLost(s.now + 10*time.Millisecond)
	wait := s.n.NextDeadline() - s.now
	require.GreaterOrEqual(t, wait, 300*time.Millisecond)
	require.Less(t, wait, 338*time.Millisecond)
	s.step(raft.Message{Type: raft.MsgAppend, From: "b", Term: 2, PrevIndex: 1, PrevTerm: 1})
	require.GreaterOrEqual(t, s.n.NextDeadline()-s.now, 600*time.Millisecond, "a wrong hint is forgotten")
}

func TestProposeErrors(t *testing.T) {
	t.Parallel()
	s := start(t)
	_, _, err := s.n.Propose(s.now, nil)
	require.ErrorIs(t, err, raft.ErrNotLeader)
	require.ErrorIs(t, s.n.TransferLeadership(s.now, "b"), raft.ErrNotLeader)
	s.lead()
	require.ErrorIs(t, s.n.TransferLeadership(s.now, "x"), raft.ErrNotVoter)
	require.NoError(t, s.n.TransferLeadership(s.now, ""))
	_, _, err = s.n.Propose(s.now, nil)
	require.ErrorIs(t, err, raft.ErrTransferring)
}

func TestConfigValidateReportsEverything(t *testing.T) {
	t.Parallel()
	require.NoError(t, raft.Config{ID: "a"}.WithDefaults().Validate())
	err := raft.Config{LeaseTimeout: -1, MaxInflight: -1}.WithDefaults().Validate()
	require.ErrorContains(t, err, "ID must be set")
	require.ErrorContains(t, err, "LeaseTimeout")
	require.ErrorContains(t, err, "MaxInflight")
}

func TestChangesOfConfigurations(t *testing.T) {
	t.Parallel()
	a, b := raft.Server{ID: "a", Suffrage: raft.Voter}, raft.Server{ID: "b", Suffrage: raft.Nonvoter}
	cfg := raft.Configuration{Servers: []raft.Server{a, b}}
	for _, c := range []struct {
		kind raft.ChangeType
		s    raft.Server
		want string
		err  error
	}{
		{raft.AddNonvoter, raft.Server{ID: "c"}, "a(voter) b(nonvoter) c(nonvoter)", nil},
		{raft.AddVoter, raft.Server{ID: "b"}, "a(voter) b(voter)", nil},
		{raft.AddVoter, raft.Server{ID: "0"}, "0(voter) a(voter) b(nonvoter)", nil},
		{raft.AddNonvoter, raft.Server{ID: "a", Address: "x:1"}, "a(voter) b(nonvoter)", nil},
		{raft.RemoveServer, raft.Server{ID: "b"}, "a(voter)", nil},
		{raft.AddNonvoter, b, "", raft.ErrNoChange},
		{raft.DemoteVoter, b, "", raft.ErrNoChange},
		{raft.DemoteVoter, a, "", raft.ErrNoVoters},
		{raft.RemoveServer, a, "", raft.ErrNoVoters},
		{raft.RemoveServer, raft.Server{ID: "z"}, "", raft.ErrUnknownServer},
		{raft.AddVoter, raft.Server{}, "", raft.ErrBadChange},
		{0, a, "", raft.ErrBadChange},
	} {
		next, err := cfg.With(raft.Change{Type: c.kind, Server: c.s})
		require.Truef(t, errors.Is(err, c.err), "%v %v: %v", c.kind, c.s, err)
		if c.err == nil {
			require.Equal(t, c.want, next.String())
			require.NoError(t, next.Validate())
		}
		require.Equal(t, "a(voter) b(nonvoter)", cfg.String(), "the old one stays")
	}
}
