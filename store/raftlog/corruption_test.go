package raftlog

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"

	"concord/raft"
	"concord/store/raftlog/internal/segment"
)

// contents is all that a log says.
type contents struct {
	State   State
	Entries []raft.Entry
	Promise string
	Owner   string
}

func contentsOf(l *Log) (c contents, err error) {
	c = contents{State: l.State(), Promise: l.Promise(), Owner: l.identity}
	if c.State.LastIndex >= c.State.FirstIndex {
		c.Entries, err = l.Entries(c.State.FirstIndex, c.State.LastIndex, 1<<20)
	}
	return c, err
}

func read(fs vfs.FS) (c contents, err error) {
	l, err := OpenSized(fs, "log", tiny)
	if err != nil {
		return c, err
	}
	c, err = contentsOf(l)
	return c, errors.Join(err, l.Close())
}

// sample does something of every kind to a log, and calls after each time with what it contains.
func sample(fs vfs.FS, after func(contents)) error {
	l, err := OpenSized(fs, "log", tiny)
	if err != nil {
		return err
	}
	add := func(hs *raft.HardState, es ...raft.Entry) func() error {
		return func() error {
			w := l.Begin()
			if err := w.Add(hs, es); err != nil {
				return err
			}
			return w.Commit()
		}
	}
	for _, step := range []func() error{
		func() error { return nil },
		func() error { return l.Claim("node-1") },
		func() error { return l.SetPromise("a,b") },
		add(&raft.HardState{Term: 2, VotedFor: "b"}, entry(1, 1, "dropped"), raft.Entry{Index: 2, Term: 1, Type: raft.EntryConfig, Config: &config}),
		add(nil, raft.Entry{Index: 3, Term: 2, Type: raft.EntryNoop}, entry(4, 2, "data"), entry(5, 2, "")),
		func() error {
			return l.CompactTo(raft.SnapshotMeta{Index: 1, Term: 1, Config: config, ConfigIndex: 1})
		},
		add(&raft.HardState{Term: 3}, entry(5, 3, "another"), entry(6, 3, strings.Repeat("long", 30))),
		add(nil, entry(7, 3, strings.Repeat("long", 60)), entry(8, 3, strings.Repeat("long", 60))), // more than a file has room for
		func() error { return l.CompactTo(raft.SnapshotMeta{Index: 6, Term: 3}) },
		func() error { return l.Reset(raft.SnapshotMeta{Index: 20, Term: 3}) },
		add(&raft.HardState{Term: 9}, entry(21, 9, "x")),
		add(nil, entry(22, 9, "y"), entry(23, 9, strings.Repeat("z", 100))),
		add(nil, entry(23, 9, strings.Repeat("z", 99)), entry(24, 9, "z")),
		add(nil, entry(25, 9, "end")),
	} {
		if err := step(); err != nil {
			return err
		}
		c, err := contentsOf(l)
		if err != nil {
			return err
		}
		after(c)
	}
	return l.Close()
}

// TestCrashes cuts the power before each operation on the disk. The log is what it was after the last step that
// succeeded, or after the next one.
func TestCrashes(t *testing.T) {
	t.Parallel()
	var states []contents
	require.NoError(t, sample(vfs.NewMem(), func(c contents) { states = append(states, c) }))
	for _, kept := range []int{0, 50, 100} {
		rng := rand.New(rand.NewPCG(uint64(kept), 1))
		mem := vfs.NewCrashableMem()
		done, crashes := 0, 0
		fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
				crashes++
				c, err := read(mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: kept, RNG: rng}))
				require.NoError(t, err)
				require.Contains(t, states[max(0, done-1):min(done+1, len(states))], c)
			}
			return nil
		}))
		require.NoError(t, sample(fs, func(contents) { done++ }))
		require.Greater(t, crashes, 60)
	}
}

