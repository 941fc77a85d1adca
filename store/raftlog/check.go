package raftlog

import (
	"encoding/binary"
	"fmt"

	"concord/raft"
	"concord/store"
)

func missing(index uint64) error { return &CorruptError{Index: index, Reason: "missing"} }

// checker goes over all keys of a log in order.
type checker struct {
	s    State
	next uint64 // index that must come next
	term uint64 // of the entry before it
}

// check returns the last index of the log.
func check(st store.Store, s State) (last uint64, err error) {
	c := checker{s: s, next: s.FirstIndex, term: s.Meta.Term}
	var bad error
	err = st.Scan(nil, nil, func(key, value []byte) bool {
		bad = c.key(key, value)
		return bad == nil
	})
	if err != nil {
		return 0, fmt.Errorf("raftlog: %w", err)
	}
	return c.next - 1, bad
}

func (c *checker) key(key, value []byte) error {
	switch {
	case len(key) == 9 && key[0] == kindEntry:
		return c.entry(key, value)
	case len(key) == 1:
		switch key[0] {
		case kindVersion, kindHard, kindSnapshot, kindPromise, kindIdentity:
			return nil // loaded already
		}
	}
	return &CorruptError{Reason: fmt.Sprintf("a key %x, which nothing writes", key)}
}

func (c *checker) entry(key, value []byte) error {
	index := binary.BigEndian.Uint64(key[1:])
	if index < c.s.FirstIndex {
		return &CorruptError{Index: index, Reason: fmt.Sprintf("below the first index, %d", c.s.FirstIndex)}
	}
	if index != c.next {
		return missing(c.next)
	}
	e, err := openEntry(key, value)
	if err != nil {
		return err
	}
	if reason := c.terms(&e); reason != "" {
		return &CorruptError{Index: index, Reason: reason}
	}
	c.next, c.term = index+1, e.Term
	return nil
}

// terms never decrease along a log, and a server is in the term of its last entry at least (Raft, section 5.1). Anything
// else is put together from several logs, or was rolled back in part.
func (c *checker) terms(e *raft.Entry) (reason string) {
	if e.Term < c.term {
		return fmt.Sprintf("of term %d, behind one of term %d", e.Term, c.term)
	}
	if e.Term > c.s.HardState.Term {
		return fmt.Sprintf("of term %d, but the server had only seen term %d", e.Term, c.s.HardState.Term)
	}
	return ""
}
