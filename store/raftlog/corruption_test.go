package raftlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"concord/raft"
	"concord/store"
	"concord/store/memstore"
	"concord/store/pebblestore"
)

// contents is all that a log says.
type contents struct {
	State   State
	Entries []raft.Entry
	Promise string
	Owner   string
}

func read(st store.Store) (c contents, err error) {
	l, err := Open(st)
	if err != nil {
		return c, err
	}
	c.State, c.Owner = l.State(), l.identity
	if c.Promise, err = l.Promise(); err != nil || c.State.LastIndex < c.State.FirstIndex {
		return c, err
	}
	c.Entries, err = l.Entries(c.State.FirstIndex, c.State.LastIndex, 1<<20)
	return c, err
}

// sample fills a log with something of every kind.
func sample(t testing.TB, st store.Store) {
	l, err := Open(st)
	require.NoError(t, err)
	require.NoError(t, l.Claim("node-1"))
	require.NoError(t, l.SetPromise("a,b"))
	write(t, l, &raft.HardState{Term: 2, VotedFor: "b"}, entry(1, 1, "dropped"), raft.Entry{Index: 2, Term: 1, Type: raft.EntryConfig, Config: &config})
	write(t, l, nil, raft.Entry{Index: 3, Term: 2, Type: raft.EntryNoop}, entry(4, 2, "data"), entry(5, 2, ""))
	require.NoError(t, l.CompactTo(raft.SnapshotMeta{Index: 1, Term: 1, Config: config, ConfigIndex: 1}))
}

type record struct{ key, value string }

func records(t testing.TB, st store.Store) (out []record) {
	require.NoError(t, st.Scan(nil, nil, func(k, v []byte) bool { out = append(out, record{string(k), string(v)}); return true }))
	return out
}

func stored(t testing.TB, rs []record) store.Store {
	st := memstore.Open(memstore.NewDisk())
	b := st.NewWriteBatch()
	for _, r := range rs {
		require.NoError(t, b.Set([]byte(r.key), []byte(r.value)))
	}
	require.NoError(t, b.Commit(store.NoSync))
	return st
}

func flipped(s string, i int, mask byte) string {
	p := []byte(s)
	p[i] ^= mask
	return string(p)
}

// TestEveryFlippedByte: whatever byte of a key or of a value changes, the log is refused.
func TestEveryFlippedByte(t *testing.T) {
	t.Parallel()
	st := memstore.Open(memstore.NewDisk())
	sample(t, st)
	rs := records(t, st)
	damaged := func(at int, r record) {
		changed := append(append(append([]record{}, rs[:at]...), r), rs[at+1:]...)
		c, err := read(stored(t, changed))
		require.Error(t, err, "%x = %x instead of %x = %x was read as %+v", r.key, r.value, rs[at].key, rs[at].value, c)
		var corrupt *CorruptError
		if !errors.As(err, &corrupt) {
			require.ErrorContains(t, err, "run the release that wrote it")
		}
	}
	for at, r := range rs {
		for bit := range 8 {
			for i := range r.key {
				damaged(at, record{flipped(r.key, i, 1<<bit), r.value})
			}
			for i := range r.value {
				damaged(at, record{r.key, flipped(r.value, i, 1<<bit)})
			}
		}
		for i := range r.value {
			damaged(at, record{r.key, r.value[:i]})
		}
		damaged(at, record{r.key, r.value + "\x00"})
	}
}

// TestEveryFlippedByteOnDisk: whatever byte of Pebble's files changes, the log is refused, or is what it was after some
// commit: damage at the very end of the write-ahead log cannot be told from a write that a crash cut off.
func TestEveryFlippedByteOnDisk(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	st, err := pebblestore.Open("db", pebblestore.Options{FS: mem})
	require.NoError(t, err)
	sample(t, st)
	require.NoError(t, st.Flush())
	l, err := Open(st)
	require.NoError(t, err)
	states := []contents{mustRead(t, st)}
	for i := range uint64(3) {
		write(t, l, nil, entry(6+i, 3+i, fmt.Sprint("later", i)))
		states = append(states, mustRead(t, st))
	}
	require.NoError(t, st.Close())
	names, err := mem.List("db")
	require.NoError(t, err)
	step := int64(1)
	if testing.Short() {
		step = 11 // no divisor of 8, so that every bit has its turn
	}
	for _, name := range names {
		if strings.HasPrefix(name, "OPTIONS") || name == "LOCK" {
			continue
		}
		for at := int64(0); at < used(t, mem, "db/"+name); at += step {
			copied := vfs.NewMem()
			_, err := vfs.Clone(mem, copied, "db", "db")
			require.NoError(t, err)
			flip(t, copied, "db/"+name, at)
			st, err := pebblestore.Open("db", pebblestore.Options{FS: copied})
			if err != nil {
				continue
			}
			c, err := read(st)
			st.Close()
			if err == nil {
				require.Contains(t, states, c, "%s, byte %d", name, at)
			}
		}
	}
}

