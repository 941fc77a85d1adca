package main

import (
	"encoding/binary"
	"time"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
	"google.golang.org/protobuf/proto"
)

// run is the server's loop, built like that of Concord's.
func (s *etcdServer) run() {
	defer func() { s.done <- struct{}{} }()
	ticker := time.NewTicker(etcdTick)
	defer ticker.Stop()
	for {
		select {
		case <-s.inbox.ready:
		case <-ticker.C:
			s.node.Tick()
		}
		events, open := s.inbox.take()
		if !open {
			s.fail(errStopped)
			return
		}
		for i := range events {
			s.handle(&events[i])
		}
		s.proposeQueued()
		for s.node.HasReady() {
			s.carryOut(s.node.Ready())
		}
	}
}

func (s *etcdServer) handle(e *etcdEvent) {
	switch {
	case e.data != nil:
		s.proposals = append(s.proposals, &pb.Entry{Data: e.data})
		s.proposers = append(s.proposers, e.worker)
	case e.message != nil:
		s.node.Step(e.message)
	default:
		m := &pb.Message{}
		if proto.Unmarshal(e.payload, m) == nil {
			s.node.Step(m) // what is not wanted any more is refused with an error
		}
	}
}

// proposeQueued proposes all that came in one round as one batch.
func (s *etcdServer) proposeQueued() {
	if len(s.proposals) == 0 {
		return
	}
	err := s.node.Step(&pb.Message{Type: pb.MsgProp.Enum(), From: &s.id, Entries: s.proposals})
	for _, w := range s.proposers {
		if err != nil {
			s.waiters[w] <- err
		} else {
			s.waiting[w] = true
		}
	}
	s.proposals, s.proposers = nil, s.proposers[:0]
}

func (s *etcdServer) carryOut(rd raft.Ready) {
	if rd.SoftState != nil {
		led := s.leads.Swap(rd.SoftState.RaftState == raft.StateLeader)
		if led && !s.leads.Load() {
			s.fail(raft.ErrProposalDropped)
		}
	}
	for _, m := range rd.Messages {
		switch m.GetTo() {
		case raft.LocalAppendThread:
			s.writes.put(m)
		case raft.LocalApplyThread:
			s.apply(m)
		default:
			s.send(m)
		}
	}
}

// apply answers the proposers of committed entries; the state machine does nothing.
func (s *etcdServer) apply(m *pb.Message) {
	for _, e := range m.Entries {
		if len(e.Data) < 8 {
			continue
		}
		if w := int(binary.BigEndian.Uint64(e.Data)); s.waiting[w] {
			delete(s.waiting, w)
			s.waiters[w] <- nil
		}
	}
	for _, r := range m.Responses {
		s.node.Step(r)
	}
	s.compact(m.Entries[len(m.Entries)-1].GetIndex())
}

// kept is how many entries stay in memory for followers that lag, as many as etcd lets between snapshots.
const kept = 10_000

// compact bounds the log in memory, as etcd does after its snapshots, except that no follower is ever left behind.
func (s *etcdServer) compact(applied uint64) {
	if applied < s.compacted+2*kept {
		return
	}
	to := applied - kept
	s.node.WithProgress(func(id uint64, _ raft.ProgressType, p tracker.Progress) {
		if s.leads.Load() && id != s.id {
			to = min(to, p.Match)
		}
	})
	if to > s.compacted && s.storage.Compact(to) == nil {
		s.compacted = to
	}
}

func (s *etcdServer) fail(err error) {
	for w := range s.waiting {
		s.waiters[w] <- err
	}
	clear(s.waiting)
	for _, w := range s.proposers {
		s.waiters[w] <- err
	}
	s.proposals, s.proposers = nil, s.proposers[:0]
}

// write is the log writer: all that waits is saved with one sync.
func (s *etcdServer) write() {
	defer func() { s.done <- struct{}{} }()
	for range s.writes.ready {
		writes, open := s.writes.take()
		if !open {
			return
		}
		state := &pb.HardState{}
		var entries []*pb.Entry
		for _, m := range writes {
			if m.Term != nil {
				state = &pb.HardState{Term: m.Term, Vote: m.Vote, Commit: m.Commit}
			}
			entries = append(entries, m.Entries...)
		}
		if err := s.wal.Save(state, entries); err != nil {
			fatal(err)
		}
		for _, m := range writes {
			s.written(m)
		}
	}
}

// written makes a durable write known to whom the core wants it to be.
func (s *etcdServer) written(m *pb.Message) {
	if err := s.storage.Append(m.Entries); err != nil {
		fatal(err)
	}
	for _, r := range m.Responses {
		if r.GetTo() == s.id {
			s.inbox.put(etcdEvent{message: r})
		} else {
			s.send(r)
		}
	}
}
