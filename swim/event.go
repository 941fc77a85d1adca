package swim

import (
	"errors"
	"time"
)

// UserEvent is a message that is told to every member once, as Serf's user events are.
type UserEvent struct {
	LTime    uint64 // Lamport time at which it was fired
	Name     string
	Payload  []byte
	Coalesce bool // of a burst with the same name only the last one matters to handlers
}

// ErrEvent is wrapped by what FireEvent refuses.
var ErrEvent = errors.New("swim: bad user event")

// FireEvent tells all members, this one included, of a user event. It fails with ErrEvent if the name is empty or name
// and payload are larger than Config.MaxEvent, and with ErrLeft after Leave.
func (n *Node) FireEvent(now time.Duration, name string, payload []byte, coalesce bool) error {
	return ErrEvent
}
