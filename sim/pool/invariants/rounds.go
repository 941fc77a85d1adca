package invariants

import "fmt"

// Rounds: members are probed in rounds (SWIM section 4.3), so that between two probes of one lie at most 2n-2 of others.
// It holds while nobody comes or goes.
type Rounds struct {
	N     int
	count map[string]int            // probes of a member
	last  map[string]map[string]int // its count when it probed each other one
}

// Probed tells that a member probes another.
func (p *Rounds) Probed(by, target string) error {
	if p.count == nil {
		p.count, p.last = map[string]int{}, map[string]map[string]int{}
	}
	if p.last[by] == nil {
		p.last[by] = map[string]int{}
	}
	p.count[by]++
	before := p.last[by][target]
	p.last[by][target] = p.count[by]
	// Each of the other n-1 is probed once in a round: first in one and last in the next, at worst.
	if gap := p.count[by] - before; gap > 2*(p.N-1)-1 {
		return fmt.Errorf("%s probes %s after %d probes of others; among %d members it must be %d at most", by, target, gap-1, p.N, 2*(p.N-1)-2)
	}
	return nil
}
