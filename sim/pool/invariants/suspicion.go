package invariants

import (
	"fmt"
	"math"
	"time"

	"concord/swim"
)

// Suspicion: a member is only declared dead by one that suspected it for the shortest timeout at least (SWIM
// section 4.2, Lifeguard section IV-B), and others only repeat what somebody declared.
type Suspicion struct {
	Swim     swim.Config
	began    map[suspect]start
	declared map[claim]bool
}

type suspect struct {
	viewer string
	life   int
	name   string
}

type start struct {
	at          time.Duration
	alive       int
	incarnation uint64
}

type claim struct {
	author, name, id string
	incarnation      uint64
}

// MinTimeout is the shortest suspicion timeout among n members.
func MinTimeout(cfg *swim.Config, n int) time.Duration {
	return time.Duration(float64(cfg.SuspicionMult) * max(1, math.Log10(float64(n))) * float64(cfg.ProbeInterval))
}

// MaxTimeout is the longest.
func MaxTimeout(cfg *swim.Config, n int) time.Duration {
	return MinTimeout(cfg, n) * time.Duration(cfg.SuspicionMaxMult)
}

// Seen checks a change.
func (p *Suspicion) Seen(c *Change) error {
	if p.began == nil {
		p.began, p.declared = map[suspect]start{}, map[claim]bool{}
	}
	s := suspect{c.Viewer, c.Life, c.Name()}
	began, suspected := p.began[s]
	if c.New == nil || c.New.State != swim.StateSuspect {
		delete(p.began, s)
	} else if !suspected || began.incarnation != c.New.Incarnation {
		p.began[s] = start{c.At, c.Alive, c.New.Incarnation}
	}
	if !isDead(c.New) {
		return nil
	}
	what := claim{c.New.From, c.New.Name, c.New.ID, c.New.Incarnation}
	switch {
	case p.declared[what]:
		return nil
	case c.New.From != c.Viewer:
		return fmt.Errorf("%s takes %s for dead because of %s, which never declared that of incarnation %d", c.Viewer, c.New.Name, c.New.From, c.New.Incarnation)
	case !suspected || began.incarnation != c.New.Incarnation:
		return fmt.Errorf("%s declares %s dead, which it did not suspect", c.Viewer, c.New.Name)
	}
	// The clock of a member and the simulator's are the same; a millisecond is for rounding.
	if least := MinTimeout(&p.Swim, began.alive) - time.Millisecond; c.At-began.at < least {
		return fmt.Errorf("%s declares %s dead after suspecting it for %v, less than %v", c.Viewer, c.New.Name, c.At-began.at, least)
	}
	p.declared[what] = true
	return nil
}
