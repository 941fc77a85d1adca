package node

import (
	"fmt"
	"time"

	"concord/catalog"
	"concord/raft"
	"concord/swim"
	"concord/transport"
	"concord/wire"
)

// server is what a server has besides what every agent has: Raft, the catalog's requests, and the
// duties of a leader.
type server struct {
	n    *Node
	raft *raft.Node

	role   raft.Role
	term   uint64
	leader raft.ID
	// lostLeader is the address of a leader that refuses connections, until somebody leads again.
	lostLeader transport.Addr
	lost       map[raft.ID]bool // servers whose lost logs were told of
	addrs      map[raft.ID]transport.Addr
	config     raft.Configuration // as of the last look

	log       logWriter
	applied   uint64
	sinceSync int // bytes applied since the state was last flushed
	flushing  bool
	// compacting is a compaction that waits for the term of its last entry.
	compacting *raft.SnapshotMeta

	proposals []*call            // to be proposed at the next drain
	pending   map[uint64]*call   // proposed, by index
	terms     map[uint64]uint64  // term of each pending proposal
	changes   map[uint64][]*call // operator requests that wait for an index to be applied

	reads     reads
	watches   *watches
	internal  map[uint64]func(ReadTask) // reads of this server's own
	lastRead  uint64
	bootstrap bootstrap
	reconcile reconciler
	autopilot pilot
	transfer  transfer
	gather    gatherer
	watchdog  watchdog
	view      ReadView // as published last
}

func newServer(n *Node, disk Disk) (*server, error) {
	s := &server{
		n: n, role: raft.Follower, term: disk.Raft.HardState.Term, applied: disk.Raft.Applied,
		pending: map[uint64]*call{}, terms: map[uint64]uint64{}, changes: map[uint64][]*call{}, lost: map[raft.ID]bool{},
		internal: map[uint64]func(ReadTask){}, addrs: map[raft.ID]transport.Addr{},
		reads: newReads(), reconcile: newReconciler(), autopilot: newPilot(), transfer: transfer{at: never}, gather: newGatherer(), watchdog: watchdog{at: never},
	}
	s.watches = newWatches(s)
	s.bootstrap = newBootstrap(n.cfg, disk)
	r, err := raft.New(n.cfg.Raft, disk.Raft, n.rng.Fork("raft"), n.now)
	if err != nil {
		return nil, fmt.Errorf("raft: %w", err)
	}
	s.raft = r
	s.raft.MayForm(n.now, disk.Promise != "")
	s.learnAddresses()
	return s, nil
}

func (s *server) nextDeadline() time.Duration {
	return min(s.raft.NextDeadline(), s.watches.queue.Next(), s.reconcile.at, s.autopilot.at, s.bootstrap.at, s.transfer.at, s.gather.at, s.watchdog.at)
}

func (s *server) tick() {
	now := s.n.now
	if s.raft.NextDeadline() <= now {
		s.raft.Tick(now)
	}
	s.watches.expire()
	s.bootstrapTick()
	s.reconcileTick()
	s.autopilotTick()
	s.transferTick()
	s.gatherTick()
	s.watchdogTick()
}

// leads tells whether this server is the leader.
func (s *server) leads() bool { return s.role == raft.Leader }

// leaderAddr is where the leader is, "" if nobody is known to lead.
func (s *server) leaderAddr() transport.Addr {
	if s.leader == "" {
		return ""
	}
	if a := s.addrs[s.leader]; a != s.lostLeader {
		return a
	}
	return ""
}

// learnAddresses takes the addresses of servers from the configuration and, where it knows them,
// from gossip, which is newer.
func (s *server) learnAddresses() {
	clear(s.addrs)
	s.config = s.raft.Status().Config
	for _, v := range s.config.Servers {
		s.addrs[v.ID] = transport.Addr(v.Address)
	}
	for _, v := range s.n.servers() {
		s.addrs[raft.ID(v.ID)] = v.Addr
	}
}

func (s *server) gossipChanged() {
	s.learnAddresses()
	s.bootstrapCheck()
	s.reconcileSoon()
}

func (s *server) onMember(ev swim.Event) { s.reconcileSoon() }

