package rafttest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"concord/internal/invariant"
	"concord/raft"
)

// snapshotChunks is how many chunks a snapshot is sent in.
const snapshotChunks = 3

// Server is a raft.Node with its disks.
type Server struct {
	ID   raft.ID
	Node *raft.Node // nil: crashed
	// HoldDisk, HoldApply and HoldReads keep Settle from completing work of the kind.
	HoldDisk, HoldApply, HoldReads bool
	// FailReads and FailWrites make reads of chunks and writes of received chunks fail.
	FailReads, FailWrites bool
	// Reads are the answers to ReadIndex so far.
	Reads []raft.ReadState

	c    *Cluster
	disk disk
	live state // of the state machine in memory, ahead of disk.state until Flush

	writes     []raft.Ready
	applies    []raft.Entry
	logReads   []raft.LogRead
	chunkReads []raft.ChunkRead
	chunkWrite *raft.ChunkWrite
	received   []string // chunks of the snapshot being received
}

// disk is what survives a crash.
type disk struct {
	hs      raft.HardState
	first   uint64
	entries []raft.Entry // [0] has index first
	state   state
}

// state is the state machine: a hash of all that was applied, and the configuration.
type state struct {
	index, term uint64
	hash        uint64
	config      raft.Configuration
	configIndex uint64
}

// Start starts a crashed or new server from its disk.
func (s *Server) Start() {
	st := raft.InitialState{
		HardState: s.disk.hs, Applied: s.disk.state.index, AppliedTerm: s.disk.state.term,
		Config: s.disk.state.config, ConfigIndex: s.disk.state.configIndex, FirstIndex: s.disk.first,
	}
	if behind := st.Applied + 1; behind >= s.disk.first {
		if skip := behind - s.disk.first; skip < uint64(len(s.disk.entries)) {
			st.Entries = slices.Clone(s.disk.entries[skip:])
		}
	}
	cfg := s.c.cfg
	cfg.ID = s.ID
	n, err := raft.New(cfg, st, s.c.rand.Fork(string(s.ID)), s.c.Now)
	invariant.Check(err == nil, "rafttest: server %s does not start: %v", s.ID, err)
	s.Node, s.live = n, s.disk.state
	s.pump()
}

// Crash stops the server. Of the writes it has not been told of, those of the first
// durable Readys reach the disk anyway.
func (s *Server) Crash(durable int) {
	for _, rd := range s.writes[:min(durable, len(s.writes))] {
		s.disk.write(&rd)
	}
	s.Node = nil
	s.writes, s.applies, s.logReads, s.chunkReads, s.chunkWrite, s.received = nil, nil, nil, nil, nil, nil
}

// Wipe crashes the server and replaces its disks by empty ones.
func (s *Server) Wipe() {
	s.Crash(0)
	s.disk, s.live = disk{first: 1}, state{}
}

// Tick ticks the server.
func (s *Server) Tick() {
	s.Node.Tick(s.c.Now)
	s.pump()
}

// Do calls an input method of the server's Node and takes up the effects.
func (s *Server) Do(f func(*raft.Node)) {
	f(s.Node)
	s.pump()
}

// pump takes all Readys and files their effects, now or later.
func (s *Server) pump() {
	if s.c.Lazy == nil || !s.c.Lazy() {
		s.drain()
	}
}

