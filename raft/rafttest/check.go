package rafttest

import (
	"hash/fnv"

	"concord/internal/invariant"
	"concord/raft"
)

func (st *state) apply(e *raft.Entry) {
	invariant.Check(e.Index == st.index+1, "rafttest: entry %d applied behind %d", e.Index, st.index)
	h := fnv.New64a()
	for _, v := range [...]uint64{st.hash, e.Term, e.Index, uint64(e.Type)} {
		var b [8]byte
		for i := range b {
			b[i] = byte(v >> (8 * i))
		}
		h.Write(b[:])
	}
	h.Write(e.Data)
	st.index, st.term, st.hash = e.Index, e.Term, h.Sum64()
	if e.Type == raft.EntryConfig {
		st.config, st.configIndex = *e.Config, e.Index
	}
}

// history is what the cluster has applied: [index].
type history []applied

type applied struct {
	term, hash uint64
	data       string
}

// check is State Machine Safety (figure 3): no two servers apply different entries at
// the same index.
func (h *history) check(id raft.ID, e *raft.Entry, hash uint64) {
	if e.Index == uint64(len(*h)) {
		*h = append(*h, applied{e.Term, hash, string(e.Data)})
		return
	}
	have := (*h)[e.Index]
	invariant.Check(have.term == e.Term && have.hash == hash, "State Machine Safety: %s applied %d of term %d, others one of term %d", id, e.Index, e.Term, have.term)
}

// checker checks the other properties of figure 3.
type checker struct {
	leaders map[uint64]raft.ID // of each term
}

// role is Election Safety: at most one leader is elected in a term.
func (c *checker) role(id raft.ID, r *raft.RoleChange) {
	if r.Role != raft.Leader {
		return
	}
	other, ok := c.leaders[r.Term]
	invariant.Check(!ok || other == id, "Election Safety: %s and %s lead in term %d", other, id, r.Term)
	c.leaders[r.Term] = id
}

// logs is Leader Append-Only: what a leader writes is never below what it wrote before; and
// Leader Completeness: a new leader's log holds all that was ever applied.
func (c *checker) logs(cl *Cluster, s *Server, rd *raft.Ready) {
	if rd.RoleChange == nil || rd.RoleChange.Role != raft.Leader {
		if rd.DroppedFrom != 0 {
			invariant.Check(c.leaders[s.Node.Status().Term] != s.ID, "Leader Append-Only: %s overwrites from %d", s.ID, rd.DroppedFrom)
		}
		return
	}
	st := s.Node.Status()
	invariant.Check(st.LastIndex >= uint64(len(cl.history))-1, "Leader Completeness: %s leads term %d with %d entries, %d were applied", s.ID, st.Term, st.LastIndex, len(cl.history)-1)
	for i := s.live.index + 1; i < uint64(len(cl.history)); i++ {
		term, ok := s.Node.Term(i)
		invariant.Check(!ok || term == cl.history[i].term, "Leader Completeness: %s leads term %d with entry %d of term %d, applied was one of %d", s.ID, st.Term, i, term, cl.history[i].term)
	}
}

// CheckLogMatching is Log Matching: two durable logs that agree on the term at an
// index agree on everything up to it.
func (c *Cluster) CheckLogMatching() {
	for i, a := range c.Servers {
		for _, b := range c.Servers[i+1:] {
			lo := max(a.disk.first, b.disk.first)
			hi := min(a.disk.first+uint64(len(a.disk.entries)), b.disk.first+uint64(len(b.disk.entries)))
			agree := false
			for x := hi; x > lo; x-- {
				ea, eb := &a.disk.entries[x-1-a.disk.first], &b.disk.entries[x-1-b.disk.first]
				same := ea.Term == eb.Term
				invariant.Check(same || !agree, "Log Matching: %s and %s agree behind %d, not there", a.ID, b.ID, x-1)
				invariant.Check(!same || string(ea.Data) == string(eb.Data) && ea.Type == eb.Type, "Log Matching: %s and %s have different entries %d of term %d", a.ID, b.ID, x-1, ea.Term)
				agree = agree || same
			}
		}
	}
}
