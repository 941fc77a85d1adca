package raft

import (
	"bytes"
	"time"
)

// incoming is a snapshot being received.
type incoming struct {
	meta    SnapshotMeta
	term    uint64        // of the leader that sends it
	begun   time.Duration // when that leader sent the first chunk
	cursor  []byte        // where the next chunk begins
	writing bool          // a ChunkWrite is outstanding
	last    *ChunkWrite   // the final chunk, held back until nothing else is under way
	lastMsg Message       // to be answered when the chunk is written; without its data
}

// installing tells whether the driver is replacing the state and the log.
func (n *Node) installing() bool {
	return n.incoming != nil && n.incoming.writing && n.incoming.last != nil
}

// installPending tells whether an installation is waiting for its turn or under way.
func (n *Node) installPending() bool { return n.incoming != nil && n.incoming.last != nil }

// onSnapshot is the InstallSnapshot RPC of figure 13, with cursors in place of offsets.
func (n *Node) onSnapshot(m *Message) {
	if n.leader != "" && n.leader != m.From {
		impossibleSecondLeader(n, m)
		return
	}
	n.heardLeader(m)
	if n.refuseAsLost(m) {
		return
	}
	in := n.incoming
	if in != nil && (in.writing || in.last != nil) {
		return // its answer is coming
	}
	if n.covers(m.Snapshot) {
		n.commitTo(m.Snapshot.Index)
		n.incoming = nil
		n.replySnapshot(m, Message{Done: true, Match: min(n.log.committed, n.log.stable)})
		return
	}
	if len(m.Cursor) == 0 && (in == nil || in.term != m.Term || m.SentAt > in.begun) {
		in = &incoming{meta: *m.Snapshot, term: m.Term, begun: m.SentAt}
		n.incoming = in
	}
	if in == nil || in.term != m.Term || in.meta.Index != m.Snapshot.Index || in.meta.Term != m.Snapshot.Term {
		n.replySnapshot(m, Message{Reject: true})
		return
	}
	if !bytes.Equal(in.cursor, m.Cursor) {
		n.replySnapshot(m, Message{Next: in.cursor}) // repeated: this is where to go on
		return
	}
	w := &ChunkWrite{Meta: in.meta, Cursor: m.Cursor, Chunk: m.Chunk, Next: m.Next, Done: m.Done}
	in.lastMsg = *m
	in.lastMsg.Chunk = nil
	if m.Done {
		in.last = w
		n.tryInstall()
		return
	}
	in.writing = true
	n.out.chunkWrite = w
}

// covers tells whether the log has what the snapshot has: then it is only a way to learn
// that this is committed (figure 13, step 6). Only what is on disk counts.
func (n *Node) covers(s *SnapshotMeta) bool {
	return s.Index <= n.log.stable && n.overtaken(s)
}

// overtaken tells whether the log, on disk or not, has come to have what the snapshot has. It must then not be emptied:
// what lies behind may have been acknowledged.
func (n *Node) overtaken(s *SnapshotMeta) bool {
	term, ok := n.log.term(s.Index)
	return s.Index <= n.log.committed || ok && term == s.Term
}

func (n *Node) replySnapshot(m *Message, r Message) {
	r.Type, r.To, r.SentAt, r.Round, r.Snapshot = MsgSnapshotReply, m.From, m.SentAt, m.Round, m.Snapshot
	r.Cursor = m.Cursor
	n.reply(r)
}

// tryInstall hands out the final chunk once no write and no apply is under way any more, so
// that nothing of the old log and state can overtake the new; and once the term is on disk, which the new state must not
// be ahead of after a crash.
func (n *Node) tryInstall() {
	in := n.incoming
	if in == nil || in.last == nil || in.writing {
		return
	}
	if n.overtaken(&in.meta) {
		if in.meta.Index > n.log.stable {
			return
		}
		n.commitTo(in.meta.Index)
		n.incoming = nil
		n.replySnapshot(&in.lastMsg, Message{Done: true, Match: min(n.log.committed, n.log.stable)})
		return
	}
	if n.hs != n.out.hsDurable || n.log.stable < n.log.last() || len(n.out.writes) > 0 || n.log.applied < n.applicable() {
		return
	}
	in.writing = true
	n.out.chunkWrite = in.last
}

// ChunkWritten tells that the ChunkWrite of a Ready was done. With Done, the state machine
// is now the snapshot, applied up to its index, and the log on disk is empty. While a
// ChunkWrite with Done is outstanding no Ready has Entries or Committed; HardState may
// change and must survive.
func (n *Node) ChunkWritten(now time.Duration, w ChunkWrite, err error) {
	n.advance(now)
	in := n.incoming
	if in != nil && in.writing && in.meta.Index == w.Meta.Index && bytes.Equal(in.cursor, w.Cursor) {
		n.chunkWritten(in, w, err)
	}
	n.checkInvariants()
}

func (n *Node) chunkWritten(in *incoming, w ChunkWrite, err error) {
	in.writing = false
	reply := Message{Next: w.Next}
	switch {
	case err != nil:
		n.incoming = nil
		reply = Message{Reject: true}
	case w.Done:
		n.incoming = nil
		n.install(w.Meta)
		reply = Message{Done: true, Match: w.Meta.Index}
	default:
		in.cursor = w.Next
	}
	if in.term == n.hs.Term {
		n.replySnapshot(&in.lastMsg, reply)
	}
}

func (n *Node) install(meta SnapshotMeta) {
	n.out.dropped(n.log.committed + 1)
	n.out.truncated(1)
	n.log.reset(meta.Index, meta.Term)
	n.configs = configs{{index: meta.ConfigIndex, config: meta.Config}}
}
