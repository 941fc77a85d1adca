package invariants

import "fmt"

// Resurrection: once all have agreed that a member is gone, nobody takes it for alive until it is started again, be it
// by a claim that travelled for long, by a full state or by one who forgot it.
type Resurrection struct{ gone map[string]bool }

// Agreed tells that all take a member for gone that does not run.
func (p *Resurrection) Agreed(name string) {
	if p.gone == nil {
		p.gone = map[string]bool{}
	}
	p.gone[name] = true
}

// Started tells that it runs again.
func (p *Resurrection) Started(name string) { delete(p.gone, name) }

// Seen checks a change.
func (p *Resurrection) Seen(c *Change) error {
	if c.New == nil || !p.gone[c.New.Name] {
		return nil
	}
	if isLive(c.New) {
		return fmt.Errorf("%s takes %s for %v, of which all had agreed that it is gone", c.Viewer, c.New.Name, c.New.State)
	}
	return nil
}
