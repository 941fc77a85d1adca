package invariants

import (
	"fmt"

	"concord/raft"
)

// ElectionSafety: at most one leader can be elected in a given term (section 5.2).
type ElectionSafety struct{ leaders map[uint64]raft.ID }

// Elected tells that a server leads in a term.
func (p *ElectionSafety) Elected(id raft.ID, term uint64) error {
	if p.leaders == nil {
		p.leaders = map[uint64]raft.ID{}
	}
	if other, ok := p.leaders[term]; ok && other != id {
		return fmt.Errorf("two leaders in term %d: %s and %s", term, other, id)
	}
	p.leaders[term] = id
	return nil
}
