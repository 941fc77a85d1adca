package raft_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"concord/internal/prng"
	"concord/raft"
	"concord/raft/rafttest"
)

// world is a cluster to which a test does whatever it likes, and what it was promised.
type world struct {
	c      *rafttest.Cluster
	pick   func(n int) int
	reads  map[uint64]uint64 // id: index known to be committed when asked
	lastID uint64
	values int
	acked  uint64 // highest index known to be committed
	lazy   bool
	late   []raft.Message // held back
}

func newWorld(seed uint64, servers int, pick func(int) int) *world {
	cfg := raft.Config{MaxAppendEntries: 3, MaxInflight: 3, CacheBytes: 200, MaxUncommittedBytes: 2000, SnapshotTimeout: 200 * time.Millisecond}
	w := &world{c: rafttest.New(cfg, seed), pick: pick, reads: map[uint64]uint64{}}
	w.c.Lazy = func() bool { return w.lazy && pick(3) == 0 }
	w.lazy = seed%3 == 0
	var ids []raft.ID
	for i := range servers {
		ids = append(ids, raft.ID('a'+rune(i)))
	}
	if err := w.c.Bootstrap(ids, nil); err != nil {
		panic(err)
	}
	return w
}

// server picks a running server, or nil.
func (w *world) server() *rafttest.Server {
	s := w.c.Servers[w.pick(len(w.c.Servers))]
	if s.Node == nil {
		return nil
	}
	return s
}

// step does one random thing.
func (w *world) step() {
	switch k := w.pick(100); {
	case k < 40 && len(w.c.Network) > 0:
		w.c.Deliver(w.pick(min(len(w.c.Network), 6))) // reordered a bit
	case k < 42 && len(w.c.Network) > 0:
		i := w.pick(len(w.c.Network))
		w.c.Network = slices.Delete(w.c.Network, i, i+1)
	case k < 44 && len(w.c.Network) > 0:
		w.c.Network = append(w.c.Network, w.c.Network[w.pick(len(w.c.Network))])
	case k < 52:
		w.tick()
	case k < 97:
		if s := w.server(); s != nil {
			w.local(s)
		}
	case k < 98:
		w.crashOrStart()
	default:
		w.partition()
	}
	for _, s := range w.c.Servers {
		w.acked = max(w.acked, s.Applied())
	}
	w.checkReads()
}

func (w *world) local(s *rafttest.Server) {
	switch k := w.pick(100); {
	case k < 30:
		s.Write()
	case k < 55:
		applies, _ := s.Pending()
		s.Apply(applies)
	case k < 65:
		s.Read()
	case k < 75:
		s.WriteChunk()
	case k < 85:
		w.propose(s)
	case k < 90:
		w.read(s)
	case k < 92:
		s.Flush()
		s.Compact(s.Applied())
	case k < 94:
		w.change(s)
	case k < 96:
		s.Do(func(n *raft.Node) { _ = n.TransferLeadership(w.c.Now, "") })
	case k < 98:
		s.Do(func(n *raft.Node) { n.LeaderConnectionLost(w.c.Now) })
	case k < 99:
		s.FailReads, s.FailWrites = w.pick(3) == 0, w.pick(3) == 0
	default:
		s.Do(func(n *raft.Node) { n.PeerUnreachable(w.c.Now, w.c.Servers[w.pick(len(w.c.Servers))].ID) })
	}
}

func (w *world) tick() {
	w.c.Now += time.Duration(w.pick(40)) * time.Millisecond
	for _, s := range w.c.Servers {
		if s.Node != nil && s.Node.NextDeadline() <= w.c.Now {
			s.Tick()
		}
	}
}

func (w *world) propose(s *rafttest.Server) {
	s.Do(func(n *raft.Node) {
		var data [][]byte
		for range 1 + w.pick(4) {
			w.values++
			data = append(data, fmt.Appendf(nil, "v%d", w.values))
		}
		_, _, _ = n.Propose(w.c.Now, data...)
	})
}

