package swim

// maxLTime is the highest Lamport time that is believed: the clocks of the pool must have room to go on.
const maxLTime = 1 << 62

// lamport is a Lamport clock (Lamport, 1978): the time of the next event, later than that of all events heard of.
type lamport uint64

// next returns the time for an event of this member's own.
func (c *lamport) next() uint64 {
	t := uint64(*c)
	*c++
	return t
}

// maxJump bounds how far a clock is moved at once: who tells an absurd time must not use up the times that there are.
const maxJump = 1 << 32

// witness moves the clock past a time heard of, and tells whether the time can be believed.
func (c *lamport) witness(t uint64) bool {
	if t >= maxLTime || t > uint64(*c)+maxJump {
		return false
	}
	*c = max(*c, lamport(t+1))
	return true
}

// history remembers what came of late, by Lamport time, to tell what was there before. What is older than
// the floor counts as known. The floor follows the times at a distance, and rises also if too much is remembered.
type history[T any] struct {
	span  uint64 // how far the floor is behind the latest time
	floor uint64
	slots map[uint64][]T
	total int
}

// crowd bounds how much is remembered: so many per Lamport time on the average.
const crowd = 4

func newHistory[T any](span int, floor uint64) history[T] {
	return history[T]{span: uint64(span), floor: floor}
}

// at returns what is remembered of a Lamport time.
func (r *history[T]) at(t uint64) []T { return r.slots[t] }

// add remembers v, which must not be older than the floor.
func (r *history[T]) add(t uint64, v T) {
	if r.slots == nil {
		r.slots = make(map[uint64][]T)
	}
	r.slots[t] = append(r.slots[t], v)
	r.total++
	for uint64(r.total) > crowd*r.span {
		oldest := t
		for at := range r.slots {
			oldest = min(oldest, at)
		}
		r.raise(oldest + 1)
	}
}

// follow moves the floor up to its distance from the time of something that came.
func (r *history[T]) follow(t uint64) {
	if t >= r.span {
		r.raise(t + 1 - r.span)
	}
}

// raise moves the floor up and forgets what is below.
func (r *history[T]) raise(floor uint64) {
	if floor <= r.floor {
		return
	}
	if floor-r.floor > uint64(len(r.slots)) {
		for t := range r.slots {
			if t < floor {
				r.drop(t)
			}
		}
	} else {
		for t := r.floor; t < floor; t++ {
			r.drop(t)
		}
	}
	r.floor = floor
}

func (r *history[T]) drop(t uint64) {
	r.total -= len(r.slots[t])
	delete(r.slots, t)
}
