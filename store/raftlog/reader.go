package raftlog

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"concord/raft"
	"concord/store/raftlog/internal/segment"
)

// between is how many bytes that are no entry a read may have between two that are: as many as a group begins with.
const between = 256

// Entries reads the entries from lo to hi, at most maxBytes of them but at least one.
func (l *Log) Entries(lo, hi uint64, maxBytes int) ([]raft.Entry, error) {
	at, err := l.locate(lo, hi, maxBytes)
	if err != nil {
		return nil, err
	}
	out := make([]raft.Entry, 0, len(at))
	for len(at) > 0 {
		n := together(at)
		if out, err = l.read(out, lo+uint64(len(out)), at[:n]); err != nil {
			return nil, err
		}
		at = at[n:]
	}
	return out, nil
}

// locate returns where entries are.
func (l *Log) locate(lo, hi uint64, maxBytes int) ([]location, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if lo < l.s.FirstIndex || hi > l.s.LastIndex || lo > hi {
		return nil, fmt.Errorf("raftlog: no entries %d to %d in a log from %d to %d", lo, hi, l.s.FirstIndex, l.s.LastIndex)
	}
	found := l.index.items[lo-l.index.first : hi+1-l.index.first]
	size, n := 0, 0
	for n < len(found) && (n == 0 || size < maxBytes) {
		size += int(found[n].n)
		n++
	}
	return slices.Clone(found[:n]), nil
}

// together is how many of the locations are close enough to be one read.
func together(at []location) int {
	n := 1
	for n < len(at) {
		end := at[n-1].at + at[n-1].n
		if at[n].segment != at[0].segment || at[n].at < end || at[n].at-end > between {
			break
		}
		n++
	}
	return n
}

// read appends the entries from index on, which are close together.
func (l *Log) read(out []raft.Entry, index uint64, at []location) ([]raft.Entry, error) {
	begin, last := at[0].at, at[len(at)-1]
	p := make([]byte, last.at+last.n-begin)
	err := l.files.ReadAt(p, segment.Place{Segment: at[0].segment, At: int64(begin)})
	switch {
	case errors.Is(err, io.EOF):
		return nil, &CorruptError{Index: index, Reason: "cut off"}
	case err != nil:
		return nil, fmt.Errorf("raftlog: entry %d: %w", index, err)
	}
	for i, at := range at {
		var e raft.Entry
		from, index := at.at-begin, index+uint64(i)
		reason := decodeEntry(p[from:from+at.n:from+at.n], &e)
		if reason == "" && e.Index != index {
			reason = fmt.Sprintf("not there: entry %d is in its place", e.Index)
		}
		if reason != "" {
			return nil, &CorruptError{Index: index, Reason: reason}
		}
		out = append(out, e)
	}
	return out, nil
}
