package raftlog

import (
	"bytes"
	"errors"
	"fmt"

	"concord/raft"
	"concord/store/raftlog/internal/segment"
)

func missing(index uint64) error { return &CorruptError{Index: index, Reason: "missing"} }

// recovery finds out what a log contains by doing again all that was done to it.
type recovery struct {
	l     *Log
	terms window[uint64]
	any   bool // something was found
}

func (r *recovery) group(g segment.Group) error {
	if g.Head && !g.First {
		// What a segment repeats is what those before it say.
		if want := r.l.appendHead(nil); !bytes.Equal(g.Bytes, want) {
			return &CorruptError{Reason: fmt.Sprintf("file %d of the log does not go on where the one before it ends", g.Segment)}
		}
		return nil
	}
	r.any = true
	return items(g.Bytes, func(kind byte, at int, p []byte) error {
		ok := true
		l := r.l
		switch kind {
		case kindHard:
			l.s.HardState = raft.HardState{}
			ok = decodeHard(p, &l.s.HardState)
		case kindIdentity:
			l.identity, ok = string(p), len(p) > 0
		case kindPromise:
			l.promise = string(p)
		case kindBegin:
			return r.begin(p, g.First)
		case kindEntry:
			return r.entry(p, location{g.Segment, uint32(g.At) + uint32(at), uint32(len(p))})
		default:
			return &CorruptError{Reason: fmt.Sprintf("a part is of kind %x, which this release does not know", kind)}
		}
		if !ok {
			return &CorruptError{Reason: fmt.Sprintf("a part of kind %c is not what this release writes", kind)}
		}
		return nil
	})
}

func (r *recovery) begin(p []byte, first bool) error {
	var meta raft.SnapshotMeta
	last, ok := decodeBegin(p, &meta)
	if !ok || last < meta.Index || !first && last != meta.Index && last != r.l.s.LastIndex {
		return &CorruptError{Reason: "where the log begins is not what this release writes"}
	}
	if first { // none of the entries up to the last is in this segment or later
		r.l.index.first, r.terms.first = last+1, last+1
	}
	r.l.begin(meta, last)
	r.terms.begin(meta.Index+1, last)
	return nil
}

func (r *recovery) entry(p []byte, at location) error {
	var e raft.Entry
	s := &r.l.s
	if reason := decodeEntry(p, &e); reason != "" {
		return &CorruptError{Index: s.LastIndex + 1, Reason: reason}
	}
	if e.Index < s.FirstIndex {
		return &CorruptError{Index: e.Index, Reason: fmt.Sprintf("below the first index, %d", s.FirstIndex)}
	}
	if e.Index > s.LastIndex+1 {
		return missing(s.LastIndex + 1)
	}
	r.l.index.put(e.Index, at)
	r.terms.put(e.Index, e.Term)
	s.LastIndex = e.Index
	return nil
}

// check tells whether what was found can be a log. Terms never decrease along one, and a server is in the term of its last
// entry at least (Raft, section 5.1). Anything else is put together from several logs, or was rolled back in part.
func (r *recovery) check() error {
	s := &r.l.s
	if s.FirstIndex < r.terms.first {
		return missing(s.FirstIndex)
	}
	before := s.Meta.Term
	for i, term := range r.terms.items {
		index := r.terms.first + uint64(i)
		if term < before {
			return &CorruptError{Index: index, Reason: fmt.Sprintf("of term %d, behind one of term %d", term, before)}
		}
		if term > s.HardState.Term {
			return &CorruptError{Index: index, Reason: fmt.Sprintf("of term %d, but the server had only seen term %d", term, s.HardState.Term)}
		}
		before = term
	}
	return nil
}

// explain tells what an error in opening the files means.
func (r *recovery) explain(err error) error {
	var damage *segment.DamagedError
	var corrupt *CorruptError
	switch {
	case errors.As(err, &corrupt):
		return corrupt
	case !errors.As(err, &damage):
		return fmt.Errorf("raftlog: %w", err)
	case !r.any:
		return &CorruptError{Reason: damage.Reason}
	}
	return &CorruptError{Index: r.l.s.LastIndex + 1, Reason: "not readable: " + damage.Reason}
}
