package invariants

import (
	"fmt"

	"concord/swim"
)

// Membership: what one member believes of another only changes by a claim that outranks the earlier one: the incarnation never
// falls, and of one incarnation nobody is taken for alive again who was taken for dead (SWIM section 4.2).
type Membership struct{ views map[view]belief }

type view struct {
	viewer string // one life of a member
	name   string
}

type belief struct {
	id          string
	incarnation uint64
	state       swim.State
}

// Seen tells what a member, in one of its lives, believes of another now.
func (p *Membership) Seen(viewer string, m swim.Member) error {
	if p.views == nil {
		p.views = map[view]belief{}
	}
	v := view{viewer, m.Name}
	b := belief{m.ID, m.Incarnation, m.State}
	old, ok := p.views[v]
	p.views[v] = b
	if !ok || old.id != b.id {
		return nil
	}
	switch {
	case b.incarnation < old.incarnation:
		return fmt.Errorf("%s: the incarnation of %s falls from %d to %d", viewer, m.Name, old.incarnation, b.incarnation)
	case b.incarnation == old.incarnation && b.state < old.state:
		return fmt.Errorf("%s takes %s for %v, which it took for %v with the same incarnation %d", viewer, m.Name, b.state, old.state, b.incarnation)
	}
	return nil
}

// Forgotten tells that a member remembers nothing of another any more: it may meet it again with any incarnation.
func (p *Membership) Forgotten(viewer, name string) { delete(p.views, view{viewer, name}) }
