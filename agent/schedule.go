package agent

import (
	"cmp"
	"container/heap"
	"time"

	"concord/internal/tick"
)

// timerKind says what is to be done when a timer fires.
type timerKind uint8

const (
	timerFullSync timerKind = iota + 1 // compare everything with the catalog
	timerRetry                         // sync again after a failure
	timerGroup                         // sync again what was refused; id is the group's
	timerTTL                           // a TTL check was not updated in time
	timerOutput                        // deferred output is to be synced
	timerAlias                         // ask for the state of another node
	timerReap                          // look for services that are critical for too long
)

// timerKey names a timer: its kind and the check or group that it belongs to, if any.
type timerKey struct {
	kind  timerKind
	group group
}

type timer struct {
	key timerKey
	at  time.Duration
}

// schedule holds any number of timers. Those of one time fire in the order of their keys, so
// that runs can be repeated.
type schedule struct {
	heap  []timer
	index map[timerKey]int
}

func newSchedule() *schedule { return &schedule{index: map[timerKey]int{}} }

// set lets the timer fire at the time at, instead of whenever it was to fire.
func (s *schedule) set(key timerKey, at time.Duration) {
	if i, ok := s.index[key]; ok {
		s.heap[i].at = at
		heap.Fix(s, i)
		return
	}
	heap.Push(s, timer{key, at})
}

func (s *schedule) clear(key timerKey) {
	if i, ok := s.index[key]; ok {
		heap.Remove(s, i)
	}
}

// at returns when the timer fires, or tick.Never.
func (s *schedule) at(key timerKey) time.Duration {
	if i, ok := s.index[key]; ok {
		return s.heap[i].at
	}
	return tick.Never
}

func (s *schedule) next() time.Duration {
	if len(s.heap) == 0 {
		return tick.Never
	}
	return s.heap[0].at
}

// pop removes the next timer that is due.
func (s *schedule) pop(now time.Duration) (timerKey, bool) {
	if s.next() > now {
		return timerKey{}, false
	}
	return heap.Pop(s).(timer).key, true
}

// Len, Less, Swap, Push and Pop are for container/heap.
func (s *schedule) Len() int { return len(s.heap) }

func (s *schedule) Less(i, j int) bool {
	a, b := s.heap[i], s.heap[j]
	return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.key.kind, b.key.kind), a.key.group.compare(b.key.group)) < 0
}

func (s *schedule) Swap(i, j int) {
	s.heap[i], s.heap[j] = s.heap[j], s.heap[i]
	s.index[s.heap[i].key], s.index[s.heap[j].key] = i, j
}

func (s *schedule) Push(x any) {
	t := x.(timer)
	s.index[t.key] = len(s.heap)
	s.heap = append(s.heap, t)
}

func (s *schedule) Pop() any {
	last := s.heap[len(s.heap)-1]
	s.heap = s.heap[:len(s.heap)-1]
	delete(s.index, last.key)
	return last
}