func (s *server) onRaft(e transport.Envelope) {
	m, err := wire.DecodeRaft(e.Payload)
	if err != nil {
		s.n.log(Warn, "raft", "dropped a malformed message", "from", string(e.From), "error", err)
		return
	}
	if m.To != s.n.cfg.Raft.ID || s.bootstrap.writing {
		return
	}
	if m.From == s.leader {
		s.lostLeader = ""
	}
	if _, known := s.addrs[m.From]; !known {
		s.addrs[m.From] = e.From
	}
	s.raft.Step(s.n.now, m)
}

func (s *server) onPeerLost(ev transport.Event) {
	for _, v := range s.config.Servers {
		if s.addrs[v.ID] != ev.Peer {
			continue
		}
		if ev.Class == transport.Raft {
			s.raft.PeerUnreachable(s.n.now, v.ID)
		}
		if ev.Type == transport.Refused && v.ID == s.leader && !s.leads() {
			s.lostLeader = ev.Peer
			s.raft.LeaderConnectionLost(s.n.now)
		}
	}
}

// serves tells whether the call can be served here rather than sent on.
func (s *server) serves(c *call) bool {
	if c.req.Read != nil && c.req.Read.Consistency == wire.Stale {
		return true
	}
	if r := c.req.Read; r != nil && r.Consistency == wire.Consistent && r.MinIndex == 0 && s.leader != "" {
		return true // its index comes from the leader, its answer from here
	}
	return s.leads() || c.req.Operator != nil && anyServerKind(c.req.Operator.Kind)
}

func (s *server) serve(c *call) {
	switch {
	case c.req.Command != nil:
		s.proposals = append(s.proposals, c)
	case c.req.Read != nil:
		s.serveRead(c)
	case c.req.Operator != nil:
		s.serveOperator(c)
	default:
		s.n.answer(c, &wire.Response{Code: wire.Refused, Err: "the request asks for nothing"})
	}
}

// propose makes a command of this server's own.
func (s *server) propose(cmd catalog.Command, done func(*wire.Response)) {
	s.n.ask(&wire.Request{Command: wire.AppendCommand(nil, cmd)}, done)
}

// proposeQueued hands all commands that came since the last drain to Raft at once.
func (s *server) proposeQueued() {
	if len(s.proposals) == 0 || s.n.cfg.FaultPoints.Fire("node/late-proposal") {
		return
	}
	calls := s.proposals
	s.proposals = nil
	data := make([][]byte, len(calls))
	for i, c := range calls {
		data[i] = c.req.Command
	}
	first, term, err := s.raft.Propose(s.n.now, data...)
	for i, c := range calls {
		switch err {
		case nil:
			s.pending[first+uint64(i)], s.terms[first+uint64(i)] = c, term
		case raft.ErrTooMuchUncommitted:
			s.n.answer(c, &wire.Response{Code: wire.Busy, Err: "too many writes wait to be committed, try again"})
		default: // leadership is gone or going: the next leader will take it
			s.n.tryAgain(c)
		}
	}
}

// drain carries out what Raft wants, and tells whether it wanted anything.
func (s *server) drain() bool {
	s.tellCluster()
	s.proposeQueued()
	if !s.raft.HasReady() {
		return false
	}
	rd := s.raft.Ready()
	if rd.RoleChange != nil {
		s.onRole(*rd.RoleChange)
	}
	s.publishView()
	for i := range rd.Messages {
		s.send(&rd.Messages[i])
	}
	s.writeLog(&rd)
	if len(rd.Committed) > 0 {
		s.n.env.Apply(ApplyTask{Entries: rd.Committed})
		s.noteCommitted(rd.Committed)
	}
	for _, r := range rd.Reads {
		s.onReadState(r)
	}
	for i := range rd.LogReads {
		s.n.env.Fetch(FetchTask{Log: &rd.LogReads[i]})
	}
	for i := range rd.ChunkReads {
		s.n.env.Fetch(FetchTask{Chunk: &rd.ChunkReads[i]})
	}
	if rd.ChunkWrite != nil {
		s.n.env.Apply(ApplyTask{Chunk: rd.ChunkWrite})
	}
	for _, id := range rd.Lost {
		s.onLost(id)
	}
	if rd.DroppedFrom != 0 {
		s.dropPending(rd.DroppedFrom)
	}
	return true
}

