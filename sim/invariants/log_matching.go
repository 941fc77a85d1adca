package invariants

import (
	"fmt"

	"concord/raft"
)

// LogMatching: if two logs contain an entry with the same index and term, then the logs are identical in
// all entries up through the given index (section 5.3). It is enough that the same index and
// term always means the same entry behind the same entry.
type LogMatching struct{ seen map[slot]matched }

type matched struct {
	prevTerm    uint64
	fingerprint uint64
}

// Written tells that a server writes an entry to its log behind an entry of prevTerm.
func (p *LogMatching) Written(id raft.ID, prevTerm uint64, e *raft.Entry) error {
	if p.seen == nil {
		p.seen = map[slot]matched{}
	}
	m := matched{prevTerm, fingerprint(e)}
	at := slot{e.Index, e.Term}
	if old, ok := p.seen[at]; ok && old != m {
		return fmt.Errorf("%s writes another entry %d of term %d than was written before", id, e.Index, e.Term)
	}
	p.seen[at] = m
	return nil
}
