// Package raftlog keeps a server's Raft log, its hard state and its identity in files of their own.
//
// All that is written together is one group of package segment, durable as a whole. What the groups do is done again
// when the log is opened. Where each entry is, is kept in memory; the entries are not.
package raftlog

import (
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"concord/raft"
	"concord/store/raftlog/internal/segment"
)

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

// FailedError is what every call returns once the disk has failed: what is on it is only known when the log is opened
// again.
type FailedError = segment.FailedError

// FormatFile is the name of a file that is in the folder of a log once it was made.
const FormatFile = segment.FormatFile

// Sizes say how large the log's files are; the zero value has the defaults.
type Sizes = segment.Sizes

// Log is the Raft log of one server. One goroutine writes; any may read entries and the state at the same time.
type Log struct {
	files *segment.Log

	// These are of the writing goroutine.
	identity string
	w        Writer

	mu      sync.RWMutex // guards what follows
	s       State
	promise string
	index   window[location]
}

// location is where an entry is.
type location struct {
	segment uint64
	at, n   uint32
}

// Open opens the log in dir, which is made if it does not exist, and checks all of it: a log of another format, with a gap,
// or with anything that is not what was written is refused, the last two with a *CorruptError. The caller makes sure that no
// other process has it open.
func Open(fs vfs.FS, dir string) (*Log, error) { return OpenSized(fs, dir, Sizes{}) }

// OpenSized is Open with files of other sizes than usual, which may change each time.
func OpenSized(fs vfs.FS, dir string, sizes Sizes) (*Log, error) {
	l := &Log{s: State{FirstIndex: 1}, index: window[location]{first: 1}}
	r := recovery{l: l, terms: window[uint64]{first: 1}}
	var err error
	if l.files, err = segment.Open(fs, dir, sizes, l.appendHead, r.group); err != nil {
		return nil, r.explain(err)
	}
	if err := r.check(); err != nil {
		return nil, errors.Join(err, l.files.Close())
	}
	return l, nil
}

// Close closes the log, while nobody writes.
func (l *Log) Close() error { return l.files.Close() }

// appendHead appends what each file repeats from those before it: all but the entries.
func (l *Log) appendHead(p []byte) []byte {
	p = append(p, version)
	p = appendItem(p, kindBegin, func(p []byte) []byte { return encodeBegin(p, &l.s.Meta, l.s.LastIndex) })
	p = appendItem(p, kindHard, func(p []byte) []byte { return encodeHard(p, &l.s.HardState) })
	p = appendItem(p, kindPromise, func(p []byte) []byte { return append(p, l.promise...) })
	if l.identity == "" {
		return p
	}
	return appendItem(p, kindIdentity, func(p []byte) []byte { return append(p, l.identity...) })
}

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
		err := l.put(kindIdentity, func(p []byte) []byte { return append(p, nodeID...) })
		if err == nil {
			l.identity = nodeID
		}
		return err
	}
	return fmt.Errorf("%w: it was made by node ID %s, this is %s: use another -data-dir, or the node ID it was made with", ErrIdentity, l.identity, nodeID)
}

// Promise returns what SetPromise kept last, empty if nothing.
func (l *Log) Promise() string {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.promise
}

// SetPromise keeps the bootstrap promise, durably.
func (l *Log) SetPromise(promise string) error {
	if err := l.put(kindPromise, func(p []byte) []byte { return append(p, promise...) }); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.promise = promise
	return nil
}

// put writes a group of one item.
func (l *Log) put(kind byte, write func([]byte) []byte) error {
	_, err := l.write(appendItem(newGroup(nil), kind, write))
	return err
}

// newGroup begins a group, in memory that is not used any more.
func newGroup(p []byte) []byte {
	var header [emptyGroup]byte
	header[emptyGroup-1] = version
	return append(p[:0], header[:]...)
}

// emptyGroup is how long a group without items is.
const emptyGroup = segment.HeaderBytes + 1

func (l *Log) write(group []byte) (segment.Place, error) {
	at, err := l.files.Append(group)
	if err != nil {
		err = fmt.Errorf("raftlog: %w", err)
	}
	return at, err
}

// Reset empties the log, which then begins behind the snapshot.
func (l *Log) Reset(meta raft.SnapshotMeta) error { return l.beginAt(meta, meta.Index) }

// CompactTo drops the entries up to and including that of the snapshot. What begins later already stays as it is.
func (l *Log) CompactTo(meta raft.SnapshotMeta) error {
	s := l.State()
	if meta.Index <= s.Meta.Index {
		return nil
	}
	if meta.Index > s.LastIndex {
		return fmt.Errorf("raftlog: cannot compact a log from %d to %d up to %d", s.FirstIndex, s.LastIndex, meta.Index)
	}
	return l.beginAt(meta, s.LastIndex)
}

// beginAt lets the log begin behind a snapshot and end at an index, and drops the files that are not needed any more.
func (l *Log) beginAt(meta raft.SnapshotMeta, last uint64) error {
	at, err := l.write(appendItem(newGroup(nil), kindBegin, func(p []byte) []byte { return encodeBegin(p, &meta, last) }))
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.begin(meta, last)
	oldest := at.Segment
	if len(l.index.items) > 0 {
		oldest = l.index.items[0].segment
	}
	l.mu.Unlock()
	if err := l.files.Drop(oldest); err != nil {
		return fmt.Errorf("raftlog: %w", err)
	}
	return nil
}

func (l *Log) begin(meta raft.SnapshotMeta, last uint64) {
	l.s.Meta, l.s.FirstIndex, l.s.LastIndex = meta, meta.Index+1, last
	l.index.begin(l.s.FirstIndex, last)
}