func (w *world) read(s *rafttest.Server) {
	w.lastID++
	w.reads[w.lastID] = w.acked
	s.Do(func(n *raft.Node) { n.ReadIndex(w.c.Now, w.lastID) })
	// The clocks are one, so a lease must never miss what anybody has applied.
	if index, ok := s.Node.LeaseRead(w.c.Now); ok && index < w.acked {
		panic(fmt.Sprintf("stale lease read at %s: index %d, %d was applied", s.ID, index, w.acked))
	}
}

func (w *world) change(s *rafttest.Server) {
	id := raft.ID('a' + rune(w.pick(6)))
	if w.c.Server(id) == nil {
		w.c.Add(id, raft.InitialState{})
	}
	kind := raft.ChangeType(1 + w.pick(4))
	s.Do(func(n *raft.Node) {
		_, _, _ = n.ProposeChange(w.c.Now, raft.Change{Type: kind, Server: raft.Server{ID: id}})
	})
}

func (w *world) crashOrStart() {
	s := w.c.Servers[w.pick(len(w.c.Servers))]
	if s.Node == nil {
		s.Start()
		return
	}
	_, writes := s.Pending()
	s.Crash(w.pick(writes + 1))
}

func (w *world) partition() {
	w.c.Heal()
	if w.pick(2) == 0 {
		return
	}
	for _, a := range w.c.Servers {
		for _, b := range w.c.Servers {
			if a != b && w.pick(4) == 0 {
				w.c.Cut(a.ID, b.ID)
			}
		}
	}
}

func (w *world) checkReads() {
	for _, s := range w.c.Servers {
		for _, r := range s.Reads {
			if asked, ok := w.reads[r.ID]; ok && r.Err == nil && r.Index < asked {
				panic(fmt.Sprintf("stale read %d at %s: index %d, %d was applied before", r.ID, s.ID, r.Index, asked))
			}
			delete(w.reads, r.ID)
		}
		s.Reads = s.Reads[:0]
	}
}

// recover heals everything, and requires that the cluster works again.
func (w *world) recover() error {
	w.c.Heal()
	w.lazy = false
	for _, s := range w.c.Servers {
		s.FailReads, s.FailWrites, s.HoldDisk = false, false, false
		if s.Node == nil {
			s.Start()
		}
	}
	if err := w.c.Run(20 * time.Second); err != nil {
		return err
	}
	l := w.c.Leader()
	if l == nil {
		return fmt.Errorf("no leader after 20 s without faults")
	}
	var index uint64
	var err error
	l.Do(func(n *raft.Node) { index, _, err = n.Propose(w.c.Now, []byte("last")) })
	if err != nil {
		return err
	}
	if err := w.c.Run(10 * time.Second); err != nil {
		return err
	}
	for _, m := range l.Node.Status().Config.Servers {
		if s := w.c.Server(m.ID); s.Applied() < index {
			return fmt.Errorf("%s applied only %d of %d, followers %+v", s.ID, s.Applied(), index, l.Node.Status().Followers)
		}
	}
	w.c.CheckLogMatching()
	w.checkReads()
	for _, s := range w.c.Servers {
		if g := s.Node.Status().Garbage; g > 0 {
			return fmt.Errorf("%s counted %d garbage messages", s.ID, g)
		}
	}
	return nil
}

// TestSafetyUnderFaults checks the five properties of figure 3 (see rafttest/check.go), that no read is
// stale, and that the cluster works again once the faults end.
func TestSafetyUnderFaults(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		servers := rapid.IntRange(1, 5).Draw(t, "servers")
		steps := rapid.IntRange(0, 3000).Draw(t, "steps")
		runWorld(t, seed, servers, steps)
	})
}

func runWorld(t require.TestingT, seed uint64, servers, steps int) {
	r := prng.New(seed)
	w := newWorld(seed, servers, r.IntN)
	for range steps {
		w.step()
	}
	require.NoError(t, w.recover(), "seed %d servers %d steps %d", seed, servers, steps)
}

// TestManySeeds is the same without shrinking, cheaper for each seed.
func TestManySeeds(t *testing.T) {
	t.Parallel()
	seeds := 300
	if testing.Short() {
		seeds = 30
	}
	for seed := range seeds {
		runWorld(t, uint64(seed), 3+2*(seed%2), 2000)
	}
}
