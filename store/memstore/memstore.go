// Package memstore is the in-memory engine of package store: a copy-on-write tree with a current and a
// synced image, so that a crash can be made at any time.
package memstore

import (
	"sync"

	"concord/store"
)

// Disk is what survives a crash: what was committed with store.Sync, or flushed. To crash a store, leave it as it
// is, or close it, and hand its disk to Open again.
type Disk struct {
	mu     sync.Mutex
	synced image
}

// NewDisk returns an empty disk.
func NewDisk() *Disk { return &Disk{synced: newImage()} }

// Store is an open store.
type Store struct {
	mu      sync.Mutex
	disk    *Disk
	cur     image
	commits uint64  // counts the changes of cur
	behind  []write // changes of cur that are not on the disk
	closed  bool
}

// Open opens what is durable on the disk.
func Open(d *Disk) *Store {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &Store{disk: d, cur: d.synced.copy()}
}

// Get returns a copy of the value of key.
func (s *Store) Get(key []byte) ([]byte, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, false, store.ErrClosed
	}
	v, ok := s.cur.get(key)
	return v, ok, nil
}

// Scan calls fn for each key in [lo, hi) in order. It goes over the store as it was at the beginning.
func (s *Store) Scan(lo, hi []byte, fn func(key, value []byte) bool) error {
	snap, err := s.snapshot()
	if err != nil {
		return err
	}
	snap.scan(lo, hi, fn)
	return nil
}

// Last returns copies of the greatest key in [lo, hi) and its value.
func (s *Store) Last(lo, hi []byte) (key, value []byte, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil, false, store.ErrClosed
	}
	key, value, ok = s.cur.last(lo, hi)
	return key, value, ok, nil
}

func (s *Store) snapshot() (image, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return image{}, store.ErrClosed
	}
	return s.cur.copy(), nil
}

// snapshot is never changed, and so needs no lock.
type snapshot struct{ image }

func (s snapshot) Get(key []byte) ([]byte, bool, error) { v, ok := s.get(key); return v, ok, nil }

func (s snapshot) Scan(lo, hi []byte, fn func(key, value []byte) bool) error {
	s.scan(lo, hi, fn)
	return nil
}

func (s snapshot) Last(lo, hi []byte) (key, value []byte, ok bool, err error) {
	key, value, ok = s.last(lo, hi)
	return key, value, ok, nil
}

func (s snapshot) Close() error { return nil }

// NewSnapshot returns the store as it is now.
func (s *Store) NewSnapshot() (store.Snapshot, error) {
	m, err := s.snapshot()
	if err != nil {
		return nil, err
	}
	return snapshot{m}, nil
}

// Flush makes durable what was committed.
func (s *Store) Flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return store.ErrClosed
	}
	s.sync()
	return nil
}

// sync repeats on the disk what was written since the last time: a copy of the tree would make the next writes copy what
// they touch.
func (s *Store) sync() {
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	for _, w := range s.behind {
		s.disk.synced.apply(w)
	}
	clear(s.behind)
	s.behind = s.behind[:0]
}

// Size is the number of bytes of all keys and values.
func (s *Store) Size() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return uint64(s.cur.bytes)
}

// Close ends the store like a crash: what is not durable is lost.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return store.ErrClosed
	}
	s.closed = true
	return nil
}
