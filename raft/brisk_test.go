package raft_test

import (
	"testing"
	"time"

	"concord/internal/prng"
	"concord/raft"
	"concord/raft/rafttest"
)

// brisk does one of the things that endanger reads and elections: the cluster works at full
// speed, while its leader is cut off, hands over, or restarts, and some messages arrive
// far too late.
func (w *world) brisk() {
	if w.pick(3) == 0 { // hold some messages back
		kept := w.c.Network[:0:0]
		for _, m := range w.c.Network {
			if w.pick(2) == 0 {
				w.late = append(w.late, m)
			} else {
				kept = append(kept, m)
			}
		}
		w.c.Network = kept
	}
	if k := len(w.late); k > 0 && w.pick(6) == 0 {
		w.c.Network = append(w.c.Network, w.late[:k/2+1]...)
		w.late = w.late[k/2+1:]
	}
	switch k := w.pick(20); {
	case k < 8:
		if err := w.c.Run(time.Duration(w.pick(80)) * time.Millisecond); err != nil {
			panic(err)
		}
	case k < 11:
		w.c.Now += time.Duration(w.pick(120)) * time.Millisecond
		for range w.pick(20) {
			if len(w.c.Network) > 0 {
				w.c.Deliver(0)
			}
		}
		w.tick()
	case k < 13:
		w.isolateOne()
	case k < 14:
		w.c.Heal()
	case k < 16:
		for _, s := range w.c.Servers {
			s.HoldDisk = w.pick(4) == 0
		}
	default:
		if s := w.server(); s != nil {
			w.briskly(s)
		}
	}
	for _, s := range w.c.Servers {
		w.acked = max(w.acked, s.Applied())
	}
	for _, s := range w.c.Servers {
		if s.Node != nil {
			w.read(s)
			w.propose(s)
		}
	}
	w.checkReads()
}

// isolateOne cuts a server off, half or wholly, a leader if there is one.
func (w *world) isolateOne() {
	w.c.Heal()
	victim := w.c.Servers[w.pick(len(w.c.Servers))]
	if l := w.c.Leader(); l != nil && w.pick(3) > 0 {
		victim = l
	}
	in, out := w.pick(3) > 0, w.pick(3) > 0
	for _, s := range w.c.Servers {
		if s == victim {
			continue
		}
		if in {
			w.c.Cut(s.ID, victim.ID)
		}
		if out {
			w.c.Cut(victim.ID, s.ID)
		}
	}
}

func (w *world) briskly(s *rafttest.Server) {
	switch w.pick(5) {
	case 0:
		for _, s := range w.c.Servers {
			if s.Node != nil && s.Node.Status().Role == raft.Leader {
				s.Do(func(n *raft.Node) { _ = n.TransferLeadership(w.c.Now, "") })
			}
		}
	case 1:
		for _, s := range w.c.Servers {
			if s.Node != nil {
				s.Do(func(n *raft.Node) { n.LeaderConnectionLost(w.c.Now) })
			}
		}
	case 2:
		w.crashOrStart()
	case 3:
		_, writes := s.Pending()
		s.Crash(w.pick(writes + 1))
		s.Start()
	default:
		for _, s := range w.c.Servers {
			if s.Node != nil {
				w.change(s)
			}
		}
	}
}

// TestReadsAreNeverStale checks leases and read rounds where leaders change often.
func TestReadsAreNeverStale(t *testing.T) {
	t.Parallel()
	seeds := 500
	if testing.Short() {
		seeds = 50
	}
	for seed := range seeds {
		r := prng.New(uint64(seed) + 1<<32)
		w := newWorld(uint64(seed), 3+2*(seed%2), r.IntN)
		for range 400 {
			w.brisk()
		}
		if err := w.recover(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}
