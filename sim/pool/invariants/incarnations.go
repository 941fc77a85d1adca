package invariants

import "fmt"

// Incarnations: only a member itself raises its incarnation (SWIM section 4.2), so nobody ever believes in one that
// it did not have in this life or an earlier one.
type Incarnations struct{ highest map[string]uint64 }

// Has tells the incarnation that a member gives itself.
func (p *Incarnations) Has(name string, incarnation uint64) {
	if p.highest == nil {
		p.highest = map[string]uint64{}
	}
	p.highest[name] = max(p.highest[name], incarnation)
}

// Seen checks a change.
func (p *Incarnations) Seen(c *Change) error {
	if c.New != nil && c.New.Incarnation > p.highest[c.New.Name] {
		return fmt.Errorf("%s believes in incarnation %d of %s, which itself never went beyond %d",
			c.Viewer, c.New.Incarnation, c.New.Name, p.highest[c.New.Name])
	}
	return nil
}
