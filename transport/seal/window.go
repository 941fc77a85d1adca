package seal

import "container/list"

// windowSize is how many counters behind the highest one are told apart. A sender counts all of its datagrams
// together, whomever they go to: at 100 a second this is two and a half seconds of reordering.
const windowSize = 256

// window remembers which counters of a session were seen: the sliding window of RFC 4303, section 3.4.3.
type window struct {
	highest uint32
	seen    [windowSize / 64]uint64 // a ring of bits, by counter modulo windowSize
}

// fresh tells whether a counter was not seen before, as far as can be told: one that has left the window counts as seen.
func (w *window) fresh(c uint32) bool {
	if c > w.highest {
		return true
	}
	return w.highest-c < windowSize && w.seen[c%windowSize/64]&(1<<(c%64)) == 0
}

// mark remembers a fresh counter.
func (w *window) mark(c uint32) {
	if c > w.highest {
		for i := range min(c-w.highest, windowSize) {
			gone := c - i
			w.seen[gone%windowSize/64] &^= 1 << (gone % 64)
		}
		w.highest = c
	}
	w.seen[c%windowSize/64] |= 1 << (c % 64)
}

// sessions are the windows of the senders heard, bounded: the one that was silent for longest is forgotten first.
type sessions struct {
	limit int
	byID  map[uint64]*list.Element
	order *list.List // of *session, the latest first
}

type session struct {
	id     uint64
	window window
}

func newSessions(limit int) sessions {
	return sessions{limit: limit, byID: map[uint64]*list.Element{}, order: list.New()}
}

// replayed tells whether the message was seen before.
func (s *sessions) replayed(id uint64, counter uint32) bool {
	e := s.byID[id]
	return e != nil && !e.Value.(*session).window.fresh(counter)
}

// accept remembers a message that was found genuine and fresh.
func (s *sessions) accept(id uint64, counter uint32) {
	e := s.byID[id]
	if e == nil {
		if len(s.byID) >= s.limit {
			last := s.order.Back()
			delete(s.byID, last.Value.(*session).id)
			s.order.Remove(last)
		}
		e = s.order.PushFront(&session{id: id})
		s.byID[id] = e
	}
	s.order.MoveToFront(e)
	e.Value.(*session).window.mark(counter)
}
