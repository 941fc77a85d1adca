package raftlog

import (
	"fmt"

	"concord/raft"
	"concord/store/raftlog/internal/segment"
)

// Writer collects writes for one durable batch.
type Writer struct {
	l     *Log
	group []byte
	s     State // as it will be
	// added are the entries, whose locations count from the beginning of the group.
	added window[location]
}

// keptBytes is how large the memory of a batch may be to be used again.
const keptBytes = 1 << 20

// Begin begins a batch. Only one is open at a time: one that was not committed is forgotten.
func (l *Log) Begin() *Writer {
	w := &l.w
	*w = Writer{l: l, group: newGroup(w.group), s: l.State(), added: window[location]{items: w.added.items[:0]}}
	return w
}

// Add adds a hard state, unless it is nil, and entries, which replace those from the first one's index on.
func (w *Writer) Add(hs *raft.HardState, entries []raft.Entry) error {
	if len(entries) > 0 {
		if first := entries[0].Index; first > w.s.LastIndex+1 || first < w.s.FirstIndex {
			return fmt.Errorf("raftlog: entry %d does not fit a log from %d to %d", first, w.s.FirstIndex, w.s.LastIndex)
		}
	}
	if hs != nil {
		w.s.HardState = *hs
		w.group = appendItem(w.group, kindHard, func(p []byte) []byte { return encodeHard(p, hs) })
	}
	for i := range entries {
		at := len(w.group) + itemHeader
		w.group = appendItem(w.group, kindEntry, func(p []byte) []byte { return encodeEntry(p, &entries[i]) })
		if w.added.first == 0 {
			w.added.first = entries[i].Index
		}
		w.added.put(entries[i].Index, location{at: uint32(at), n: uint32(len(w.group) - at)})
		w.s.LastIndex = entries[i].Index
	}
	return nil
}

// Commit makes the batch durable.
func (w *Writer) Commit() error {
	l := w.l
	if len(w.group) == emptyGroup {
		return nil
	}
	place, err := l.write(w.group)
	if err != nil {
		return err
	}
	for i := range w.added.items {
		at := &w.added.items[i]
		at.segment, at.at = place.Segment, uint32(place.At)-segment.HeaderBytes+at.at
	}
	if cap(w.group) > keptBytes {
		w.group = nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.s = w.s
	if len(w.added.items) > 0 {
		l.index.put(w.added.first, w.added.items...)
	}
	return nil
}
