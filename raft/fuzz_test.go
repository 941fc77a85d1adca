package raft_test

import (
	"testing"
	"time"

	"concord/internal/prng"
	"concord/raft"
)

// FuzzStep feeds a server whatever the bytes say. It may drop it or be misled; it must not panic, and its
// own invariants must hold.
func FuzzStep(f *testing.F) {
	for seed := range 20 {
		var p [400]byte
		_, _ = prng.New(uint64(seed)).Read(p[:])
		f.Add(p[:])
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		next := func() uint64 {
			if len(p) == 0 {
				return 0
			}
			v := uint64(p[0])
			p = p[1:]
			if v > 250 {
				return 1<<62 - 2 + v - 251 // around the bound on numbers
			}
			return v % 8
		}
		s := start(&testing.T{})
		if next()%2 == 0 {
			s.n.Tick(s.n.NextDeadline())
		}
		for len(p) > 0 {
			s.now += time.Duration(next()) * 50 * time.Millisecond
			fuzzOne(s, next)
			s.pump()
		}
	})
}

func fuzzOne(s *server, next func() uint64) {
	ids := []raft.ID{"b", "c", "a", "d", ""}
	switch next() {
	case 0:
		s.n.Tick(s.now)
	case 1:
		_, _, _ = s.n.Propose(s.now, []byte("x"))
		s.n.ReadIndex(s.now, next())
	case 2:
		s.noDisk = !s.noDisk
		if !s.noDisk {
			for _, rd := range s.stuck {
				s.persist(rd)
			}
			s.stuck = nil
		}
	default:
		m := raft.Message{
			Type: raft.MessageType(next()*2 + next()), From: ids[next()%5], Term: next(), LastIndex: next(), LastTerm: next(),
			Transfer: next()%2 == 0, PrevIndex: next(), PrevTerm: next(), Commit: next(), SentAt: time.Duration(next()), Round: next(),
			Reject: next()%2 == 0, Match: next(), HintIndex: next(), HintTerm: next(), ReadID: next(), Index: next(), Done: next()%2 == 0,
		}
		for i := range next() % 4 {
			m.Entries = append(m.Entries, raft.Entry{Index: m.PrevIndex + i + 1, Term: next(), Type: raft.EntryType(next())})
			if next() == 1 {
				m.Entries[i].Config = &raft.Configuration{Servers: []raft.Server{{ID: ids[next()%5], Suffrage: raft.Suffrage(next())}}}
			}
		}
		if next()%2 == 0 {
			m.Snapshot = &raft.SnapshotMeta{Index: next(), Term: next(), ConfigIndex: next(), Config: raft.Configuration{Servers: []raft.Server{{ID: "a", Suffrage: raft.Voter}}}}
			m.Next = []byte{1}
		}
		s.step(m)
	}
}
