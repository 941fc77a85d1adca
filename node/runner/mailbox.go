package runner

import "sync"

// mailbox is a queue that is emptied whole. Put blocks while it is full, which is how a busy node slows its
// senders down.
type mailbox[T any] struct {
	mu     sync.Mutex
	space  sync.Cond
	items  []T
	spare  []T
	limit  int
	closed bool
	ready  chan struct{} // holds a token while there are items
}

func newMailbox[T any](limit int) *mailbox[T] {
	m := &mailbox[T]{limit: limit, ready: make(chan struct{}, 1)}
	m.space.L = &m.mu
	return m
}

// put adds items, waiting for space if there is none; it is false once the mailbox is closed.
func (m *mailbox[T]) put(items ...T) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.items) >= m.limit && !m.closed {
		m.space.Wait()
	}
	return m.add(items)
}

// offer adds items if there is space.
func (m *mailbox[T]) offer(items ...T) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.items) < m.limit && m.add(items)
}

// force adds items whether there is space or not: completions, whose number is bounded by what
// was asked for.
func (m *mailbox[T]) force(items ...T) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.add(items)
}

func (m *mailbox[T]) add(items []T) bool {
	if m.closed {
		return false
	}
	m.items = append(m.items, items...)
	select {
	case m.ready <- struct{}{}:
	default:
	}
	return true
}

// take returns all items, in order. They are valid until the next call.
func (m *mailbox[T]) take() []T {
	m.mu.Lock()
	defer m.mu.Unlock()
	items := m.items
	clear(m.spare)
	m.items, m.spare = m.spare[:0], items
	m.space.Broadcast()
	return items
}

// close lets every put return false and wakes the reader for the last time.
func (m *mailbox[T]) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.space.Broadcast()
	select {
	case m.ready <- struct{}{}:
	default:
	}
}

func (m *mailbox[T]) isClosed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.closed
}
