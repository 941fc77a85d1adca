package invariants

import "fmt"

// Events: a user event is delivered to each agent at most once, whatever restarts it goes through, and only if somebody
// fired it.
type Events struct {
	fired     map[string]bool
	delivered map[string]map[string]bool // by event and agent
}

// Fired tells that an event was fired.
func (p *Events) Fired(id string) {
	if p.fired == nil {
		p.fired, p.delivered = map[string]bool{}, map[string]map[string]bool{}
	}
	p.fired[id], p.delivered[id] = true, map[string]bool{}
}

// Delivered tells that an agent got an event.
func (p *Events) Delivered(id, agent string) error {
	switch {
	case !p.fired[id]:
		return fmt.Errorf("%s got event %s, which nobody fired", agent, id)
	case p.delivered[id][agent]:
		return fmt.Errorf("%s got event %s twice", agent, id)
	}
	p.delivered[id][agent] = true
	return nil
}

// Reached tells whether an agent got an event.
func (p *Events) Reached(id, agent string) bool { return p.delivered[id][agent] }
