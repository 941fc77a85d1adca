// Package memstore is the in-memory engine of package store: a copy-on-write tree with a synced and an unsynced
// image, so that a crash can be made at any time.
package memstore

import (
	"bytes"
	"strings"
	"sync"

	"github.com/tidwall/btree"

	"concord/store"
)

type tree = btree.Map[string, []byte]

// Disk is what survives the process: hand the same one to Open again after a crash.
type Disk struct {
	mu     sync.Mutex
	synced *tree
}

// NewDisk returns an empty disk.
func NewDisk() *Disk { return &Disk{synced: new(tree)} }

// Store is an open store.
type Store struct {
	mu     sync.RWMutex
	disk   *Disk
	cur    *tree
	bytes  int
	closed bool
}

// Open opens what is durable on the disk.
func Open(d *Disk) *Store {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &Store{disk: d, cur: d.synced.Copy()}
}

func get(t *tree, key []byte) ([]byte, bool) {
	v, ok := t.Get(string(key))
	return bytes.Clone(v), ok
}

func scan(t *tree, lo, hi []byte, fn func(k, v []byte) bool) {
	t.Ascend(string(lo), func(k string, v []byte) bool {
		if hi != nil && strings.Compare(k, string(hi)) >= 0 {
			return false
		}
		return fn([]byte(k), v)
	})
}

func last(t *tree, lo, hi []byte) (key, value []byte, ok bool) {
	found := func(k string, v []byte) bool {
		if hi != nil && k >= string(hi) {
			return true
		}
		if k >= string(lo) {
			key, value, ok = []byte(k), bytes.Clone(v), true
		}
		return false
	}
	if hi == nil {
		t.Reverse(found)
	} else {
		t.Descend(string(hi), found)
	}
	return
}

func (s *Store) image() (*tree, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, store.ErrClosed
	}
	return s.cur.Copy(), nil
}

type view struct{ t *tree }

func (v view) Get(key []byte) ([]byte, bool, error) { b, ok := get(v.t, key); return b, ok, nil }
func (v view) Scan(lo, hi []byte, fn func(k, v []byte) bool) error {
	scan(v.t, lo, hi, fn)
	return nil
}
func (v view) Last(lo, hi []byte) (k, val []byte, ok bool, err error) {
	k, val, ok = last(v.t, lo, hi)
	return
}
func (v view) Close() error { return nil }

func (s *Store) Get(key []byte) ([]byte, bool, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, false, store.ErrClosed
	}
	v, ok := get(s.cur, key)
	return v, ok, nil
}
func (s *Store) Scan(lo, hi []byte, fn func(k, v []byte) bool) error {
	t, err := s.image()
	if err != nil {
		return err
	}
	scan(t, lo, hi, fn)
	return nil
}
func (s *Store) Last(lo, hi []byte) ([]byte, []byte, bool, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, nil, false, store.ErrClosed
	}
	k, v, ok := last(s.cur, lo, hi)
	return k, v, ok, nil
}
func (s *Store) NewSnapshot() (store.Snapshot, error) {
	t, err := s.image()
	if err != nil {
		return nil, err
	}
	return view{t}, nil
}

type batch struct {
	view
	s    *Store
	n    int
	done bool
}

func (s *Store) NewBatch() store.Batch {
	t, err := s.image()
	if err != nil {
		t = new(tree)
	}
	return &batch{view: view{t}, s: s}
}

// NewWriteBatch returns an empty batch; here it is like any other.
func (s *Store) NewWriteBatch() store.Batch { return s.NewBatch() }

func (b *batch) Set(k, v []byte) error {
	b.t.Set(string(k), bytes.Clone(v))
	b.n += len(k) + len(v)
	return nil
}
func (b *batch) Delete(k []byte) error { b.t.Delete(string(k)); b.n += len(k); return nil }
func (b *batch) DeleteRange(lo, hi []byte) error {
	var ks []string
	scan(b.t, lo, hi, func(k, _ []byte) bool { ks = append(ks, string(k)); return true })
	for _, k := range ks {
		b.t.Delete(k)
	}
	return nil
}
func (b *batch) Len() int { return b.n }
func (b *batch) Commit(d store.Durability) error {
	if b.done {
		return nil
	}
	b.done = true
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	if b.s.closed {
		return store.ErrClosed
	}
	b.s.cur = b.t
	if d == store.Sync {
		b.s.sync()
	}
	return nil
}
func (s *Store) sync() {
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	s.disk.synced = s.cur.Copy()
}
func (b *batch) Close() error { b.done = true; return nil }
func (s *Store) Flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return store.ErrClosed
	}
	s.sync()
	return nil
}
func (s *Store) Size() uint64 { return 0 }
func (s *Store) Close() error { s.mu.Lock(); defer s.mu.Unlock(); s.closed = true; return nil }