func (s *server) send(m *raft.Message) {
	to := s.addrs[m.To]
	if to == "" {
		return // nobody knows where it is; gossip will tell
	}
	s.n.env.Send(transport.Envelope{To: to, Class: transport.Raft, Payload: wire.AppendRaft(nil, m)})
}

func (s *server) onFetched(d FetchDone) {
	if r := d.Task.Log; r != nil && r.For == s.n.cfg.Raft.ID {
		s.compactFetched(d)
		return
	}
	if r := d.Task.Log; r != nil {
		s.raft.LogRead(s.n.now, *r, d.Entries, d.Err)
		return
	}
	s.raft.ChunkRead(s.n.now, *d.Task.Chunk, d.Meta, d.Data, d.Next, d.Done, d.Err)
}

// noteCommitted looks for entries that concern the node itself.
func (s *server) noteCommitted(entries []raft.Entry) {
	for i := range entries {
		if entries[i].Type == raft.EntryConfig {
			s.learnAddresses()
		}
		s.sinceSync += len(entries[i].Data) + 64
	}
}

var roleNames = map[raft.Role]string{raft.Follower: "follower", raft.PreCandidate: "pre-candidate", raft.Candidate: "candidate", raft.Leader: "leader"}

func (s *server) onRole(c raft.RoleChange) {
	was, before := s.role, s.leader
	s.role, s.term, s.leader = c.Role, c.Term, c.Leader
	if c.Role != was || c.Role == raft.Candidate {
		s.n.log(Info, "raft", "entering "+roleNames[c.Role]+" state: term="+fmt.Sprint(c.Term))
	}
	if c.Leader != "" && c.Leader != before {
		s.lostLeader = ""
		s.n.log(Info, "server", "New leader elected: payload="+s.nameOf(c.Leader))
	}
	if was == raft.Leader && c.Role != raft.Leader {
		s.lostLeadership()
	}
	if c.Role == raft.Leader && was != raft.Leader {
		s.n.log(Info, "server", "cluster leadership acquired")
		s.gainedLeadership()
	}
	if c.Leader != "" {
		s.n.releaseHeld()
		if before == "" {
			s.n.local.ServerUp(s.n.now)
		}
	}
}

// nameOf is the node name of a server, or its ID where gossip does not know it.
func (s *server) nameOf(id raft.ID) string {
	for _, v := range s.n.servers() {
		if v.ID == string(id) {
			return v.Name
		}
	}
	return string(id)
}

func (s *server) gainedLeadership() {
	clear(s.lost)
	s.reconcile.begin(s.n.now)
	s.autopilot.begin(s.n.now, s.n.cfg.Autopilot)
}

// lostLeadership answers what can no longer be answered with certainty. A proposal may still be
// committed by the next leader.
func (s *server) lostLeadership() {
	s.n.log(Info, "server", "cluster leadership lost")
	for _, index := range sortedKeys(s.pending) {
		c := s.pending[index]
		delete(s.pending, index)
		delete(s.terms, index)
		s.n.answer(c, &wire.Response{Code: wire.Unknown, Err: "leadership lost while committing log"})
	}
	for _, index := range sortedKeys(s.changes) {
		for _, c := range s.changes[index] {
			s.n.answer(c, &wire.Response{Code: wire.Unknown, Err: "leadership lost while committing log"})
		}
		delete(s.changes, index)
	}
	s.endTransfer(&wire.Response{})
	s.gather = newGatherer() // the next leader gets newer ones
	s.reconcile.stop()
	s.autopilot.stop()
	s.rerouteReads()
	s.watches.reroute()
}

// dropPending gives up the proposals from an index on that were overwritten.
func (s *server) dropPending(from uint64) {
	for _, index := range sortedKeys(s.pending) {
		if index < from || s.terms[index] >= s.term {
			continue
		}
		c := s.pending[index]
		delete(s.pending, index)
		delete(s.terms, index)
		s.n.answer(c, &wire.Response{Code: wire.Unknown, Err: "leadership lost while committing log"})
	}
}
