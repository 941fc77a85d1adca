package raft_test

import (
	"testing"
	"time"

	"concord/internal/prng"
	"concord/raft"
)

// BenchmarkCommit measures the core alone: three servers in memory, disks that are instantaneous, and
// batches of proposals taken through commit and apply on all of them.
func BenchmarkCommit(b *testing.B) {
	for _, batch := range []struct {
		name string
		size int
	}{{"batch=1", 1}, {"batch=64", 64}, {"batch=1024", 1024}} {
		b.Run(batch.name, func(b *testing.B) { benchmarkCommit(b, batch.size) })
	}
}

type loop struct {
	nodes map[raft.ID]*raft.Node
	order []*raft.Node
	queue []raft.Message
	now   time.Duration
}

func (l *loop) pump() {
	for busy := true; busy; {
		busy = false
		for _, n := range l.order {
			for n.HasReady() {
				busy = true
				rd := n.Ready()
				l.queue = append(append(l.queue, rd.Messages...), rd.AfterPersist...)
				if rd.MustPersist() {
					n.Persisted(l.now, rd.ID)
				}
				if k := len(rd.Committed); k > 0 {
					n.Applied(l.now, rd.Committed[k-1].Index)
				}
			}
		}
		for i := range l.queue {
			l.nodes[l.queue[i].To].Step(l.now, l.queue[i])
			busy = true
		}
		l.queue = l.queue[:0]
	}
}

func benchmarkCommit(b *testing.B, batch int) {
	l := &loop{nodes: map[raft.ID]*raft.Node{}}
	cfg := raft.Configuration{}
	for _, id := range []raft.ID{"a", "b", "c"} {
		cfg.Servers = append(cfg.Servers, raft.Server{ID: id, Suffrage: raft.Voter})
	}
	st, err := raft.Bootstrap(cfg)
	if err != nil {
		b.Fatal(err)
	}
	for _, s := range cfg.Servers {
		n, err := raft.New(raft.Config{ID: s.ID}, st, prng.New(1).Fork(string(s.ID)), 0)
		if err != nil {
			b.Fatal(err)
		}
		l.nodes[s.ID] = n
		l.order = append(l.order, n)
	}
	leader := l.nodes["a"]
	l.now = leader.NextDeadline()
	leader.Tick(l.now)
	l.pump()
	data := make([]byte, 256)
	b.ReportAllocs()
	b.ResetTimer()
	for left := b.N; left > 0; left -= batch {
		for range min(batch, left) {
			if _, _, err := leader.Propose(l.now, data); err != nil {
				b.Fatal(err)
			}
		}
		l.pump()
	}
	b.StopTimer()
	if st := leader.Status(); st.AppliedIndex != st.LastIndex {
		b.Fatalf("applied %d of %d", st.AppliedIndex, st.LastIndex)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
}
