package sim

import (
	"concord/node"
	"concord/raft"
)

// mirror is what a log contains: its terms by index.
type mirror struct {
	first uint64 // index of terms[0]
	terms []uint64
	prev  uint64 // term before first
}

func mirrorOf(found node.Disk) mirror {
	m := mirror{first: found.Raft.Applied + 1, prev: found.Raft.AppliedTerm}
	for _, e := range found.Raft.Entries {
		m.terms = append(m.terms, e.Term)
	}
	return m
}

func (m *mirror) clone() mirror {
	return mirror{first: m.first, prev: m.prev, terms: append([]uint64(nil), m.terms...)}
}

func (m *mirror) term(index uint64) (uint64, bool) {
	switch {
	case index+1 == m.first:
		return m.prev, true
	case index < m.first || index >= m.first+uint64(len(m.terms)):
		return 0, false
	}
	return m.terms[index-m.first], true
}

// has tells whether the log contains the committed entry at index, of the given term. What lies before its beginning
// is in the state.
func (m *mirror) has(index, term uint64) bool {
	if index+1 < m.first {
		return true
	}
	t, ok := m.term(index)
	return ok && t == term
}

func (m *mirror) last() uint64 { return m.first + uint64(len(m.terms)) - 1 }

func (m *mirror) write(entries []raft.Entry) {
	if from := entries[0].Index; from < m.first {
		m.first, m.terms = from, nil
	} else {
		m.terms = m.terms[:min(from-m.first, uint64(len(m.terms)))]
	}
	for _, e := range entries {
		m.terms = append(m.terms, e.Term)
	}
}

func (m *mirror) take(t node.PersistTask) {
	if len(t.Entries) > 0 {
		m.write(t.Entries)
	}
	m.trim(t)
}

// trim follows a log that was replaced by a snapshot.
func (m *mirror) trim(t node.PersistTask) {
	if t.Reset != nil {
		*m = mirror{first: t.Reset.Index + 1, prev: t.Reset.Term}
	}
}