// TestEveryFlippedByte: whatever byte of the files changes, the log is refused, or is what it was before the last step:
// damage at the very end cannot be told from a write that a crash cut off.
func TestEveryFlippedByte(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	var states []contents
	require.NoError(t, sample(mem, func(c contents) { states = append(states, c) }))
	names, err := mem.List("log")
	require.NoError(t, err)
	refused := 0
	for _, name := range names {
		good := fileOf(t, mem, "log/"+name)
		for at := range good {
			copied := vfs.NewMem()
			_, err := vfs.Clone(mem, copied, "log", "log")
			require.NoError(t, err)
			flip(t, copied, "log/"+name, int64(at))
			c, err := read(copied)
			if err == nil {
				require.Contains(t, states[len(states)-2:], c, "%s, byte %d", name, at)
				continue
			}
			refused++
			var corrupt *CorruptError
			if !errors.As(err, &corrupt) {
				require.ErrorContains(t, err, "run the release that wrote it")
			}
		}
	}
	require.Greater(t, refused, 500)
}

func fileOf(t testing.TB, fs vfs.FS, name string) []byte {
	f, err := fs.Open(name)
	require.NoError(t, err)
	defer f.Close()
	p, err := io.ReadAll(f)
	require.NoError(t, err)
	return p
}

func flip(t testing.TB, fs vfs.FS, name string, at int64) {
	f, err := fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	require.NoError(t, err)
	p := []byte{0}
	_, err = f.ReadAt(p, at)
	require.NoError(t, err)
	p[0] ^= 1 << (at % 8)
	_, err = f.WriteAt(p, at)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

// grouped makes a log of what the groups say, the first of which begins it.
func grouped(t *testing.T, groups ...[]byte) vfs.FS {
	mem := vfs.NewMem()
	files, err := segment.Open(mem, "log", Sizes{}, func(p []byte) []byte { return append(p, groups[0]...) }, nil)
	require.NoError(t, err)
	for _, g := range groups[1:] {
		_, err := files.Append(append(make([]byte, segment.HeaderBytes), g...))
		require.NoError(t, err)
	}
	require.NoError(t, files.Close())
	return mem
}

func hardItem(term uint64) []byte {
	return appendItem([]byte{version}, kindHard, func(p []byte) []byte { return encodeHard(p, &raft.HardState{Term: term}) })
}

func beginItem(index, last uint64) []byte {
	return appendItem([]byte{version}, kindBegin, func(p []byte) []byte { return encodeBegin(p, &raft.SnapshotMeta{Index: index, Term: 1}, last) })
}

func entryItem(index, term uint64) []byte {
	e := entry(index, term, "data")
	return appendItem([]byte{version}, kindEntry, func(p []byte) []byte { return encodeEntry(p, &e) })
}

// What has good checksums and still cannot be a log is named, and the operator is told what to do.
func TestCorruption(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		groups [][]byte
		index  uint64
		reason string
	}{
		"an older term":     {[][]byte{beginItem(0, 0), hardItem(2), entryItem(1, 2), entryItem(2, 1)}, 2, "entry 2 is of term 1, behind one of term 2"},
		"older than before": {[][]byte{beginItem(7, 7), hardItem(2), entryItem(8, 0)}, 8, "entry 8 is of term 0, behind one of term 1"},
		"a newer term":      {[][]byte{beginItem(0, 0), hardItem(2), entryItem(1, 9)}, 1, "entry 1 is of term 9, but the server had only seen term 2"},
		"a gap":             {[][]byte{beginItem(0, 0), hardItem(2), entryItem(1, 1), entryItem(3, 1)}, 2, "entry 2 is missing"},
		"an older file":     {[][]byte{beginItem(3, 9), hardItem(2), entryItem(10, 1)}, 4, "entry 4 is missing"},
		"below":             {[][]byte{beginItem(3, 3), hardItem(2), entryItem(3, 1)}, 3, "below the first index, 4"},
		"begins nowhere":    {[][]byte{beginItem(3, 3), beginItem(9, 12)}, 0, "where the log begins"},
		"no such kind":      {[][]byte{beginItem(0, 0), appendItem([]byte{version}, '?', func(p []byte) []byte { return p })}, 0, "kind 3f"},
		"no such format":    {[][]byte{beginItem(0, 0), {77}}, 0, "format 4d"},
		"half an item":      {[][]byte{beginItem(0, 0), {version, kindHard, 0}}, 0, "cut off"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Open(grouped(t, c.groups...), "log")
			var corrupt *CorruptError
			require.ErrorAs(t, err, &corrupt)
			require.EqualValues(t, c.index, corrupt.Index)
			require.ErrorContains(t, err, c.reason)
			require.ErrorContains(t, err, "joins anew")
			require.ErrorContains(t, err, "operator raft recover")
		})
	}
}

