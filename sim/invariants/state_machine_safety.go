package invariants

import (
	"fmt"

	"concord/raft"
)

// StateMachineSafety: if a server has applied a log entry at a given index to its state machine, no other
// server will ever apply a different log entry for the same index (section 5.4.3).
type StateMachineSafety struct{ applied map[uint64]applied }

type applied struct {
	term        uint64
	fingerprint uint64
}

// Applied tells that a server applies an entry.
func (p *StateMachineSafety) Applied(id raft.ID, e *raft.Entry) error {
	if p.applied == nil {
		p.applied = map[uint64]applied{}
	}
	a := applied{e.Term, fingerprint(e)}
	if old, ok := p.applied[e.Index]; ok && old != a {
		return fmt.Errorf("%s applies another entry %d (term %d) than was applied before (term %d)", id, e.Index, e.Term, old.term)
	}
	p.applied[e.Index] = a
	return nil
}