func (s *Server) drain() {
	for s.Node.HasReady() {
		rd := s.Node.Ready()
		if r := rd.RoleChange; r != nil {
			s.c.trace("role     %s %v term=%d leader=%s", s.ID, r.Role, r.Term, orNone(r.Leader))
			s.c.check.role(s.ID, r)
		}
		for _, id := range rd.Lost {
			s.c.trace("lost     %s has lost its log", id)
		}
		if rd.DroppedFrom != 0 {
			s.c.trace("dropped  %s from=%d", s.ID, rd.DroppedFrom)
		}
		s.c.Network = append(s.c.Network, rd.Messages...)
		for _, r := range rd.Reads {
			s.c.trace("read     %s id=%d index=%d%s", s.ID, r.ID, r.Index, orNothing(r.Err))
		}
		s.Reads = append(s.Reads, rd.Reads...)
		s.applies = append(s.applies, rd.Committed...)
		s.logReads = append(s.logReads, rd.LogReads...)
		s.chunkReads = append(s.chunkReads, rd.ChunkReads...)
		if rd.ChunkWrite != nil {
			invariant.Check(s.chunkWrite == nil, "rafttest: two chunk writes at once")
			invariant.Check(!rd.ChunkWrite.Done || len(s.writes) == 0 && len(s.applies) == 0, "rafttest: installation overlaps other work")
			s.chunkWrite = rd.ChunkWrite
		}
		if rd.MustPersist() || len(rd.AfterPersist) > 0 {
			s.writes = append(s.writes, rd)
		}
		s.c.check.logs(s.c, s, &rd)
	}
}

// work completes the oldest work of each kind that is not held, and tells whether there was any.
func (s *Server) work() bool {
	if s.Node == nil {
		return false
	}
	worked := s.Node.HasReady()
	s.drain()
	worked = !s.HoldDisk && s.Write() || worked
	worked = !s.HoldApply && s.Apply(len(s.applies)) || worked
	worked = !s.HoldReads && s.Read() || worked
	return !s.HoldDisk && s.WriteChunk() || worked
}

// Write makes the oldest write durable and tells whether there was one.
func (s *Server) Write() bool {
	if len(s.writes) == 0 {
		return false
	}
	rd := s.writes[0]
	s.writes = s.writes[1:]
	s.disk.write(&rd)
	s.c.Network = append(s.c.Network, rd.AfterPersist...)
	if rd.MustPersist() {
		s.c.trace("durable  %s%s", s.ID, describeWrite(&rd))
		s.Node.Persisted(s.c.Now, rd.ID)
	}
	s.pump()
	return true
}

func (d *disk) write(rd *raft.Ready) {
	if rd.HardState != nil {
		d.hs = *rd.HardState
	}
	if len(rd.Entries) > 0 {
		at := rd.Entries[0].Index - d.first
		invariant.Check(at <= uint64(len(d.entries)), "rafttest: write leaves a gap before %d", rd.Entries[0].Index)
		d.entries = append(d.entries[:at:at], rd.Entries...)
	}
}

// Apply applies the oldest count committed entries and tells whether there was one.
func (s *Server) Apply(count int) bool {
	if count == 0 {
		return false
	}
	for _, e := range s.applies[:count] {
		s.live.apply(&e)
		s.c.history.check(s.ID, &e, s.live.hash)
	}
	s.applies = s.applies[count:]
	s.c.trace("applied  %s to=%d", s.ID, s.live.index)
	s.Node.Applied(s.c.Now, s.live.index)
	s.pump()
	return true
}

// Read answers the oldest log read and chunk read and tells whether there was one.
func (s *Server) Read() bool {
	worked := false
	if len(s.logReads) > 0 {
		r := s.logReads[0]
		s.logReads = s.logReads[1:]
		entries, err := s.disk.read(r)
		s.c.trace("log-read %s for=%s lo=%d got=%d%s", s.ID, r.For, r.Lo, len(entries), orNothing(err))
		s.Node.LogRead(s.c.Now, r, entries, err)
		worked = true
	}
	if len(s.chunkReads) > 0 {
		r := s.chunkReads[0]
		s.chunkReads = s.chunkReads[1:]
		s.readChunk(r)
		worked = true
	}
	s.pump()
	return worked
}

func (d *disk) read(r raft.LogRead) ([]raft.Entry, error) {
	if r.Lo < d.first || r.Lo >= d.first+uint64(len(d.entries)) {
		return nil, errors.New("compacted")
	}
	entries := d.entries[r.Lo-d.first:]
	size := 0
	for i := range entries {
		size += len(entries[i].Data) + 48
		if i > 0 && (size > r.MaxBytes || entries[i].Index > r.Hi) {
			entries = entries[:i]
			break
		}
	}
	return slices.Clone(entries), nil
}

