package pebblestore

import (
	"github.com/cockroachdb/pebble/v2"

	"concord/store"
)

type snapshot struct {
	s    *Store
	p    *pebble.Snapshot
	gate gate
}

// NewSnapshot returns the store as it is now. Its Close waits for the reads in progress, so that none of them may
// call it.
func (s *Store) NewSnapshot() (store.Snapshot, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	var p *pebble.Snapshot
	if err := s.await(func() error { p = s.db.NewSnapshot(); return nil }); err != nil {
		return nil, err
	}
	snap := &snapshot{s: s, p: p, gate: newGate()}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[snap] = true
	return snap, nil
}

func (s *snapshot) Get(key []byte) ([]byte, bool, error) {
	if !s.gate.enter() {
		return nil, false, store.ErrClosed
	}
	defer s.gate.leave()
	return reader{s.s, s.p}.Get(key)
}

func (s *snapshot) Scan(lo, hi []byte, fn func(key, value []byte) bool) error {
	if !s.gate.enter() {
		return store.ErrClosed
	}
	defer s.gate.leave()
	return reader{s.s, s.p}.Scan(lo, hi, fn)
}

func (s *snapshot) Last(lo, hi []byte) (key, value []byte, ok bool, err error) {
	if !s.gate.enter() {
		return nil, nil, false, store.ErrClosed
	}
	defer s.gate.leave()
	return reader{s.s, s.p}.Last(lo, hi)
}

// Close lets go of what the snapshot holds on the disk; a store that was closed, or has failed, did so already.
func (s *snapshot) Close() error {
	if !s.gate.shut() || s.s.enter() != nil {
		return nil
	}
	defer s.s.leave()
	s.s.mu.Lock()
	delete(s.s.open, s)
	s.s.mu.Unlock()
	return s.s.await(s.p.Close)
}

// closeSnapshots closes those that are open still; nobody reads from them any more.
func (s *Store) closeSnapshots() (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for snap := range s.open {
		if e := snap.p.Close(); err == nil {
			err = e
		}
	}
	clear(s.open)
	return err
}
