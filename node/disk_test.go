package node

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"concord/node/machine"
	"concord/raft"
	"concord/store"
	"concord/store/memstore"
	"concord/store/raftlog"
)

type memory struct{ d *memstore.Disk }

func (s memory) Open() (store.Store, error)  { return memstore.Open(s.d), nil }
func (s memory) Fresh() (store.Store, error) { return memstore.Open(s.d), nil }
func (s memory) Adopt(store.Store) error     { return nil }

// noops are n entries, the first of them a configuration, with the term given from the index changed on.
func noops(n, changed int, term uint64) []raft.Entry {
	entries := make([]raft.Entry, n)
	for i := range entries {
		entries[i] = raft.Entry{Term: 1, Index: uint64(i + 1), Type: raft.EntryNoop}
		if i+1 >= changed {
			entries[i].Term = term
		}
	}
	entries[0].Type = raft.EntryConfig
	entries[0].Config = &raft.Configuration{Servers: []raft.Server{{ID: "a", Address: "a:1", Suffrage: raft.Voter}}}
	return entries
}

// TestRecover pairs logs with states: those that a crash can leave behind are mended, all others refused.
func TestRecover(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		term       uint64 // of the hard state
		log        int    // entries written
		compacted  int    // up to here, 0: not
		applied    int    // entries in the state
		appliedOf  uint64 // their term from the third on
		wantFirst  uint64
		wantBehind int // entries behind the applied one
		problem    string
	}{
		"new server":              {},
		"all applied":             {term: 2, log: 9, applied: 9, appliedOf: 1, wantFirst: 1},
		"a tail to replay":        {term: 2, log: 9, applied: 4, appliedOf: 1, wantFirst: 1, wantBehind: 5},
		"nothing was flushed":     {term: 2, log: 9, wantFirst: 1, wantBehind: 9},
		"compacted":               {term: 2, log: 9, compacted: 4, applied: 6, appliedOf: 1, wantFirst: 5, wantBehind: 3},
		"compacted to the end":    {term: 2, log: 9, compacted: 9, applied: 9, appliedOf: 1, wantFirst: 10},
		"installed, log not yet":  {term: 2, log: 3, applied: 8, appliedOf: 2, wantFirst: 9},
		"joined by snapshot":      {term: 2, applied: 8, appliedOf: 2, wantFirst: 9},
		"state rolled back":       {term: 2, log: 9, compacted: 6, applied: 4, appliedOf: 1, problem: "the state was rolled back"},
		"state missing":           {term: 2, log: 9, compacted: 6, problem: "the state is missing"},
		"log missing":             {applied: 8, appliedOf: 1, problem: "the log is missing"},
		"log rolled back":         {term: 1, log: 3, applied: 8, appliedOf: 2, problem: "the log was rolled back"},
		"state of another server": {term: 3, log: 9, applied: 5, appliedOf: 2, problem: "one of them is another server's"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := raftlog.OpenSized(vfs.NewMem(), "log", raftlog.Sizes{Segment: 64 << 10, Ahead: 4 << 10})
			require.NoError(t, err)
			m, err := machine.Open(memory{memstore.NewDisk()})
			require.NoError(t, err)
			w := l.Begin()
			if c.term > 0 {
				require.NoError(t, w.Add(&raft.HardState{Term: c.term}, nil))
			}
			if c.log > 0 {
				require.NoError(t, w.Add(nil, noops(c.log, c.log+1, 0)))
			}
			require.NoError(t, w.Commit())
			if c.compacted > 0 {
				require.NoError(t, l.CompactTo(raft.SnapshotMeta{Index: uint64(c.compacted), Term: 1}))
			}
			if c.applied > 0 {
				_, err := m.Apply(noops(c.applied, 3, c.appliedOf))
				require.NoError(t, err)
			}
			d, err := Recover(l, m)
			if c.problem != "" {
				require.ErrorIs(t, err, ErrMismatch)
				require.ErrorContains(t, err, c.problem)
				require.ErrorContains(t, err, remedy)
				return
			}
			require.NoError(t, err)
			require.Equal(t, uint64(c.applied), d.Raft.Applied)
			require.Equal(t, max(c.wantFirst, 1), d.Raft.FirstIndex)
			require.Len(t, d.Raft.Entries, c.wantBehind)
		})
	}
}