// readChunk cuts chunks from the state as of meta. The hash is all there is, so every chunk is
// the name of its place.
func (s *Server) readChunk(r raft.ChunkRead) {
	meta, k := r.Meta, 0
	if len(r.Cursor) == 0 {
		l := &s.live
		meta = raft.SnapshotMeta{Index: l.index, Term: l.term, Config: l.config, ConfigIndex: l.configIndex}
	} else {
		k, _ = strconv.Atoi(string(r.Cursor))
	}
	if s.FailReads {
		s.Node.ChunkRead(s.c.Now, r, raft.SnapshotMeta{}, nil, nil, false, errors.New("snapshot is gone"))
		return
	}
	s.c.trace("chunk    %s for=%s %d/%d of=%d", s.ID, r.For, k+1, snapshotChunks, meta.Index)
	s.Node.ChunkRead(s.c.Now, r, meta, []byte(chunkName(meta.Index, k)), []byte(strconv.Itoa(k+1)), k+1 == snapshotChunks, nil)
}

func chunkName(index uint64, k int) string { return fmt.Sprintf("%d/%d", index, k) }

// WriteChunk writes the chunk of the snapshot being received, if there is one.
func (s *Server) WriteChunk() bool {
	w := s.chunkWrite
	if w == nil {
		return false
	}
	s.chunkWrite = nil
	if s.FailWrites {
		s.Node.ChunkWritten(s.c.Now, *w, errors.New("disk is full"))
		s.pump()
		return true
	}
	if len(w.Cursor) == 0 {
		s.received = nil
	}
	s.received = append(s.received, string(w.Chunk))
	if w.Done {
		invariant.Check(len(s.received) == snapshotChunks, "rafttest: snapshot of %d chunks installed", len(s.received))
		for k, chunk := range s.received {
			invariant.Check(chunk == chunkName(w.Meta.Index, k), "rafttest: chunk %d of snapshot %d is %q", k, w.Meta.Index, chunk)
		}
		s.install(&w.Meta)
	}
	s.Node.ChunkWritten(s.c.Now, *w, nil)
	s.pump()
	return true
}

func (s *Server) install(meta *raft.SnapshotMeta) {
	h := s.c.history[meta.Index]
	invariant.Check(h.term == meta.Term, "rafttest: snapshot %d has term %d, not %d", meta.Index, meta.Term, h.term)
	s.live = state{index: meta.Index, term: meta.Term, hash: h.hash, config: meta.Config, configIndex: meta.ConfigIndex}
	s.disk.state, s.disk.first, s.disk.entries = s.live, meta.Index+1, nil
	s.c.trace("install  %s snapshot=%d", s.ID, meta.Index)
}

// Flush makes the state machine durable.
func (s *Server) Flush() { s.disk.state = s.live }

// Compact deletes the durable log below first, which must be at most one behind the
// durable state.
func (s *Server) Compact(first uint64) {
	first = min(first, s.disk.state.index+1)
	if first <= s.disk.first {
		return
	}
	s.disk.entries = slices.Clone(s.disk.entries[first-s.disk.first:])
	s.disk.first = first
	s.Node.Compacted(s.c.Now, first)
	s.pump()
}

// Applied returns the index the state machine has reached.
func (s *Server) Applied() uint64 { return s.live.index }

// Busy tells whether the server has outstanding writes, applies, reads or chunk writes.
func (s *Server) Busy() (writes, applies, reads, chunks bool) {
	return len(s.writes) > 0, len(s.applies) > 0, len(s.logReads)+len(s.chunkReads) > 0, s.chunkWrite != nil
}

// Pending returns how many committed entries wait to be applied and how many writes to be durable.
func (s *Server) Pending() (applies, writes int) { return len(s.applies), len(s.writes) }
