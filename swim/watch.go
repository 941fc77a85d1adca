package swim

import (
	"container/heap"
	"time"

	"concord/internal/tick"
)

// watch is what is remembered of a member that is not alive only, and what it waits for: a suspect for the end of its
// suspicion, a member that is gone for the end of gossip to it and then for being forgotten.
type watch struct {
	at        time.Duration
	since     time.Duration // when the suspicion began, or when the member went
	told      uint64        // incarnation whose tags claim.Tags are
	member    *member
	index     int
	suspicion suspicion
}

// watches is a heap of all watches by deadline. Each member has at most one, so it is bounded.
type watches []*watch

func (w watches) Len() int           { return len(w) }
func (w watches) Less(i, j int) bool { return w[i].at < w[j].at }
func (w watches) Swap(i, j int) {
	w[i], w[j] = w[j], w[i]
	w[i].index, w[j].index = i, j
}

// Push is for package heap.
func (w *watches) Push(x any) {
	e := x.(*watch)
	e.index = len(*w)
	*w = append(*w, e)
}

// Pop is for package heap.
func (w *watches) Pop() any {
	old := *w
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*w = old[:len(old)-1]
	return last
}

// set lets the member's watch end at the given time.
func (w *watches) set(m *member, at time.Duration) *watch {
	if m.watch == nil {
		m.watch = &watch{at: at, member: m}
		heap.Push(w, m.watch)
		return m.watch
	}
	m.watch.at = at
	heap.Fix(w, m.watch.index)
	return m.watch
}

// clear ends the member's watch.
func (w *watches) clear(m *member) {
	if m.watch != nil {
		heap.Remove(w, m.watch.index)
		m.watch = nil
	}
}

// next returns the earliest deadline, or tick.Never.
func (w watches) next() time.Duration {
	if len(w) == 0 {
		return tick.Never
	}
	return w[0].at
}

// due returns the member whose watch is over, or nil.
func (w watches) due(now time.Duration) *member {
	if len(w) == 0 || w[0].at > now {
		return nil
	}
	return w[0].member
}

// delaySuspicions puts off the end of all suspicions.
func (w watches) delaySuspicions(by time.Duration) {
	for _, e := range w {
		if e.member.claim.State == StateSuspect {
			e.suspicion.start += by
			e.at += by
		}
	}
	heap.Init(&w)
}
