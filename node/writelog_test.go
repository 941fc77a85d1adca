package node

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"concord/raft"
	"concord/store/raftlog"
)

// TestEntriesBehindACompaction: tasks that are written together, a compaction before entries, leave the log beginning where the
// compaction says.
func TestEntriesBehindACompaction(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	l, err := raftlog.Open(fs, "log")
	require.NoError(t, err)
	entry := func(index uint64) raft.Entry {
		return raft.Entry{Index: index, Term: 1, Type: raft.EntryCommand, Data: []byte("x")}
	}
	require.NoError(t, WriteLog(l, []PersistTask{{HardState: &raft.HardState{Term: 1}, Entries: []raft.Entry{entry(1), entry(2), entry(3)}}}))
	config := raft.Configuration{Servers: []raft.Server{{ID: "a", Suffrage: raft.Voter}}}
	require.NoError(t, WriteLog(l, []PersistTask{
		{Compact: &raft.SnapshotMeta{Index: 2, Term: 1, Config: config, ConfigIndex: 1}},
		{Entries: []raft.Entry{entry(4)}},
	}))
	require.EqualValues(t, 3, l.State().FirstIndex)
	_, err = l.Entries(1, 4, 1<<20)
	require.Error(t, err)
	got, err := l.Entries(3, 4, 1<<20)
	require.NoError(t, err)
	require.Len(t, got, 2)
	require.NoError(t, l.Close())
}
