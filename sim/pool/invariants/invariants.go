// Package invariants has what every pool of gossip promises, one file each: safety, which is checked at each
// change of what a member believes, and how soon the rest comes about, as bounds computed from the timing.
package invariants

import (
	"time"

	"concord/swim"
)

// Change is a change of what one member, the viewer, believes of another.
type Change struct {
	At     time.Duration
	Viewer string
	Life   int          // of the viewer
	Alive  int          // how many members the viewer takes for alive, itself included, at least
	Old    *swim.Member // nil: was not known
	New    *swim.Member // nil: is not known any more
	Up     bool         // whether the member that is believed something of runs
}

// Name is that of whom the belief is about.
func (c *Change) Name() string {
	if c.New != nil {
		return c.New.Name
	}
	return c.Old.Name
}

func isLive(m *swim.Member) bool {
	return m != nil && (m.State == swim.StateAlive || m.State == swim.StateSuspect)
}

func isGone(m *swim.Member) bool { return m != nil && !isLive(m) }

func isDead(m *swim.Member) bool { return m != nil && m.State == swim.StateDead }
