package pebblestore

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"concord/store"
)

// ErrNoLog is returned by synced commits: there is no write-ahead log.
var ErrNoLog = errors.New("pebblestore: without a write-ahead log there are no synced commits: use Flush")

type batch struct {
	s       *Store
	b       *pebble.Batch
	indexed bool
	ended   bool
}

// NewBatch returns an empty batch, which reads its own writes.
func (s *Store) NewBatch() store.Batch {
	return &batch{s: s, b: s.db.NewIndexedBatch(), indexed: true}
}

// NewWriteBatch returns an empty batch that cannot be read from, and so costs less.
func (s *Store) NewWriteBatch() store.Batch { return &batch{s: s, b: s.db.NewBatch()} }

func (b *batch) Set(key, value []byte) error {
	if b.ended {
		return store.ErrEnded
	}
	return b.b.Set(key, value, nil)
}

func (b *batch) Delete(key []byte) error {
	if b.ended {
		return store.ErrEnded
	}
	return b.b.Delete(key, nil)
}

func (b *batch) DeleteRange(lo, hi []byte) error {
	switch {
	case b.ended:
		return store.ErrEnded
	case hi == nil:
		return store.ErrUnbounded
	}
	return b.b.DeleteRange(lo, hi, nil)
}

func (b *batch) Len() int {
	if b.ended || b.b.Empty() {
		return 0
	}
	return b.b.Len()
}

// look returns a reader of the store with the writes of the batch.
func (b *batch) look() (reader, error) {
	switch {
	case b.ended:
		return reader{}, store.ErrEnded
	case !b.indexed:
		return reader{}, store.ErrWriteOnly
	}
	return reader{b.s, b.b}, nil
}

func (b *batch) Get(key []byte) ([]byte, bool, error) {
	r, err := b.look()
	if err != nil {
		return nil, false, err
	}
	return r.Get(key)
}

func (b *batch) Scan(lo, hi []byte, fn func(key, value []byte) bool) error {
	r, err := b.look()
	if err != nil {
		return err
	}
	return r.Scan(lo, hi, fn)
}

func (b *batch) Last(lo, hi []byte) (key, value []byte, ok bool, err error) {
	r, err := b.look()
	if err != nil {
		return nil, nil, false, err
	}
	return r.Last(lo, hi)
}

func (b *batch) Commit(d store.Durability) error {
	if b.ended {
		return store.ErrEnded
	}
	if err := b.s.enter(); err != nil {
		return errors.Join(err, b.Close())
	}
	defer b.s.leave()
	if d == store.Sync {
		return errors.Join(ErrNoLog, b.Close())
	}
	if err := b.s.await(func() error { return b.b.Commit(pebble.NoSync) }); err != nil {
		b.ended = true // but not closed: Pebble may still hold it
		return fmt.Errorf("pebblestore: commit: %w", err)
	}
	return b.Close()
}

// Close ends the batch.
func (b *batch) Close() error {
	if b.ended {
		return nil
	}
	b.ended = true
	return b.b.Close()
}
