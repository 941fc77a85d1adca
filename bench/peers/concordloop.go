package main

import (
	"fmt"
	"os"
	"time"

	"concord/raft"
	"concord/transport"
	"concord/wire"
)

// run is the server's loop: it takes in all that came, and then does what the core wants done about it.
func (s *concordServer) run() {
	defer func() { s.done <- struct{}{} }()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.inbox.ready:
		case <-timer.C:
		}
		events, open := s.inbox.take()
		if !open {
			s.failPending(errStopped)
			return
		}
		for i := range events {
			s.handle(&events[i])
		}
		s.proposeQueued()
		if s.node.NextDeadline() <= s.now() {
			s.node.Tick(s.now())
		}
		for s.node.HasReady() {
			s.carryOut(s.node.Ready())
		}
		timer.Reset(max(0, s.node.NextDeadline()-s.now()))
	}
}

func (s *concordServer) handle(e *concordEvent) {
	switch {
	case e.reply != nil:
		s.trace.mark(looped)
		s.data, s.replies = append(s.data, e.data), append(s.replies, e.reply)
	case e.payload != nil:
		if m, err := wire.DecodeRaft(e.payload); err == nil {
			s.node.Step(s.now(), m)
		}
	default:
		s.trace.mark(told)
		s.onPersisted(e.persisted)
	}
}

// proposeQueued proposes all that came in one round as one batch.
func (s *concordServer) proposeQueued() {
	if len(s.data) == 0 {
		return
	}
	first, term, err := s.node.Propose(s.now(), s.data...)
	for i, reply := range s.replies {
		if err != nil {
			reply <- err
			continue
		}
		s.pending = append(s.pending, proposed{first + uint64(i), term, reply})
	}
	clear(s.replies)
	s.data, s.replies = s.data[:0], s.replies[:0]
}

func (s *concordServer) carryOut(rd raft.Ready) {
	if rd.RoleChange != nil {
		s.leads.Store(rd.RoleChange.Role == raft.Leader)
		if rd.RoleChange.Role != raft.Leader {
			s.failPending(raft.ErrNotLeader)
		}
	}
	s.send(rd.Messages)
	switch {
	case rd.MustPersist():
		s.unsent = append(s.unsent, afterPersist{rd.ID, rd.AfterPersist})
		s.writes.put(logWrite{rd.ID, rd.HardState, rd.Entries})
	case len(s.unsent) > 0:
		last := &s.unsent[len(s.unsent)-1]
		last.messages = append(last.messages, rd.AfterPersist...)
	default:
		s.send(rd.AfterPersist)
	}
	if k := len(rd.Committed); k > 0 {
		s.answer(rd.Committed)
		s.node.Applied(s.now(), rd.Committed[k-1].Index)
	}
}

// onPersisted sends what waited for the writes up to id.
func (s *concordServer) onPersisted(id uint64) {
	done := 0
	for done < len(s.unsent) && s.unsent[done].id <= id {
		s.send(s.unsent[done].messages)
		done++
	}
	s.unsent = append(s.unsent[:0], s.unsent[done:]...)
	s.node.Persisted(s.now(), id)
}

func (s *concordServer) send(messages []raft.Message) {
	for i := range messages {
		m := &messages[i]
		s.net.Send(transport.Envelope{To: s.addrs[m.To], Class: transport.Raft, Payload: wire.AppendRaft(nil, m)})
	}
}

// answer tells the proposers of committed entries.
func (s *concordServer) answer(committed []raft.Entry) {
	done := 0
	for i := range committed {
		if done == len(s.pending) {
			break
		}
		if p := s.pending[done]; p.index == committed[i].Index {
			done++
			if p.term == committed[i].Term {
				p.reply <- nil
			} else {
				p.reply <- errLost
			}
		}
	}
	s.pending = append(s.pending[:0], s.pending[done:]...)
}

func (s *concordServer) failPending(err error) {
	for _, p := range s.pending {
		p.reply <- err
	}
	s.pending = s.pending[:0]
	for _, reply := range s.replies {
		reply <- err
	}
	s.data, s.replies = s.data[:0], s.replies[:0]
}

// write is the log writer: all that waits is one batch with one sync.
func (s *concordServer) write() {
	defer func() { s.done <- struct{}{} }()
	for range s.writes.ready {
		writes, open := s.writes.take()
		if !open {
			return
		}
		if len(writes) == 0 {
			continue
		}
		s.trace.mark(writing)
		w := s.log.Begin()
		for i := range writes {
			if err := w.Add(writes[i].hs, writes[i].entries); err != nil {
				fatal(err)
			}
		}
		s.trace.mark(encoded)
		if err := w.Commit(); err != nil {
			fatal(err)
		}
		s.trace.mark(durableAt)
		s.inbox.put(concordEvent{persisted: writes[len(writes)-1].id})
	}
}

// fatal ends the benchmark: a log that cannot be written leaves nothing to measure.
func fatal(err error) {
	fmt.Fprintln(os.Stderr, "peers:", err)
	os.Exit(1)
}
