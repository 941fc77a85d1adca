package invariants

import (
	"fmt"

	"concord/raft"
)

// LeaderAppendOnly: a leader never overwrites or deletes entries in its log; it only appends new
// entries (section 5.3).
type LeaderAppendOnly struct{ last map[raft.ID]slot }

// Written tells that a server writes entries from first to last while it leads in a term, or, with term 0,
// while it does not.
func (p *LeaderAppendOnly) Written(id raft.ID, term, first, last uint64) error {
	if p.last == nil {
		p.last = map[raft.ID]slot{}
	}
	if term == 0 {
		delete(p.last, id)
		return nil
	}
	if was, ok := p.last[id]; ok && was.term == term && first <= was.index {
		return fmt.Errorf("%s leads in term %d and overwrites entry %d of its log, which ends at %d", id, term, first, was.index)
	}
	p.last[id] = slot{last, term}
	return nil
}
