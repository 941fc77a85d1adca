package pebblestore

import (
	"bytes"
	"errors"
	"io"

	"github.com/cockroachdb/pebble/v2"
)

// reader is what a DB, a Snapshot and a Batch have in common.
type reader struct {
	s *Store
	r pebble.Reader
}

// Get returns a copy of the value of key.
func (r reader) Get(key []byte) ([]byte, bool, error) {
	if err := r.s.enter(); err != nil {
		return nil, false, err
	}
	defer r.s.leave()
	v, closer, err := r.r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	v = bytes.Clone(v)
	if v == nil {
		v = []byte{}
	}
	return v, true, r.release(closer)
}

// release closes an iterator. It may be the last user of a memtable, whose end takes a lock that a failure of the
// store never gives back.
func (r reader) release(c io.Closer) error {
	if err := r.s.failure(); err != nil {
		return err
	}
	return c.Close()
}

// Scan calls fn for each key in [lo, hi) in order.
func (r reader) Scan(lo, hi []byte, fn func(key, value []byte) bool) error {
	if err := r.s.enter(); err != nil {
		return err
	}
	defer r.s.leave()
	it, err := r.r.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	if err != nil {
		return err
	}
	for ok := it.First(); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return errors.Join(err, r.release(it))
		}
		if !fn(it.Key(), v) {
			break
		}
	}
	return errors.Join(it.Error(), r.release(it))
}

// Last returns copies of the greatest key in [lo, hi) and its value.
func (r reader) Last(lo, hi []byte) (key, value []byte, ok bool, err error) {
	if err := r.s.enter(); err != nil {
		return nil, nil, false, err
	}
	defer r.s.leave()
	it, err := r.r.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	if err != nil {
		return nil, nil, false, err
	}
	if ok = it.Last(); ok {
		if value, err = it.ValueAndErr(); err == nil {
			key, value = bytes.Clone(it.Key()), bytes.Clone(value)
		}
	}
	return key, value, ok, errors.Join(err, it.Error(), r.release(it))
}

// Get returns a copy of the value of key.
func (s *Store) Get(key []byte) ([]byte, bool, error) { return reader{s, s.db}.Get(key) }

// Scan calls fn for each key in [lo, hi) in order.
func (s *Store) Scan(lo, hi []byte, fn func(key, value []byte) bool) error {
	return reader{s, s.db}.Scan(lo, hi, fn)
}

// Last returns copies of the greatest key in [lo, hi) and its value.
func (s *Store) Last(lo, hi []byte) (key, value []byte, ok bool, err error) {
	return reader{s, s.db}.Last(lo, hi)
}
