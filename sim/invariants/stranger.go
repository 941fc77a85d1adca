package invariants

import (
	"fmt"

	"concord/swim"
)

// ForgedIncarnation is where the incarnations begin that only a stranger claims.
const ForgedIncarnation = 1 << 40

// Stranger: nothing that somebody without the key sends, be it made up, changed on its way, from another pool, or sent
// before, is taken in by a member of an encrypted pool.
type Stranger struct{}

// Taken tells how many messages a member had taken in before and after it got one from the stranger.
func (Stranger) Taken(member, what string, before, after uint64) error {
	if after != before {
		return fmt.Errorf("%s took in %s", member, what)
	}
	return nil
}

// Seen tells what somebody believes of a member.
func (Stranger) Seen(viewer string, m swim.Member) error {
	if m.Incarnation >= ForgedIncarnation {
		return fmt.Errorf("%s believes what a stranger claimed of %s: %v with incarnation %d", viewer, m.Name, m.State, m.Incarnation)
	}
	return nil
}
