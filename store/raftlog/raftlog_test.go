package raftlog

import (
	"bytes"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"concord/raft"
)

func entry(index, term uint64, data string) raft.Entry {
	return raft.Entry{Index: index, Term: term, Type: raft.EntryCommand, Data: []byte(data)}
}

var config = raft.Configuration{Servers: []raft.Server{{ID: "a", Address: "127.0.0.1:1", Suffrage: raft.Voter}, {ID: "b", Suffrage: raft.Nonvoter}}}

// tiny is small enough for a few entries to fill several files.
var tiny = Sizes{Segment: 400, Ahead: 100, Spares: 2}

func reopen(t require.TestingT, disk vfs.FS) *Log {
	l, err := OpenSized(disk, "log", tiny)
	require.NoError(t, err)
	return l
}

// write adds entries, and the hard state that a server has at least then.
func write(t require.TestingT, l *Log, hs *raft.HardState, entries ...raft.Entry) {
	if n := len(entries); hs == nil && n > 0 && entries[n-1].Term > l.State().HardState.Term {
		hs = &raft.HardState{Term: entries[n-1].Term}
	}
	w := l.Begin()
	require.NoError(t, w.Add(hs, entries))
	require.NoError(t, w.Commit())
}

func all(t require.TestingT, l *Log) []raft.Entry {
	s := l.State()
	if s.LastIndex < s.FirstIndex {
		return nil
	}
	out, err := l.Entries(s.FirstIndex, s.LastIndex, 1<<30)
	require.NoError(t, err)
	return out
}

func TestEverythingSurvivesReopening(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	l := reopen(t, disk)
	hs := &raft.HardState{Term: 3, VotedFor: "a"}
	entries := []raft.Entry{{Index: 1, Term: 1, Type: raft.EntryConfig, Config: &config}, {Index: 2, Term: 2, Type: raft.EntryNoop}, entry(3, 3, "x")}
	write(t, l, hs, entries...)
	require.NoError(t, l.SetPromise("a,b"))
	require.NoError(t, l.Claim("node-1"))
	l = reopen(t, disk)
	require.Equal(t, State{HardState: *hs, FirstIndex: 1, LastIndex: 3}, l.State())
	require.Equal(t, entries, all(t, l))
	require.Equal(t, "a,b", l.Promise())
	require.NoError(t, l.Claim("node-1"))
	require.ErrorIs(t, l.Claim("node-2"), ErrIdentity)
}

func TestOverwriteCompactReset(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	l := reopen(t, disk)
	write(t, l, nil, entry(1, 1, "a"), entry(2, 1, "b"), entry(3, 1, "c"))
	write(t, l, nil, entry(2, 2, "B"))
	require.Equal(t, []raft.Entry{entry(1, 1, "a"), entry(2, 2, "B")}, all(t, l))
	meta := raft.SnapshotMeta{Index: 1, Term: 1, Config: config, ConfigIndex: 1}
	require.NoError(t, l.CompactTo(meta))
	require.NoError(t, l.CompactTo(raft.SnapshotMeta{Index: 1}), "it begins there already")
	require.Error(t, l.CompactTo(raft.SnapshotMeta{Index: 9}))
	l = reopen(t, disk)
	require.Equal(t, meta, l.State().Meta)
	require.Equal(t, []raft.Entry{entry(2, 2, "B")}, all(t, l))
	_, err := l.Entries(1, 2, 10)
	require.Error(t, err)
	require.NoError(t, l.Reset(raft.SnapshotMeta{Index: 10, Term: 4}))
	l = reopen(t, disk)
	require.EqualValues(t, 11, l.State().FirstIndex)
	require.Empty(t, all(t, l))
	write(t, l, nil, entry(11, 4, "z"))
	w := l.Begin()
	require.Error(t, w.Add(nil, []raft.Entry{entry(14, 4, "gap")}))
	require.Error(t, w.Add(nil, []raft.Entry{entry(5, 4, "below")}))
}

func TestEntriesAreBounded(t *testing.T) {
	t.Parallel()
	l := reopen(t, vfs.NewMem())
	write(t, l, nil, entry(1, 1, "aaaa"), entry(2, 1, "bbbb"), entry(3, 1, "cccc"))
	one, err := l.Entries(1, 3, 1)
	require.NoError(t, err)
	require.Len(t, one, 1, "at least one")
	two, err := l.Entries(1, 3, 30)
	require.NoError(t, err)
	require.Len(t, two, 2)
}

// The log is what a slice would be, over random writes and crashes.
func TestAgainstSlice(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		disk := vfs.NewMem()
		l := reopen(t, disk)
		first, model, term := uint64(1), []raft.Entry(nil), uint64(1)
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			last := first + uint64(len(model)) - 1
			switch rapid.IntRange(0, 4).Draw(t, "kind") {
			case 0, 1:
				term++
				at := rapid.Uint64Range(first, last+1).Draw(t, "at")
				var es []raft.Entry
				for i := range rapid.Uint64Range(1, 4).Draw(t, "n") {
					es = append(es, entry(at+i, term, rapid.StringN(0, 5, 5).Draw(t, "data")))
				}
				write(t, l, &raft.HardState{Term: term}, es...)
				model = append(slices.Clone(model[:at-first]), es...)
			case 2:
				if len(model) > 0 {
					to := rapid.Uint64Range(first, last).Draw(t, "compact")
					require.NoError(t, l.CompactTo(raft.SnapshotMeta{Index: to, Term: model[to-first].Term}))
					model, first = slices.Clone(model[to-first+1:]), to+1
				}
			case 3:
				to := last + rapid.Uint64Range(0, 5).Draw(t, "reset")
				require.NoError(t, l.Reset(raft.SnapshotMeta{Index: to, Term: term}))
				model, first = nil, to+1
			case 4:
				l = reopen(t, disk)
			}
			require.Equal(t, first, l.State().FirstIndex)
			got := all(t, l)
			require.Equal(t, len(model), len(got))
			for i := range model {
				require.True(t, model[i].Index == got[i].Index && model[i].Term == got[i].Term && bytes.Equal(model[i].Data, got[i].Data))
			}
		}
	})
}

// BenchmarkWrite64 is what a batch of 64 entries costs besides the disk.
func BenchmarkWrite64(b *testing.B) {
	l, err := Open(noDisk{vfs.NewMem()}, "log")
	require.NoError(b, err)
	data := string(make([]byte, 300))
	next := uint64(1)
	es := make([]raft.Entry, 64)
	b.ReportAllocs()
	for b.Loop() {
		for i := range es {
			es[i] = entry(next, 1, data)
			next++
		}
		write(b, l, nil, es...)
	}
}

// noDisk takes what is written and keeps nothing.
type noDisk struct{ vfs.FS }

func (d noDisk) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := d.FS.OpenReadWrite(name, c, opts...)
	return noFile{f}, err
}

type noFile struct{ vfs.File }

func (noFile) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
