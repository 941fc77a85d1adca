package invariants

import "fmt"

// Incarnations: only a member itself raises its incarnation (SWIM section 4.2), so nobody ever believes in one that
// it did not have in this life or an earlier one. Each life begins above the one before, unless its disk was lost, so that
// it is believed at once.
type Incarnations struct{ owners map[string]*owner }

type owner struct {
	highest, current uint64
	life             int
	lost             bool // its disk, since the life before
}

func (p *Incarnations) of(name string) *owner {
	if p.owners == nil {
		p.owners = map[string]*owner{}
	}
	if p.owners[name] == nil {
		p.owners[name] = &owner{}
	}
	return p.owners[name]
}

// Lost tells that a member lost its disk.
func (p *Incarnations) Lost(name string) { p.of(name).lost = true }

// Has tells the incarnation that a member gives itself.
func (p *Incarnations) Has(name string, life int, incarnation uint64) error {
	o := p.of(name)
	before, born := o.current, o.life != life
	o.highest, o.current = max(o.highest, incarnation), incarnation
	lost := o.lost && born
	if born {
		o.life, o.lost = life, false
	}
	if incarnation < before && !lost || born && !lost && incarnation == before {
		return fmt.Errorf("%s has incarnation %d in its life %d, after %d", name, incarnation, life, before)
	}
	return nil
}

// Seen checks a change.
func (p *Incarnations) Seen(c *Change) error {
	if c.New == nil {
		return nil
	}
	if highest := p.of(c.New.Name).highest; c.New.Incarnation > highest {
		return fmt.Errorf("%s believes in incarnation %d of %s, which itself never went beyond %d", c.Viewer, c.New.Incarnation, c.New.Name, highest)
	}
	return nil
}
