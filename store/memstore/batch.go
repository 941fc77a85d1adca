package memstore

import (
	"bytes"

	"concord/store"
)

// batch keeps its writes in order, so that batches that are open at the same time don't undo one another's. One that
// is read from also keeps the image with them.
type batch struct {
	s         *Store
	writes    []write
	bytes     int
	writeOnly bool
	ended     bool

	view image  // no keys: not made yet
	base uint64 // Store.commits that view was made at
}

// NewBatch returns an empty batch, which reads its own writes.
func (s *Store) NewBatch() store.Batch { return &batch{s: s} }

// NewWriteBatch returns an empty batch that cannot be read from.
func (s *Store) NewWriteBatch() store.Batch { return &batch{s: s, writeOnly: true} }

func (b *batch) add(w write) error {
	if b.ended {
		return store.ErrEnded
	}
	b.writes = append(b.writes, w)
	b.bytes += len(w.key) + len(w.value) + len(w.hi)
	if b.view.keys != nil {
		b.view.apply(w)
	}
	return nil
}

func (b *batch) Set(key, value []byte) error {
	return b.add(write{kind: set, key: string(key), value: bytes.Clone(value)})
}

func (b *batch) Delete(key []byte) error { return b.add(write{kind: remove, key: string(key)}) }

func (b *batch) DeleteRange(lo, hi []byte) error {
	if hi == nil {
		return store.ErrUnbounded
	}
	return b.add(write{kind: removeRange, key: string(lo), hi: string(hi)})
}

func (b *batch) Len() int { return b.bytes }

// look returns the store's contents with the writes of the batch.
func (b *batch) look() (image, error) {
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	switch {
	case b.ended:
		return image{}, store.ErrEnded
	case b.writeOnly:
		return image{}, store.ErrWriteOnly
	case b.s.closed:
		return image{}, store.ErrClosed
	}
	if b.view.keys == nil || b.base != b.s.commits {
		b.view, b.base = b.s.cur.copy(), b.s.commits
		for _, w := range b.writes {
			b.view.apply(w)
		}
	}
	return b.view, nil
}

func (b *batch) Get(key []byte) ([]byte, bool, error) {
	if v, ok, found := b.quick(key); found {
		return v, ok, nil
	}
	m, err := b.look()
	if err != nil {
		return nil, false, err
	}
	v, ok := m.get(key)
	return v, ok, nil
}

// maxQuick is up to how many writes are looked through one by one.
const maxQuick = 64

// quick reads a key without an image, which would make the next writes copy what they touch.
func (b *batch) quick(key []byte) (value []byte, ok, found bool) {
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	if b.ended || b.writeOnly || b.s.closed || b.view.keys != nil || len(b.writes) > maxQuick {
		return nil, false, false // for look to say
	}
	for i := len(b.writes) - 1; i >= 0; i-- {
		w := &b.writes[i]
		switch {
		case w.kind == removeRange && w.key <= string(key) && string(key) < w.hi, w.kind == remove && w.key == string(key):
			return nil, false, true
		case w.kind == set && w.key == string(key):
			return bytes.Clone(w.value), true, true
		}
	}
	value, ok = b.s.cur.get(key)
	return value, ok, true
}

func (b *batch) Scan(lo, hi []byte, fn func(key, value []byte) bool) error {
	m, err := b.look()
	if err == nil {
		m.scan(lo, hi, fn)
	}
	return err
}

func (b *batch) Last(lo, hi []byte) (key, value []byte, ok bool, err error) {
	m, err := b.look()
	if err != nil {
		return nil, nil, false, err
	}
	key, value, ok = m.last(lo, hi)
	return key, value, ok, nil
}

func (b *batch) Commit(d store.Durability) error {
	s := b.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.ended {
		return store.ErrEnded
	}
	b.ended = true
	if s.closed {
		return store.ErrClosed
	}
	if b.view.keys != nil && b.base == s.commits {
		s.cur = b.view
	} else {
		for _, w := range b.writes {
			s.cur.apply(w)
		}
	}
	s.commits++
	s.behind = append(s.behind, b.writes...)
	if d == store.Sync {
		s.sync()
	}
	return nil
}

func (b *batch) Close() error {
	b.ended = true
	return nil
}
