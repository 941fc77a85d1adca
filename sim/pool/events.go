package pool

import "time"

// kind says what an event is.
type kind uint8

const (
	timer  kind = iota // a member may have something due
	arrive             // a message reaches a machine
	failed             // a machine learns that a message over a connection was not delivered
	resume             // a member that was held up goes on
	ask                // a member looks whether it knows its seeds
	call               // something that a trial planned
)

// event is something that happens at a time. There are millions of them, so it is small and has no
// pointers. Events of the same time happen in the order in which they were made.
type event struct {
	at   time.Duration
	seq  uint64
	host int32
	arg  int32 // arrive, failed: the letter; timer, resume, ask: the host's life; call: the function
	kind kind
}

func (e *event) before(o *event) bool { return e.at < o.at || e.at == o.at && e.seq < o.seq }

// queue is a heap of events in which each has four children: it is half as deep as a binary one, and the
// children share a cache line or two.
type queue []event

func (q *queue) push(e event) {
	s := append(*q, e)
	i := len(s) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if !e.before(&s[parent]) {
			break
		}
		s[i] = s[parent]
		i = parent
	}
	s[i] = e
	*q = s
}

func (q *queue) pop() event {
	s := *q
	top, last := s[0], s[len(s)-1]
	s = s[:len(s)-1]
	*q = s
	if len(s) == 0 {
		return top
	}
	i := 0
	for {
		first := 4*i + 1
		if first >= len(s) {
			break
		}
		least := first
		for c := first + 1; c < min(first+4, len(s)); c++ {
			if s[c].before(&s[least]) {
				least = c
			}
		}
		if !s[least].before(&last) {
			break
		}
		s[i] = s[least]
		i = least
	}
	s[i] = last
	return top
}
