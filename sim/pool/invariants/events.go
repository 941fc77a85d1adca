package invariants

import (
	"fmt"
	"time"

	"concord/swim"
)

// Events: a user event is handled once by each member, over all its lives unless its disk was lost; in peace by every
// one, and those of one sender in the order in which it fired them, but for one that comes so late that others did not
// wait for it any more.
type Events struct {
	Wait    time.Duration // how long an event waits for an earlier one, at least
	handled map[handled]bool
	last    map[sender]uint64 // Lamport time, in peace
}

type handled struct{ member, event string }

type sender struct{ member, from string }

// Handled tells that a member hands an event to its handlers, in peace or not.
func (p *Events) Handled(member string, e *swim.UserEvent, peace bool) error {
	if p.handled == nil {
		p.handled, p.last = map[handled]bool{}, map[sender]uint64{}
	}
	event, from := string(e.Payload), sender{member, e.From}
	if peace {
		if last := p.last[from]; e.LTime < last && e.Age < p.Wait {
			return fmt.Errorf("%s handles event %s of Lamport time %d after one of %d of the same sender", member, event, e.LTime, last)
		}
		p.last[from] = max(p.last[from], e.LTime)
	}
	h := handled{member, event}
	if p.handled[h] {
		return fmt.Errorf("%s handles event %s twice", member, event)
	}
	p.handled[h] = true
	return nil
}

// Lost tells that a member lost its disk, and with it what it knew of events.
func (p *Events) Lost(member string) {
	for h := range p.handled {
		if h.member == member {
			delete(p.handled, h)
		}
	}
}

// Missed tells whether a member has not handled an event.
func (p *Events) Missed(member, event string) bool { return !p.handled[handled{member, event}] }
