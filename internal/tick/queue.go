package tick

import (
	"container/heap"
	"time"
)

// Queue orders items by deadline, in order of insertion where deadlines are equal.
type Queue[T any] struct {
	h    items[T]
	last uint64
}

// Item is a place in a Queue.
type Item[T any] struct {
	Value T
	at    time.Duration
	seq   uint64
	pos   int // in the heap; -1: taken out
}

// Len is the number of items.
func (q *Queue[T]) Len() int { return len(q.h) }

// Add puts v in with its deadline.
func (q *Queue[T]) Add(at time.Duration, v T) *Item[T] {
	q.last++
	i := &Item[T]{Value: v, at: at, seq: q.last}
	heap.Push(&q.h, i)
	return i
}

// Remove takes an item out; one that is out already, or nil, is left alone.
func (q *Queue[T]) Remove(i *Item[T]) {
	if i != nil && i.pos >= 0 {
		heap.Remove(&q.h, i.pos)
	}
}

// Next is the earliest deadline, or Never.
func (q *Queue[T]) Next() time.Duration {
	if len(q.h) == 0 {
		return Never
	}
	return q.h[0].at
}

// Due takes out the earliest item if its deadline has passed.
func (q *Queue[T]) Due(now time.Duration) (v T, ok bool) {
	if q.Next() > now || len(q.h) == 0 {
		return v, false
	}
	return heap.Pop(&q.h).(*Item[T]).Value, true
}

type items[T any] []*Item[T]

func (h items[T]) Len() int { return len(h) }
func (h items[T]) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].seq < h[j].seq
}
func (h items[T]) Swap(i, j int) { h[i], h[j] = h[j], h[i]; h[i].pos, h[j].pos = i, j }
func (h *items[T]) Push(x any) {
	i := x.(*Item[T])
	i.pos = len(*h)
	*h = append(*h, i)
}
func (h *items[T]) Pop() any {
	old := *h
	i := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	i.pos = -1
	return i
}
