package invariants

import (
	"fmt"
	"time"

	"concord/swim"
)

// Reaping: who is gone is remembered for the reconnect timeout, or for the tombstone timeout if it left, and then
// forgotten.
type Reaping struct {
	Swim   swim.Config
	pruned map[string]bool
}

// Pruned tells that a member was made to leave for good: it is forgotten at once.
func (p *Reaping) Pruned(name string) {
	if p.pruned == nil {
		p.pruned = map[string]bool{}
	}
	p.pruned[name] = true
}

func (p *Reaping) keep(m *swim.Member) time.Duration {
	if m.State == swim.StateLeft {
		return p.Swim.TombstoneTimeout
	}
	return p.Swim.ReconnectTimeout
}

// Seen checks that nobody is forgotten early, and not remembered again who is to be forgotten.
func (p *Reaping) Seen(c *Change) error {
	if c.Old == nil && isGone(c.New) && c.At-c.New.Since >= p.keep(c.New) {
		return fmt.Errorf("%s learns of %s, which is %v for %v and to be forgotten", c.Viewer, c.New.Name, c.New.State, c.At-c.New.Since)
	}
	if c.New != nil || c.Old == nil || p.pruned[c.Old.Name] {
		return nil
	}
	if !isGone(c.Old) {
		return fmt.Errorf("%s forgets %s, which it took for %v", c.Viewer, c.Old.Name, c.Old.State)
	}
	if age := c.At - c.Old.Since; age < p.keep(c.Old) {
		return fmt.Errorf("%s forgets %s, which is %v, after %v instead of %v", c.Viewer, c.Old.Name, c.Old.State, age, p.keep(c.Old))
	}
	return nil
}

// Remembered checks that nobody is remembered for longer.
func (p *Reaping) Remembered(viewer string, m *swim.Member, now time.Duration) error {
	if !isGone(m) {
		return nil
	}
	if age := now - m.Since; age > p.keep(m)+p.Swim.ProbeInterval {
		return fmt.Errorf("%s still remembers %s, which is %v for %v; %v are the most", viewer, m.Name, m.State, age, p.keep(m))
	}
	return nil
}
