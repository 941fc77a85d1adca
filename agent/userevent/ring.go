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