// used is how long a file is without the zeros that a log has behind its end, a few of them excepted.
func used(t *testing.T, fs vfs.FS, name string) int64 {
	f, err := fs.Open(name)
	require.NoError(t, err)
	defer f.Close()
	p, err := io.ReadAll(f)
	require.NoError(t, err)
	return int64(min(len(p), len(bytes.TrimRight(p, "\x00"))+20))
}

func mustRead(t *testing.T, st store.Store) contents {
	c, err := read(st)
	require.NoError(t, err)
	return c
}

func flip(t *testing.T, fs vfs.FS, name string, at int64) {
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

// What was damaged is named, and the operator is told what to do.
func TestCorruption(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(key, value string) (record, bool)
		reason string
	}{
		"a flipped bit": {func(k, v string) (record, bool) { return record{k, flipped(v, len(v)-1, 1)}, true }, "entry 4 is damaged (wrong checksum)"},
		"cut off":       {func(k, v string) (record, bool) { return record{k, v[:3]}, true }, "entry 4 is cut off"},
		"missing":       {func(k, v string) (record, bool) { return record{}, false }, "entry 4 is missing"},
		"another entry": {func(k, v string) (record, bool) {
			e := entry(5, 2, "")
			return record{k, string(seal(entryKey(5), encodeEntry(&e)))}, true
		}, "entry 4 is damaged (wrong checksum)"},
		"an older term": {func(k, v string) (record, bool) {
			e := entry(4, 1, "")
			return record{k, string(seal([]byte(k), encodeEntry(&e)))}, true
		}, "entry 4 is of term 1, behind one of term 2"},
		"a newer term": {func(k, v string) (record, bool) {
			e := entry(4, 9, "")
			return record{k, string(seal([]byte(k), encodeEntry(&e)))}, true
		}, "entry 4 is of term 9, but the server had only seen term 2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := memstore.Open(memstore.NewDisk())
			sample(t, st)
			key := string(entryKey(4))
			var out []record
			for _, r := range records(t, st) {
				if r.key == key {
					changed, keep := c.change(r.key, r.value)
					if !keep {
						continue
					}
					r = changed
				}
				out = append(out, r)
			}
			_, err := Open(stored(t, out))
			var corrupt *CorruptError
			require.ErrorAs(t, err, &corrupt)
			require.EqualValues(t, 4, corrupt.Index)
			require.ErrorContains(t, err, c.reason)
			require.ErrorContains(t, err, "joins anew")
			require.ErrorContains(t, err, "operator raft recover")
		})
	}
}

// Damage that comes while the log is open is met by whoever reads.
func TestCorruptionWhileOpen(t *testing.T) {
	t.Parallel()
	l, st := reopen(t, memstore.NewDisk())
	write(t, l, nil, entry(1, 1, "a"), entry(2, 1, "b"), entry(3, 1, "c"))
	for _, damage := range []func(b store.Batch) error{
		func(b store.Batch) error { return b.Set(entryKey(2), []byte("rubbish")) },
		func(b store.Batch) error { return b.Delete(entryKey(2)) },
	} {
		b := st.NewBatch()
		require.NoError(t, damage(b))
		require.NoError(t, b.Commit(store.Sync))
		for _, lo := range []uint64{1, 2} {
			_, err := l.Entries(lo, 3, 1<<20)
			var corrupt *CorruptError
			require.ErrorAs(t, err, &corrupt)
			require.EqualValues(t, 2, corrupt.Index)
		}
	}
}

func TestOtherVersionsAreRefused(t *testing.T) {
	t.Parallel()
	st := memstore.Open(memstore.NewDisk())
	sample(t, st)
	b := st.NewBatch()
	require.NoError(t, b.Set([]byte{kindVersion}, []byte{version + 1}))
	require.NoError(t, b.Commit(store.Sync))
	_, err := Open(st)
	require.ErrorContains(t, err, "not known to this release")
	b = st.NewBatch()
	require.NoError(t, b.Delete([]byte{kindVersion}))
	require.NoError(t, b.Commit(store.Sync))
	_, err = Open(st)
	require.ErrorContains(t, err, "the format version is missing")
}

// BenchmarkOpen opens a log of 100,000 entries of 256 bytes, all of which are checked.
func BenchmarkOpen(b *testing.B) {
	const n = 100_000
	st, err := pebblestore.Open(b.TempDir(), pebblestore.Options{})
	require.NoError(b, err)
	defer st.Close()
	l, err := Open(st)
	require.NoError(b, err)
	data := strings.Repeat("x", 256)
	for i := uint64(1); i <= n; i += 100 {
		var es []raft.Entry
		for j := range uint64(100) {
			es = append(es, entry(i+j, 1, data))
		}
		write(b, l, nil, es...)
	}
	for b.Loop() {
		_, err := Open(st)
		require.NoError(b, err)
	}
}
