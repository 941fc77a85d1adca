package sim

import (
	"slices"

	"concord/node"
	"concord/raft"
)

// mirror is what a log contains: its terms by index.
type mirror struct {
	first uint64 // index of terms[0]
	terms []uint64
	prev  uint64 // term before first
	// configs are the indexes of the configurations in it, the one at its beginning first.
	configs []uint64
}

func mirrorOf(found node.Disk) mirror {
	m := mirror{first: found.Raft.Applied + 1, prev: found.Raft.AppliedTerm, configs: []uint64{found.Raft.ConfigIndex}}
	m.add(found.Raft.Entries)
	return m
}

func (m *mirror) clone() mirror {
	return mirror{first: m.first, prev: m.prev, terms: slices.Clone(m.terms), configs: slices.Clone(m.configs)}
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
	m.configs = slices.DeleteFunc(m.configs, func(index uint64) bool { return index >= entries[0].Index })
	m.add(entries)
}

func (m *mirror) add(entries []raft.Entry) {
	for i := range entries {
		m.terms = append(m.terms, entries[i].Term)
		if entries[i].Type == raft.EntryConfig {
			m.configs = append(m.configs, entries[i].Index)
		}
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
		*m = mirror{first: t.Reset.Index + 1, prev: t.Reset.Term, configs: []uint64{t.Reset.ConfigIndex}}
	}
}

// onDisk is up to where the log that the node believes in is on the disk.
func (d *disk) onDisk() uint64 {
	for index := min(d.issued.last(), d.synced.last()); ; index-- {
		a, known := d.issued.term(index)
		b, also := d.synced.term(index)
		if !known || !also || a == b {
			return index
		}
	}
}

// lastConfig is the index of the newest configuration in the log, 0 if there is none.
func (d *disk) lastConfig() uint64 {
	if n := len(d.issued.configs); n > 0 {
		return d.issued.configs[n-1]
	}
	return 0
}
