// Package pebblestore is the engine of package store for disks, over Pebble
// (https://github.com/cockroachdb/pebble).
package pebblestore

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"concord/store"
)

// ErrLocked says that another process has the directory open.
var ErrLocked = errors.New("pebblestore: the directory is in use by another process")

// ErrFull says that the disk is full.
var ErrFull = errors.New("pebblestore: the disk is full: free some space and start again")

// Options say how a store is opened.
type Options struct {
	// DisableWAL keeps no write-ahead log: a crash falls back to the last flush, always to what
	// the store was at the end of one commit. Sync commits are refused.
	DisableWAL bool
	// FS is where the store lives; nil: the real disk.
	FS vfs.FS
	// MemTableSize is how many bytes are collected before they are flushed; default 16 MiB.
	MemTableSize uint64
	// CacheSize is how many bytes of blocks are cached, the memtables included; default 64 MiB, used as needed.
	CacheSize int64
	// OnFatal is told, once, when the disk fails in a way that the store cannot go on from.
	OnFatal func(error)
}

// Store is an open store.
type Store struct {
	db     *pebble.DB
	lock   *pebble.Lock
	wal    bool
	failed atomic.Pointer[error]
	closed atomic.Bool
	fatal  func(error)
}

// Open opens the store in dir, which is made if it does not exist.
func Open(dir string, o Options) (*Store, error) {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.MemTableSize == 0 {
		o.MemTableSize = 16 << 20
	}
	if o.CacheSize == 0 {
		o.CacheSize = 64 << 20
	}
	lock, err := pebble.LockDirectory(dir, o.FS)
	if err != nil {
		if mkErr := o.FS.MkdirAll(dir, 0o755); mkErr != nil {
			return nil, fmt.Errorf("pebblestore: make %s: %w", dir, mkErr)
		}
		if lock, err = pebble.LockDirectory(dir, o.FS); err != nil {
			return nil, fmt.Errorf("%w: %s (%w)", ErrLocked, dir, err)
		}
	}
	s := &Store{wal: !o.DisableWAL, fatal: o.OnFatal, lock: lock}
	cache := pebble.NewCache(o.CacheSize)
	defer cache.Unref()
	s.db, err = pebble.Open(dir, &pebble.Options{
		Lock: lock, FS: o.FS, Cache: cache, DisableWAL: o.DisableWAL, MemTableSize: o.MemTableSize,
		FormatMajorVersion: pebble.FormatNewest, MemTableStopWritesThreshold: 4, L0CompactionThreshold: 4,
		Logger: (*logger)(s),
		// Pebble goes on trying to flush to a disk that fails, and tells nobody else.
		EventListener: &pebble.EventListener{BackgroundError: func(err error) { s.fail(fmt.Errorf("pebblestore: %w", s.explain(err))) }},
	})
	if err != nil {
		err = errors.Join(err, lock.Close())
		return nil, fmt.Errorf("pebblestore: open %s: %w: if the files are damaged, remove the directory and let the server join anew", dir, s.explain(err))
	}
	return s, nil
}

// logger takes what Pebble logs. Its Fatalf means that the disk failed: the store then refuses everything.
type logger Store

func (*logger) Infof(string, ...any)  {}
func (*logger) Errorf(string, ...any) {}

// Fatalf must not return to its caller, which would go on as if nothing had happened. The goroutine that
// met the failure is parked for good: it belongs to Pebble, and the process is about to end.
func (l *logger) Fatalf(format string, args ...any) {
	s := (*Store)(l)
	s.fail(fmt.Errorf("pebblestore: "+format, args...))
	select {}
}

func (s *Store) fail(err error) {
	if s.failed.CompareAndSwap(nil, &err) && s.fatal != nil {
		s.fatal(err)
	}
}

// recovered turns a panic of Pebble's, which some failures of the disk lead to, into a failure of the store.
func (s *Store) recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("pebblestore: %v", p)
		s.fail(*err)
	}
}

// explain adds what to do to errors that a person can do something about.
func (s *Store) explain(err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("%w (%w)", ErrFull, err)
	}
	return err
}

// usable returns why the store cannot be used any more.
func (s *Store) usable() error {
	if s.closed.Load() {
		return store.ErrClosed
	}
	if p := s.failed.Load(); p != nil {
		return *p
	}
	return nil
}

