package recovery

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"concord/internal/prng"
	"concord/node"
	"concord/node/machine"
	"concord/raft"
	"concord/store"
	"concord/store/memstore"
	"concord/store/raftlog"
)

type stores struct{ d *memstore.Disk }

func (s stores) Open() (store.Store, error)  { return memstore.Open(s.d), nil }
func (s stores) Fresh() (store.Store, error) { panic("no snapshot is installed here") }
func (s stores) Adopt(store.Store) error     { panic("no snapshot is installed here") }

// server is a server's disks.
type server struct {
	log   vfs.FS
	state *memstore.Disk
}

func fresh() server { return server{vfs.NewMem(), memstore.NewDisk()} }

func (s server) open(t require.TestingT) (*raftlog.Log, *machine.Machine) {
	l, err := raftlog.OpenSized(s.log, "log", raftlog.Sizes{Segment: 64 << 10, Ahead: 4 << 10})
	require.NoError(t, err)
	m, err := machine.Open(stores{s.state})
	require.NoError(t, err)
	return l, m
}

func voters(ids ...string) raft.Configuration {
	var c raft.Configuration
	for _, id := range ids {
		c.Servers = append(c.Servers, raft.Server{ID: raft.ID(id), Address: id + ":8300", Suffrage: raft.Voter})
	}
	return c
}

// history makes the log of a cluster whose terms only grow.
func history(t *rapid.T) []raft.Entry {
	first := voters("a", "b", "c", "d", "e")
	entries := []raft.Entry{{Term: 1, Index: 1, Type: raft.EntryConfig, Config: &first}}
	for term := uint64(1); len(entries) < rapid.IntRange(1, 30).Draw(t, "length"); {
		term += rapid.Uint64Range(0, 1).Draw(t, "term")
		e := raft.Entry{Term: term, Index: uint64(len(entries) + 1), Type: raft.EntryNoop}
		if rapid.IntRange(0, 3).Draw(t, "kind") == 0 {
			c := voters("a", "b", "c", rapid.StringMatching("[d-z]").Draw(t, "fourth"))
			e.Type, e.Config = raft.EntryConfig, &c
		}
		entries = append(entries, e)
	}
	return entries
}

// build writes a server whose log has entries, of which some were applied, and some of those compacted away.
func build(t *rapid.T, entries []raft.Entry) server {
	s := fresh()
	l, m := s.open(t)
	w := l.Begin()
	require.NoError(t, w.Add(&raft.HardState{Term: entries[len(entries)-1].Term + 1, VotedFor: "b"}, entries))
	require.NoError(t, w.Commit())
	if applied := rapid.IntRange(0, len(entries)).Draw(t, "applied"); applied > 0 {
		_, err := m.Apply(entries[:applied])
		require.NoError(t, err)
		if rapid.Bool().Draw(t, "compacted") {
			_, err = m.Flush()
			require.NoError(t, err)
			require.NoError(t, l.CompactTo(m.Applied().Meta()))
		}
	}
	require.NoError(t, m.Close())
	return s
}

// TestReplace checks on any log that the server starts with the new configuration, whatever of the log is
// truncated later, and that nothing else is different.
func TestReplace(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := build(t, history(t))
		config := voters("a", "x")
		l, m := s.open(t)
		before, err := node.Recover(l, m)
		require.NoError(t, err)
		times := rapid.IntRange(1, 2).Draw(t, "times")
		for range times {
			require.NoError(t, Replace(l, m, config))
		}
		require.NoError(t, m.Close())

		l, m = s.open(t)
		after, err := node.Recover(l, m)
		require.NoError(t, err)
		require.Equal(t, raft.HardState{Term: before.Raft.HardState.Term + uint64(times)*termLeap}, after.Raft.HardState)
		require.Equal(t, before.Raft.Applied, after.Raft.Applied)
		require.Equal(t, before.Raft.AppliedTerm, after.Raft.AppliedTerm)
		require.Equal(t, before.Raft.ConfigIndex, after.Raft.ConfigIndex)
		require.Len(t, after.Raft.Entries, len(before.Raft.Entries))
		if after.Raft.Applied > 0 {
			require.Equal(t, config, after.Raft.Config)
		}
		for i, e := range after.Raft.Entries {
			if want := before.Raft.Entries[i]; want.Type == raft.EntryConfig {
				want.Config = &config
				require.Equal(t, want, e)
			} else {
				require.Equal(t, want, e)
			}
		}
		for i := after.Raft.FirstIndex; i <= l.State().LastIndex; i++ {
			es, err := l.Entries(i, i, 1)
			require.NoError(t, err)
			require.True(t, es[0].Config == nil || es[0].Config.String() == config.String(), "entry %d", i)
		}
		n, err := raft.New(raft.Config{ID: "a"}, after.Raft, prng.New(1), 0)
		require.NoError(t, err)
		require.Equal(t, config, n.Status().Config)
	})
}

// TestReplaceAlone: a server that is its only voter leads at once.
func TestReplaceAlone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l, m := build(t, history(t)).open(t)
		require.NoError(t, Replace(l, m, voters("a")))
		d, err := node.Recover(l, m)
		require.NoError(t, err)
		n, err := raft.New(raft.Config{ID: "a"}, d.Raft, prng.New(1), 0)
		require.NoError(t, err)
		for n.HasReady() && n.Status().Role != raft.Leader {
			n.Persisted(0, n.Ready().ID)
		}
		require.Equal(t, raft.Leader, n.Status().Role)
	})
}

func TestReplaceNothing(t *testing.T) {
	t.Parallel()
	l, m := fresh().open(t)
	require.ErrorIs(t, Replace(l, m, voters("a")), ErrNothing)
}
