// Package pebblestore is the engine of package store for disks, over Pebble
// (https://github.com/cockroachdb/pebble).
//
// A store has no write-ahead log: a crash falls back to the last flush, always to what the store was at the end of one commit.
//
// No call waits for a disk that has failed: each returns a *FailedError, and so does every later one.
package pebblestore

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"concord/store"
)

// ErrLocked says that another process has the directory open.
var ErrLocked = errors.New("pebblestore: the directory is in use by another process")

// Options say how a store is opened.
type Options struct {
	// FS is where the store lives; nil: the real disk.
	FS vfs.FS
	// MemTableSize is how many bytes are collected before they are flushed; default 16 MiB.
	MemTableSize uint64
	// CacheSize is how many bytes of blocks are cached, the memtables included; default 64 MiB, used as needed.
	CacheSize int64
	// OnFatal is told, once, when the disk of an open store fails: a *FailedError. It must return soon and not use
	// the store.
	OnFatal func(error)
}

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.MemTableSize == 0 {
		o.MemTableSize = 16 << 20
	}
	if o.CacheSize == 0 {
		o.CacheSize = 64 << 20
	}
	return o
}

// Store is an open store.
type Store struct {
	db      *pebble.DB
	disk    *disk
	onFatal func(error)
	opened  atomic.Bool // until then Open tells of a failure

	gate   gate
	failed atomic.Pointer[FailedError]
	broken chan struct{} // closed after failed is set

	mu   sync.Mutex // guards open
	open map[*snapshot]bool
}

// Open opens the store in dir, which is made if it does not exist.
func Open(dir string, o Options) (*Store, error) {
	o = o.withDefaults()
	s := &Store{onFatal: o.OnFatal, gate: newGate(), broken: make(chan struct{}), open: map[*snapshot]bool{}}
	s.disk = &disk{FS: o.FS, s: s}
	cache := pebble.NewCache(o.CacheSize)
	defer cache.Unref()
	options := s.options(o)
	options.Cache = cache
	err := s.await(func() (err error) { s.db, err = pebble.Open(dir, options); return err })
	if errors.Is(err, ErrLocked) {
		return nil, err
	}
	if err == nil {
		s.opened.Store(true)
		err = s.failure() // of which nobody was told before
	}
	if err != nil {
		err = errors.Join(explain(err), s.disk.unlock())
		return nil, fmt.Errorf("pebblestore: open %s: %w: if the files are damaged, remove the directory and let the server join anew", dir, err)
	}
	return s, nil
}

func (s *Store) options(o Options) *pebble.Options {
	return &pebble.Options{
		FS: s.disk, DisableWAL: true, MemTableSize: o.MemTableSize,
		FormatMajorVersion: pebble.FormatNewest, MemTableStopWritesThreshold: 4, L0CompactionThreshold: 4,
		Logger: (*logger)(s),
		EventListener: &pebble.EventListener{
			BackgroundError: s.backgroundError,
			DataCorruption:  func(i pebble.DataCorruptionInfo) { s.fail(fmt.Errorf("%s is damaged: %w", i.Path, i.Details)) },
		},
	}
}

// Flush returns once everything committed before is durable.
func (s *Store) Flush() error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if err := s.await(s.db.Flush); err != nil {
		return fmt.Errorf("pebblestore: flush: %w", err)
	}
	return s.failure()
}

// Size is the approximate number of bytes on disk; 0 if the store is closed or has failed.
func (s *Store) Size() uint64 {
	if s.enter() != nil {
		return 0
	}
	defer s.leave()
	var size uint64
	if s.await(func() error { size = s.db.Metrics().DiskSpaceUsage(); return nil }) != nil {
		return 0
	}
	return size
}

// Close waits for the calls in progress and releases the directory. What was not durable may be lost. A store that
// has failed returns why.
func (s *Store) Close() error {
	if !s.gate.shut() {
		return store.ErrClosed
	}
	err := s.failure()
	if err == nil {
		err = s.await(func() error { return errors.Join(s.closeSnapshots(), s.db.Close()) })
	}
	return errors.Join(err, s.disk.unlock())
}
