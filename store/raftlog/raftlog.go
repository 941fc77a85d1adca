// Package raftlog keeps a server's Raft log, its hard state and its identity in a store.
//
// Keys are one byte for the kind and, for entries, the index. Each value carries a checksum and
// the version of its format, so that a disk that lies is noticed before a wrong entry is applied.
package raftlog

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	"concord/raft"
	"concord/store"
)

// Kinds of keys.
const (
	kindVersion  = 'v'
	kindHard     = 'h'
	kindSnapshot = 's'
	kindPromise  = 'p'
	kindIdentity = 'i'
	kindEntry    = 'e'
)

// version of the keys; each record has a version of its own. A reader refuses what it does not know.
const version = 2

// ErrIdentity says that the log was written by another node.
var ErrIdentity = errors.New("raftlog: the data directory belongs to another node")

// CorruptError says that what is at an index, or in a named record, is not what was written.
type CorruptError struct {
	Index  uint64 // 0: not an entry
	Reason string
}

// Error tells what is corrupt and what to do.
func (e *CorruptError) Error() string {
	what := e.Reason
	if e.Index != 0 {
		what = fmt.Sprintf("entry %d is %s", e.Index, e.Reason)
	}
	return "the raft log is corrupt: " + what + ": if a quorum of the other servers is up, remove this server's data directory, so that it joins anew and gets a snapshot; if not, run `operator raft recover` first, on a server whose data is whole"
}

// State is what the log knows besides its entries.
type State struct {
	HardState raft.HardState
	// Meta is the point behind which the log begins.
	Meta raft.SnapshotMeta
	// FirstIndex is Meta.Index+1; the log is empty if LastIndex is Meta.Index.
	FirstIndex, LastIndex uint64
}

// Log is the Raft log of one server. One goroutine writes; any may read entries and the state at the same time.
type Log struct {
	st       store.Store
	identity string       // of the writing goroutine
	mu       sync.RWMutex // guards s
	s        State
}

// Open reads the log's state and checks all of it: a log in a format of another version, with a gap, or with anything
// that is not what was written is refused, the last two with a *CorruptError.
func Open(st store.Store) (*Log, error) {
	l := &Log{st: st}
	if err := l.checkVersion(); err != nil {
		return nil, err
	}
	for _, r := range []struct {
		kind   byte
		name   string
		decode func([]byte) bool
	}{
		{kindHard, "the hard state", func(p []byte) bool { return decodeHard(p, &l.s.HardState) }},
		{kindSnapshot, "the snapshot record", func(p []byte) bool { return decodeMeta(p, &l.s.Meta) }},
		{kindIdentity, "the identity", func(p []byte) bool { l.identity = string(p); return len(p) > 0 }},
	} {
		if err := l.load(r.kind, r.name, r.decode); err != nil {
			return nil, err
		}
	}
	if _, err := l.Promise(); err != nil {
		return nil, err
	}
	l.s.FirstIndex = l.s.Meta.Index + 1
	var err error
	l.s.LastIndex, err = check(st, l.s)
	return l, err
}

func (l *Log) checkVersion() error {
	v, ok, err := l.st.Get([]byte{kindVersion})
	if err != nil {
		return fmt.Errorf("raftlog: %w", err)
	}
	if ok && (len(v) != 1 || v[0] != version) {
		return fmt.Errorf("raftlog: format version %v is not known to this release, which writes version %d: run the release that wrote it", v, version)
	}
	if ok {
		return nil
	}
	if key, _, found, err := l.st.Last(nil, nil); err != nil || found {
		return errors.Join(err, &CorruptError{Reason: fmt.Sprintf("the format version is missing, but there is a key %x", key)})
	}
	b := l.st.NewWriteBatch()
	defer b.Close()
	if err := b.Set([]byte{kindVersion}, []byte{version}); err != nil {
		return err
	}
	return b.Commit(store.Sync)
}

func (l *Log) load(kind byte, name string, decode func([]byte) bool) error {
	key := []byte{kind}
	v, ok, err := l.st.Get(key)
	if err != nil {
		return fmt.Errorf("raftlog: %w", err)
	}
	if !ok {
		return nil
	}
	p, reason := unseal(key, v)
	if reason == "" && !decode(p) {
		reason = "not what this release writes"
	}
	if reason != "" {
		return &CorruptError{Reason: name + " is " + reason}
	}
	return nil
}

func (l *Log) put(kind byte, payload string) error {
	b := l.st.NewWriteBatch()
	defer b.Close()
	if err := set(b, []byte{kind}, []byte(payload)); err != nil {
		return err
	}
	if err := b.Commit(store.Sync); err != nil {
		return fmt.Errorf("raftlog: %w", err)
	}
	return nil
}

func set(b store.Batch, key, payload []byte) error { return b.Set(key, seal(key, payload)) }

// State tells what the log contains.
func (l *Log) State() State {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.s
}

