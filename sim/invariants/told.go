package invariants

import (
	"fmt"

	"concord/raft"
)

// Told: what a server tells others of itself is on its disk: a vote when it grants it, and entries when it acknowledges
// them (figure 2, "persistent state on all servers: updated on stable storage before responding to RPCs").
type Told struct{}

// Vote tells that a server grants its vote, with what its disk has.
func (Told) Vote(m *raft.Message, disk raft.HardState) error {
	if disk.Term < m.Term || disk.Term == m.Term && disk.VotedFor != m.To {
		return fmt.Errorf("%s grants %s its vote in term %d, but has term %d, vote %q on its disk", m.From, m.To, m.Term, disk.Term, disk.VotedFor)
	}
	return nil
}

// Match tells that a server acknowledges entries up to m.Match, with the last index that its disk has of its log.
func (Told) Match(m *raft.Message, last uint64) error {
	if m.Match > last {
		return fmt.Errorf("%s acknowledges entries up to %d, but has only %d on its disk", m.From, m.Match, last)
	}
	return nil
}