// TestHeadMustAgree: a file that does not go on where the one before it ends was put there by somebody.
func TestHeadMustAgree(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	n := uint64(0)
	files, err := segment.Open(mem, "log", tiny, func(p []byte) []byte { n++; return append(p, beginItem(n, n)...) }, nil)
	require.NoError(t, err)
	for range 40 {
		_, err := files.Append(append(make([]byte, segment.HeaderBytes), hardItem(1)...))
		require.NoError(t, err)
	}
	_, err = Open(mem, "log")
	require.ErrorContains(t, err, "file 2 of the log does not go on where the one before it ends")
}

// Damage that comes while the log is open is met by whoever reads.
func TestCorruptionWhileOpen(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	l := reopen(t, mem)
	write(t, l, nil, entry(1, 1, "a"), entry(2, 1, "b"), entry(3, 1, "c"))
	at := l.index.items[1]
	flip(t, mem, fmt.Sprintf("log/%016d.log", at.segment), int64(at.at+at.n-1))
	for _, lo := range []uint64{1, 2} {
		_, err := l.Entries(lo, 3, 1<<20)
		var corrupt *CorruptError
		require.ErrorAs(t, err, &corrupt)
		require.EqualValues(t, 2, corrupt.Index)
	}
}

// TestFailure: after a sync that failed nothing is written, and nothing is said any more.
func TestFailure(t *testing.T) {
	t.Parallel()
	failing := false
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if failing && op.Kind == errorfs.OpFileSyncData {
			return syscall.EIO
		}
		return nil
	}))
	l, err := Open(fs, "log")
	require.NoError(t, err)
	write(t, l, nil, entry(1, 1, "a"))
	failing = true
	require.ErrorIs(t, l.SetPromise("x"), syscall.EIO)
	failing = false
	_, err = l.Entries(1, 1, 1)
	for _, err := range []error{err, l.SetPromise("x"), l.Claim("a"), l.Reset(raft.SnapshotMeta{Index: 9})} {
		var failed *FailedError
		require.ErrorAs(t, err, &failed)
		require.ErrorContains(t, err, "check the disk, and start again")
	}
	require.Empty(t, l.Promise())
}

// TestReadersMeanwhile: those who read while others write and compact get what they asked for, or hear that it is gone.
func TestReadersMeanwhile(t *testing.T) {
	t.Parallel()
	l := reopen(t, vfs.NewMem())
	write(t, l, nil, entry(1, 1, "1"))
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for reads := 0; ; reads++ {
				select {
				case <-done:
					return
				default:
				}
				s := l.State()
				es, err := l.Entries(s.FirstIndex, s.LastIndex, 1000)
				var corrupt *CorruptError
				if errors.As(err, &corrupt) {
					t.Error(err)
					return
				}
				for _, e := range es {
					if string(e.Data) != fmt.Sprint(e.Index) {
						t.Errorf("entry %d is %q", e.Index, e.Data)
					}
				}
			}
		})
	}
	for i := uint64(2); i < 3000; i++ {
		write(t, l, nil, entry(i, 1, fmt.Sprint(i)))
		if i%20 == 0 {
			require.NoError(t, l.CompactTo(raft.SnapshotMeta{Index: i - 10, Term: 1}))
		}
	}
	close(done)
	readers.Wait()
	require.NoError(t, l.Close())
}

// BenchmarkOpen opens a log of 100,000 entries of 256 bytes, all of which are checked.
func BenchmarkOpen(b *testing.B) {
	const n = 100_000
	dir := b.TempDir() + "/log"
	l, err := Open(vfs.Default, dir)
	require.NoError(b, err)
	data := strings.Repeat("x", 256)
	for i := uint64(1); i <= n; i += 100 {
		var es []raft.Entry
		for j := range uint64(100) {
			es = append(es, entry(i+j, 1, data))
		}
		write(b, l, nil, es...)
	}
	require.NoError(b, l.Close())
	for b.Loop() {
		l, err := Open(vfs.Default, dir)
		require.NoError(b, err)
		require.NoError(b, l.Close())
	}
}