// Claim makes the log that of a node, or fails with ErrIdentity if it is another's.
func (l *Log) Claim(nodeID string) error {
	switch l.identity {
	case nodeID:
		return nil
	case "":
		l.identity = nodeID
		return l.put(kindIdentity, nodeID)
	}
	return fmt.Errorf("%w: it was made by node ID %s, this is %s: use another -data-dir, or the node ID it was made with", ErrIdentity, l.identity, nodeID)
}

// Promise returns what SetPromise kept last, empty if nothing.
func (l *Log) Promise() (promise string, err error) {
	err = l.load(kindPromise, "the bootstrap promise", func(p []byte) bool { promise = string(p); return true })
	return promise, err
}

// SetPromise keeps the bootstrap promise, durably.
func (l *Log) SetPromise(p string) error { return l.put(kindPromise, p) }

// Writer collects writes for one durable batch.
type Writer struct {
	l *Log
	b store.Batch
	s State // as it will be
}

// Begin begins a batch. Only one is open at a time.
func (l *Log) Begin() *Writer { return &Writer{l: l, b: l.st.NewWriteBatch(), s: l.State()} }

// Add adds a hard state, unless it is nil, and entries, which replace those from the first one's index on.
func (w *Writer) Add(hs *raft.HardState, entries []raft.Entry) error {
	if hs != nil {
		w.s.HardState = *hs
		if err := set(w.b, []byte{kindHard}, encodeHard(nil, hs)); err != nil {
			return err
		}
	}
	if len(entries) == 0 {
		return nil
	}
	first := entries[0].Index
	if first > w.s.LastIndex+1 || first < w.s.FirstIndex {
		return fmt.Errorf("raftlog: entry %d does not fit a log from %d to %d", first, w.s.FirstIndex, w.s.LastIndex)
	}
	if first <= w.s.LastIndex {
		if err := w.b.DeleteRange(entryKey(first), entryKey(w.s.LastIndex+1)); err != nil {
			return err
		}
	}
	for i := range entries {
		if err := set(w.b, entryKey(entries[i].Index), encodeEntry(&entries[i])); err != nil {
			return err
		}
	}
	w.s.LastIndex = entries[len(entries)-1].Index
	return nil
}

// Commit makes the batch durable.
func (w *Writer) Commit() error {
	defer w.b.Close()
	if err := w.b.Commit(store.Sync); err != nil {
		return fmt.Errorf("raftlog: %w", err)
	}
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	w.l.s = w.s
	return nil
}

// Entries reads the entries from lo to hi, at most maxBytes of them but at least one.
func (l *Log) Entries(lo, hi uint64, maxBytes int) ([]raft.Entry, error) {
	s := l.State()
	if lo < s.FirstIndex || hi > s.LastIndex || lo > hi {
		return nil, fmt.Errorf("raftlog: no entries %d to %d in a log from %d to %d", lo, hi, s.FirstIndex, s.LastIndex)
	}
	var out []raft.Entry
	var bad error
	size, next := 0, lo
	err := l.st.Scan(entryKey(lo), entryKey(hi+1), func(key, value []byte) bool {
		e, err := openEntry(key, value)
		if err == nil && e.Index != next {
			err = missing(next)
		}
		if err != nil {
			bad = err
			return false
		}
		e.Data = bytes.Clone(e.Data)
		out = append(out, e)
		size += len(value)
		next++
		return size < maxBytes
	})
	if err == nil {
		err = bad
	}
	if err == nil && len(out) == 0 {
		err = missing(lo)
	}
	return out, err
}

// Reset empties the log, which then begins behind the snapshot.
func (l *Log) Reset(meta raft.SnapshotMeta) error {
	return l.begin(meta, entryKey(0), []byte{kindEntry + 1}, meta.Index)
}

// CompactTo drops the entries up to and including that of the snapshot. What begins later already stays as it is.
func (l *Log) CompactTo(meta raft.SnapshotMeta) error {
	s := l.State()
	if meta.Index <= s.Meta.Index {
		return nil
	}
	if meta.Index > s.LastIndex {
		return fmt.Errorf("raftlog: cannot compact a log from %d to %d up to %d", s.FirstIndex, s.LastIndex, meta.Index)
	}
	return l.begin(meta, entryKey(s.FirstIndex), entryKey(meta.Index+1), s.LastIndex)
}

// begin lets the log begin behind a snapshot and drops a range of entries.
func (l *Log) begin(meta raft.SnapshotMeta, lo, hi []byte, last uint64) error {
	b := l.st.NewWriteBatch()
	defer b.Close()
	if err := b.DeleteRange(lo, hi); err != nil {
		return err
	}
	if err := set(b, []byte{kindSnapshot}, encodeMeta(nil, &meta)); err != nil {
		return err
	}
	if err := b.Commit(store.Sync); err != nil {
		return fmt.Errorf("raftlog: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.s.Meta, l.s.FirstIndex, l.s.LastIndex = meta, meta.Index+1, last
	return nil
}
