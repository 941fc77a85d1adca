// Package store is the storage that nodes are built on: ordered keys, atomic batches,
// consistent snapshots, and durability that is always asked for by name.
//
// Two engines implement it, memstore (in memory, crashable, for tests, the simulator and
// agents started with -dev) and pebblestore (disk). Both pass store/storetest.
//
// Keys and values given to a store belong to the caller again once the call returns; those
// that a store hands out belong to the caller, except inside the callback of Scan.
package store

import "errors"

// ErrClosed is returned by every call on a closed store.
var ErrClosed = errors.New("store: closed")

// ErrEnded is returned by every call on a batch that was committed or closed, Close excepted.
var ErrEnded = errors.New("store: the batch has ended")

// ErrWriteOnly is returned by reads from a batch of NewWriteBatch.
var ErrWriteOnly = errors.New("store: the batch is for writing only")

// ErrUnbounded is returned by DeleteRange without an upper bound.
var ErrUnbounded = errors.New("store: DeleteRange needs an upper bound")

// Reader reads ordered keys.
type Reader interface {
	// Get returns the value of key, and whether there is one.
	Get(key []byte) (value []byte, ok bool, err error)
	// Scan calls fn for each key in [lo, hi) in ascending order until fn returns false. A nil
	// hi means: to the end. Key and value are only valid during the call. fn must not write
	// to the store.
	Scan(lo, hi []byte, fn func(key, value []byte) bool) error
	// Last returns the greatest key in [lo, hi) with its value, and whether there is one.
	Last(lo, hi []byte) (key, value []byte, ok bool, err error)
}

// Snapshot is the store as it was at one moment, whatever is written later. It is safe for
// concurrent use.
type Snapshot interface {
	Reader
	Close() error
}

// Batch collects writes that become visible at once and survive a crash all or not at all.
// Reading from a batch sees its own writes over the store's. One goroutine uses it at a time.
type Batch interface {
	Reader
	Set(key, value []byte) error
	Delete(key []byte) error
	// DeleteRange deletes all keys in [lo, hi), none if there is nothing between. hi must not
	// be nil: an engine for disks has no key that is greater than all others.
	DeleteRange(lo, hi []byte) error
	// Len is the approximate number of bytes of its writes.
	Len() int
	// Commit makes the batch visible and ends it. With Sync it returns once the batch,
	// and all earlier ones, are durable. After an error the batch has ended, too, and may
	// or may not be found after a crash.
	Commit(d Durability) error
	// Close ends a batch that was not committed; after Commit it does nothing.
	Close() error
}

// Durability says what a crash may take from a committed batch.
type Durability uint8

const (
	// NoSync: a crash may lose the batch, with all later ones (never one without those after it).
	NoSync Durability = iota
	// Sync: nothing is lost once Commit returned.
	Sync
)

// Store is an ordered key-value store. It is safe for concurrent use.
type Store interface {
	Reader
	// NewSnapshot returns the store as it is now. It is to be closed before the store.
	NewSnapshot() (Snapshot, error)
	// NewBatch returns an empty batch. Only one batch that is read from should be open at a time.
	NewBatch() Batch
	// NewWriteBatch returns an empty batch that is never read from, which may cost less.
	NewWriteBatch() Batch
	// Flush returns once everything committed before the call is durable.
	Flush() error
	// Size is the approximate number of bytes on disk, or in memory.
	Size() uint64
	// Close waits for the calls in progress. It does not flush: what was not durable may be
	// lost, as in a crash.
	Close() error
}
