package invariants

import (
	"fmt"
	"time"
)

// Accuracy: nobody who runs is taken for dead without a fault (SWIM section 1: "strong accuracy" is not to be had in
// an asynchronous network; it is in one without faults). Under faults false deaths are counted.
type Accuracy struct {
	// CalmSince is when the last fault ended and was got over; Never while there are faults.
	CalmSince time.Duration
	// Mistakes counts members that ran and were taken for dead, once for each viewer.
	Mistakes int
}

// Seen checks a change.
func (p *Accuracy) Seen(c *Change) error {
	if !isDead(c.New) || !isLive(c.Old) || !c.Up {
		return nil
	}
	p.Mistakes++
	if c.At >= p.CalmSince {
		return fmt.Errorf("%s takes %s for dead, which is well, as is the network since %v", c.Viewer, c.New.Name, p.CalmSince)
	}
	return nil
}
