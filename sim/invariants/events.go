package invariants

import (
	"fmt"
	"time"
)

// Events: a user event is delivered to each agent at most once, only if somebody fired it, and not to agents that began
// after it was fired. An agent that ends before it has kept the time up to which events came, and begins again, knows those
// of before only by their age.
type Events struct {
	fired     map[string]time.Duration
	delivered map[string]map[string]time.Duration // by event and agent: when the life began that got it
}

// eventSlack is by how much events may be older than they seem to who hears of them: the time on the network, or before a machine
// that is paused, is not counted, and clocks jump.
const eventSlack = 8 * time.Second

// Fired tells that an event was fired.
func (p *Events) Fired(id string, now time.Duration) {
	if p.fired == nil {
		p.fired, p.delivered = map[string]time.Duration{}, map[string]map[string]time.Duration{}
	}
	p.fired[id], p.delivered[id] = now, map[string]time.Duration{}
}

// Delivered tells that an agent got an event, which has run since born.
func (p *Events) Delivered(id, agent string, born time.Duration) error {
	fired, known := p.fired[id]
	life, again := p.delivered[id][agent]
	switch {
	case !known:
		return fmt.Errorf("%s got event %s, which nobody fired", agent, id)
	case again && (life == born || fired >= born):
		return fmt.Errorf("%s got event %s twice", agent, id)
	case fired+eventSlack < born:
		return fmt.Errorf("%s got event %s, fired %v before it began", agent, id, born-fired)
	}
	p.delivered[id][agent] = born
	return nil
}

// Reached tells whether an agent got an event.
func (p *Events) Reached(id, agent string) bool {
	_, reached := p.delivered[id][agent]
	return reached
}
