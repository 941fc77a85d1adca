package raft

import (
	"bytes"
	"time"
)

// outgoing is a snapshot on its way to a follower: one chunk at a time, each read when
// the follower has acknowledged the one before, so that a slow follower slows only itself.
type outgoing struct {
	meta    SnapshotMeta // zero until the first chunk was read
	cursor  []byte       // acknowledged by the follower
	reading *ChunkRead   // outstanding
	waiting bool         // a chunk, or a failed read, is waiting for
	since   time.Duration
}

func (n *Node) beginSnapshot(f *follower) {
	f.BecomeSnapshot()
	f.snap = &outgoing{}
	n.readChunk(f)
}

// readChunk asks the driver for the chunk at the acknowledged cursor.
func (n *Node) readChunk(f *follower) {
	s := f.snap
	s.waiting, s.since = true, n.now
	if s.reading != nil || !n.recent(f) {
		return
	}
	s.reading = &ChunkRead{For: f.id, Meta: s.meta, Cursor: s.cursor}
	n.out.chunkReads = append(n.out.chunkReads, *s.reading)
}

// unstickSnapshot reads again what got no answer.
func (n *Node) unstickSnapshot(f *follower) {
	s := f.snap
	if s.waiting && s.reading == nil && n.now-s.since >= n.cfg.SnapshotTimeout {
		n.readChunk(f)
	}
}

// ChunkRead answers a ChunkRead of a Ready: the chunk of the snapshot meta at r.Cursor, where the
// next one begins, and whether it was the last. After an error the transfer begins anew,
// after a while.
func (n *Node) ChunkRead(now time.Duration, r ChunkRead, meta SnapshotMeta, chunk, next []byte, done bool, err error) {
	n.advance(now)
	f := n.follower(r.For)
	if f != nil && f.snap != nil && f.snap.reading != nil && bytes.Equal(f.snap.reading.Cursor, r.Cursor) {
		s := f.snap
		s.reading, s.since = nil, n.now
		switch {
		case err != nil:
			s.restart()
		case !bytes.Equal(s.cursor, r.Cursor):
			n.readChunk(f) // the follower meanwhile asked for another one
		default:
			s.meta = meta
			n.sendAsLeader(Message{Type: MsgSnapshot, To: f.id, Snapshot: &meta, Cursor: r.Cursor, Chunk: chunk, Next: next, Done: done})
		}
	}
	n.checkInvariants()
}

// restart begins with a new snapshot.
func (s *outgoing) restart() { s.meta, s.cursor = SnapshotMeta{}, nil }

// onSnapshotReply goes on with the next chunk, or with the log behind the snapshot.
func (n *Node) onSnapshotReply(m *Message) {
	f := n.follower(m.From)
	if f == nil {
		return
	}
	n.heard(f, m)
	s := f.snap
	if s == nil || m.Snapshot.Index != s.meta.Index || m.Snapshot.Term != s.meta.Term {
		return
	}
	switch {
	case m.Done:
		f.snap = nil
		if f.Accepted(min(m.Match, n.log.last())) {
			f.matchedAt = n.now
		}
		f.BecomeProbe()
		n.lead.due = true
		n.maybeCommit()
	case m.Reject:
		// It lost what it had (a restart) or could not write it: from the beginning.
		s.restart()
		n.readChunk(f)
	case !bytes.Equal(m.Next, s.cursor):
		s.cursor = m.Next
		n.readChunk(f)
	}
}
