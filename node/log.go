package node

import (
	"maps"
	"slices"
	"time"

	"concord/internal/invariant"
	"concord/raft"
)

// logWriter keeps the writes to the Raft log that are under way, in order.
type logWriter struct {
	last  uint64
	queue []logWrite
}

// logWrite is a PersistTask under way, with what is to happen when it is durable.
type logWrite struct {
	seq      uint64
	raftID   uint64 // of the Ready, 0: none
	begun    time.Duration
	messages []raft.Message
	then     func()
}

// persist hands a task to the disk.
func (s *server) persist(t PersistTask, w logWrite) {
	s.log.last++
	t.Seq, w.seq = s.log.last, s.log.last
	w.begun = s.n.now
	s.log.queue = append(s.log.queue, w)
	s.watchDisk()
	s.n.env.Persist(t)
}

// writeLog writes what a Ready wants written, and keeps its messages until that is durable.
func (s *server) writeLog(rd *raft.Ready) {
	if rd.MustPersist() {
		s.persist(PersistTask{HardState: rd.HardState, Entries: rd.Entries}, logWrite{raftID: rd.ID, messages: rd.AfterPersist})
		return
	}
	if len(s.log.queue) > 0 {
		w := &s.log.queue[len(s.log.queue)-1]
		w.messages = append(slices.Clip(w.messages), rd.AfterPersist...)
		w.raftID = rd.ID
		return
	}
	s.sendAll(rd.AfterPersist)
	s.raft.Persisted(s.n.now, rd.ID)
}

func (s *server) onPersisted(seq uint64) {
	invariant.Check(seq <= s.log.last, "the disk has written %d, but only %d was asked for", seq, s.log.last)
	for len(s.log.queue) > 0 && s.log.queue[0].seq <= seq {
		w := s.log.queue[0]
		s.log.queue[0] = logWrite{}
		s.log.queue = s.log.queue[1:]
		s.sendAll(w.messages)
		if w.raftID != 0 {
			s.raft.Persisted(s.n.now, w.raftID)
		}
		if w.then != nil {
			w.then()
		}
	}
	s.watchDisk()
}

func (s *server) sendAll(ms []raft.Message) {
	for i := range ms {
		s.send(&ms[i])
	}
}

// sortedKeys keeps the order of maps out of what a node does.
func sortedKeys[V any](m map[uint64]V) []uint64 { return slices.Sorted(maps.Keys(m)) }
