package raft_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"concord/raft"
)

// TestSnapshotKeepsWhatTheLogGotMeanwhile: entries that arrive and are acknowledged while the chunks of a snapshot come in must
// survive its installation ("if existing log entry has same index and term as snapshot's last included entry, retain
// log entries following it", figure 13, step 6).
func TestSnapshotKeepsWhatTheLogGotMeanwhile(t *testing.T) {
	t.Parallel()
	s := start(t, 1)
	meta := raft.SnapshotMeta{Index: 4, Term: 2, Config: s.status().Config, ConfigIndex: 1}
	chunk := raft.Message{Type: raft.MsgSnapshot, From: "b", To: "a", Term: 2, Snapshot: &meta, Chunk: []byte("x"), Next: []byte("1"), SentAt: 10}
	s.step(chunk)

	late := raft.Message{Type: raft.MsgAppend, From: "b", To: "a", Term: 2, PrevIndex: 2, PrevTerm: 1, Entries: []raft.Entry{entry(3, 2), entry(4, 2), entry(5, 2)}, SentAt: 9}
	s.noDisk = true
	s.step(late) // in the log, and on its way to the disk

	chunk.Cursor, chunk.Next, chunk.Done, chunk.SentAt = []byte("1"), nil, true, 11
	s.step(chunk)
	s.noDisk = false
	for _, rd := range s.stuck {
		s.persist(rd)
	}
	require.EqualValues(t, 5, one(t, s.sent, raft.MsgAppendReply).Match)
	s.pump()
	require.True(t, one(t, s.sent, raft.MsgSnapshotReply).Done)
	require.EqualValues(t, 5, s.status().LastIndex, "entry 5 was acknowledged and is gone")
}

// TestInstallWaitsForTheTerm: after a crash a server must not find a state of a term that it knows nothing of.
func TestInstallWaitsForTheTerm(t *testing.T) {
	t.Parallel()
	s := start(t, 1)
	meta := raft.SnapshotMeta{Index: 9, Term: 7, Config: s.status().Config, ConfigIndex: 1}
	s.n.Step(s.now, raft.Message{Type: raft.MsgSnapshot, From: "b", To: "a", Term: 7, Snapshot: &meta, Chunk: []byte("x"), Done: true, SentAt: 10})
	rd := s.n.Ready()
	require.NotNil(t, rd.HardState)
	require.Nil(t, rd.ChunkWrite, "term 7 is not on disk yet")
	s.persist(rd)
	require.NotNil(t, s.n.Ready().ChunkWrite)
}
