package userevent

import "slices"

// Kept is how many events an agent keeps for those who list them.
const Kept = 256

// Ring keeps the last events of an agent.
type Ring struct {
	events []Event
	next   int // where the next one goes once it is full
}

// Add takes an event in, for which the oldest goes if there are too many.
func (r *Ring) Add(e Event) {
	if len(r.events) < Kept {
		r.events = append(r.events, e)
		return
	}
	r.events[r.next] = e
	r.next = (r.next + 1) % Kept
}

// List returns the events, oldest first.
func (r *Ring) List() []Event { return slices.Concat(r.events[r.next:], r.events[:r.next]) }

// Seen remembers the IDs of the last events. An event is fired twice if the server that fired it for another datacenter
// was lost before it answered.
type Seen struct {
	ids  map[string]bool
	last Ring
}

// Add remembers an event, and tells whether it is new.
func (s *Seen) Add(id string) bool {
	if s.ids[id] {
		return false
	}
	if s.ids == nil {
		s.ids = map[string]bool{}
	}
	if len(s.last.events) == Kept {
		delete(s.ids, s.last.events[s.last.next].ID)
	}
	s.ids[id] = true
	s.last.Add(Event{ID: id})
	return true
}