// reader is what a DB, a Snapshot and a Batch have in common.
type reader struct {
	s *Store
	r pebble.Reader
}

// Get returns a copy of the value of key.
func (r reader) Get(key []byte) ([]byte, bool, error) {
	if err := r.s.usable(); err != nil {
		return nil, false, err
	}
	v, closer, err := r.r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, r.s.explain(err)
	}
	v = bytes.Clone(v)
	return v, true, closer.Close()
}

// Scan calls fn for each key in [lo, hi) in order.
func (r reader) Scan(lo, hi []byte, fn func(key, value []byte) bool) error {
	it, err := r.iterator(lo, hi)
	if err != nil {
		return err
	}
	for ok := it.First(); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return errors.Join(r.s.explain(err), it.Close())
		}
		if !fn(it.Key(), v) {
			break
		}
	}
	return errors.Join(it.Error(), it.Close())
}

// Last returns copies of the greatest key in [lo, hi) and its value.
func (r reader) Last(lo, hi []byte) (key, value []byte, ok bool, err error) {
	it, err := r.iterator(lo, hi)
	if err != nil {
		return nil, nil, false, err
	}
	if ok = it.Last(); ok {
		if value, err = it.ValueAndErr(); err == nil {
			key, value = bytes.Clone(it.Key()), bytes.Clone(value)
		}
	}
	return key, value, ok, errors.Join(err, it.Error(), it.Close())
}

func (r reader) iterator(lo, hi []byte) (*pebble.Iterator, error) {
	if err := r.s.usable(); err != nil {
		return nil, err
	}
	return r.r.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi})
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

type snapshot struct {
	reader
	p *pebble.Snapshot
}

func (s snapshot) Close() error { return s.p.Close() }

// NewSnapshot returns the store as it is now.
func (s *Store) NewSnapshot() (store.Snapshot, error) {
	if err := s.usable(); err != nil {
		return nil, err
	}
	p := s.db.NewSnapshot()
	return snapshot{reader{s, p}, p}, nil
}

type batch struct {
	reader
	b    *pebble.Batch
	done bool
}

// NewBatch returns an empty batch, which reads its own writes.
func (s *Store) NewBatch() store.Batch {
	b := s.db.NewIndexedBatch()
	return &batch{reader: reader{s, b}, b: b}
}

// NewWriteBatch returns an empty batch that cannot be read from, and so costs less.
func (s *Store) NewWriteBatch() store.Batch {
	b := s.db.NewBatch()
	return &batch{reader: reader{s, b}, b: b}
}

func (b *batch) Set(key, value []byte) error     { return b.b.Set(key, value, nil) }
func (b *batch) Delete(key []byte) error         { return b.b.Delete(key, nil) }
func (b *batch) DeleteRange(lo, hi []byte) error { return b.b.DeleteRange(lo, hi, nil) }
func (b *batch) Len() int                        { return b.b.Len() }
func (b *batch) Commit(d store.Durability) (err error) {
	defer b.s.recovered(&err)
	if err := b.s.usable(); err != nil {
		return err
	}
	if d == store.Sync && !b.s.wal {
		return errors.New("pebblestore: a store without a write-ahead log has no synced commits: use Flush")
	}
	o := pebble.NoSync
	if d == store.Sync {
		o = pebble.Sync
	}
	if err := b.b.Commit(o); err != nil {
		return fmt.Errorf("pebblestore: commit: %w", b.s.explain(err))
	}
	return b.Close()
}

// Close ends the batch.
func (b *batch) Close() error {
	if b.done {
		return nil
	}
	b.done = true
	return b.b.Close()
}

// Flush returns once everything committed before is durable.
func (s *Store) Flush() (err error) {
	defer s.recovered(&err)
	if err := s.usable(); err != nil {
		return err
	}
	if err := s.db.Flush(); err != nil {
		return fmt.Errorf("pebblestore: flush: %w", s.explain(err))
	}
	return s.usable()
}

// Size is the approximate number of bytes on disk.
func (s *Store) Size() uint64 {
	if s.usable() != nil {
		return 0
	}
	return s.db.Metrics().DiskSpaceUsage()
}

// Close releases the directory. What was not durable may be lost.
func (s *Store) Close() error {
	if !s.closed.CompareAndSwap(false, true) {
		return store.ErrClosed
	}
	return errors.Join(s.db.Close(), s.lock.Close())
}
