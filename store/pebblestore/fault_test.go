package pebblestore

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"

	"concord/store"
)

// fault is what fails: operations of these kinds on files of which the name contains a text.
type fault struct {
	file  string
	kinds []errorfs.OpKind
}

var (
	syncs    = []errorfs.OpKind{errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo}
	writes   = []errorfs.OpKind{errorfs.OpFileWrite, errorfs.OpFileWriteAt}
	creation = []errorfs.OpKind{errorfs.OpCreate, errorfs.OpReuseForWrite}
	changes  = append(append(syncs[:3:3], writes...), creation...)
)

// flushFaults meet a flush.
var flushFaults = map[string]fault{
	"table create": {".sst", creation}, "table write": {".sst", writes}, "table sync": {".sst", syncs},
	"manifest write": {"MANIFEST", writes}, "manifest sync": {"MANIFEST", syncs}, "directory sync": {"db", syncs}, "anything": {"", changes},
}

func (f fault) hits(op errorfs.Op) bool {
	if f.file == "db" {
		return op.Path == "db" && has(f.kinds, op.Kind)
	}
	return strings.Contains(op.Path, f.file) && has(f.kinds, op.Kind)
}

func has(kinds []errorfs.OpKind, k errorfs.OpKind) bool {
	for _, x := range kinds {
		if x == k {
			return true
		}
	}
	return false
}

// breakable is a disk on which something fails from some moment on.
type breakable struct {
	vfs.FS
	mem   *vfs.MemFS
	cause atomic.Pointer[error]
}

func newBreakable(f fault) *breakable {
	b := &breakable{mem: vfs.NewCrashableMem()}
	b.FS = errorfs.Wrap(b.mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if cause := b.cause.Load(); cause != nil && f.hits(op) {
			return *cause
		}
		return nil
	}))
	return b
}

func (b *breakable) fail(cause error) { b.cause.Store(&cause) }

// crashed is what the disk has after a power cut that took all that was not synced.
func (b *breakable) crashed(seed uint64) vfs.FS {
	return b.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 0, RNG: rand.New(rand.NewPCG(seed, 3))})
}

// within fails the test if f does not return.
func within(t *testing.T, what string, f func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal(what + " hangs")
		return nil
	}
}

func commit(s *Store, key string, value []byte) error {
	b := s.NewWriteBatch()
	if err := b.Set([]byte(key), value); err != nil {
		return err
	}
	return b.Commit(store.NoSync)
}

// requireFailed: err says why s failed, OnFatal was told once, and each call says the same.
func requireFailed(t *testing.T, s *Store, err, cause error, told chan error) {
	t.Helper()
	var failed *FailedError
	require.ErrorAs(t, err, &failed)
	require.ErrorIs(t, err, cause)
	require.Equal(t, errors.Is(cause, syscall.ENOSPC), errors.Is(err, ErrFull), err)
	require.ErrorAs(t, <-told, &failed)
	require.Empty(t, told, "it is told once")
	late := s.NewBatch()
	require.NoError(t, late.Set([]byte("x"), nil))
	for _, call := range []struct {
		name string
		do   func() error
	}{
		{"Commit", func() error { return late.Commit(store.NoSync) }},
		{"Flush", s.Flush},
		{"Get", func() error { _, _, err := s.Get([]byte("0000")); return err }},
		{"Scan", func() error { return s.Scan(nil, nil, nil) }},
		{"NewSnapshot", func() error { _, err := s.NewSnapshot(); return err }},
		{"Size", func() error { s.Size(); return s.failure() }},
		{"Close", s.Close},
	} {
		require.ErrorIs(t, within(t, call.name, call.do), cause, call.name)
	}
	require.ErrorIs(t, late.Commit(store.NoSync), store.ErrEnded)
	require.ErrorIs(t, s.Close(), store.ErrClosed)
}

// TestFaults: when a part of the disk fails, every call returns, the first of them tells why, nothing succeeds any more,
// and what was flushed is on the disk. Nothing fails before the flush, which Pebble alone would repeat for ever.
func TestFaults(t *testing.T) {
	t.Parallel()
	for name, f := range flushFaults {
		for _, cause := range []error{syscall.EIO, syscall.ENOSPC} {
			t.Run(fmt.Sprintf("%s/%v", name, cause), func(t *testing.T) {
				t.Parallel()
				fs, told := newBreakable(f), make(chan error, 10)
				s, err := Open("db", Options{FS: fs, OnFatal: func(err error) { told <- err }})
				require.NoError(t, err)
				require.NoError(t, commit(s, "durable", nil))
				require.NoError(t, s.Flush())
				require.NoError(t, commit(s, "late", nil))
				snap, err := s.NewSnapshot()
				require.NoError(t, err)
				fs.fail(cause)
				err = within(t, "Flush", s.Flush)
				require.NoError(t, within(t, "Snapshot.Close", snap.Close))
				requireFailed(t, s, err, cause, told)
				again, err := Open("db", Options{FS: fs.crashed(1)})
				require.NoError(t, err)
				defer again.Close()
				_, ok, err := again.Get([]byte("durable"))
				require.NoError(t, err)
				require.True(t, ok)
			})
		}
	}
}

// TestStalledWriters: commits that wait for a flush to make room are told that there will be none.
func TestStalledWriters(t *testing.T) {
	t.Parallel()
	for name, f := range flushFaults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fs, told := newBreakable(f), make(chan error, 10)
			s, err := Open("db", Options{FS: fs, MemTableSize: 64 << 10, OnFatal: func(err error) { told <- err }})
			require.NoError(t, err)
			fs.fail(syscall.EIO)
			for i := 0; err == nil; i++ {
				require.Less(t, i, 10_000, "no commit failed")
				err = within(t, "Commit", func() error { return commit(s, fmt.Sprint(i), make([]byte, 2000)) })
			}
			requireFailed(t, s, err, syscall.EIO, told)
		})
	}
}

// TestEveryCallerIsTold: many wait for a flush, which fails.
func TestEveryCallerIsTold(t *testing.T) {
	t.Parallel()
	fs := newBreakable(flushFaults["table sync"])
	s, err := Open("db", Options{FS: fs})
	require.NoError(t, err)
	fs.fail(syscall.EIO)
	require.NoError(t, commit(s, "x", nil))
	var wg sync.WaitGroup
	errs := make(chan error, 8)
	for range 8 {
		wg.Go(func() { errs <- s.Flush() })
	}
	require.NoError(t, within(t, "one of eight", func() error { wg.Wait(); return nil }))
	for range 8 {
		require.ErrorIs(t, <-errs, syscall.EIO)
	}
}

// TestReopenAfterFailure: a store that has failed writes no more once it is closed, and lets go of its directory.
func TestReopenAfterFailure(t *testing.T) {
	t.Parallel()
	fs := newBreakable(flushFaults["anything"])
	s, err := Open("db", Options{FS: fs})
	require.NoError(t, err)
	require.NoError(t, commit(s, "flushed", nil))
	require.NoError(t, s.Flush())
	fs.fail(syscall.ENOSPC)
	require.NoError(t, commit(s, "lost", nil))
	require.ErrorIs(t, s.Flush(), ErrFull)
	require.ErrorIs(t, s.Close(), ErrFull)
	fs.cause.Store(nil)
	again, err := Open("db", Options{FS: fs})
	require.NoError(t, err)
	defer again.Close()
	_, ok, err := again.Get([]byte("flushed"))
	require.NoError(t, err)
	require.True(t, ok)
	require.NoError(t, commit(again, "later", nil))
	require.NoError(t, again.Flush())
}

// TestOpenOnABrokenDisk: Open tells, whatever fails first, and lets go of the directory.
func TestOpenOnABrokenDisk(t *testing.T) {
	t.Parallel()
	for i := range int32(60) {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			mem := vfs.NewMem()
			var n atomic.Int32
			fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && n.Add(1) > i {
					return syscall.EIO
				}
				return nil
			}))
			var s *Store
			err := within(t, "Open", func() (err error) { s, err = Open("db", Options{FS: fs}); return err })
			if err == nil {
				within(t, "Close", s.Close)
				return
			}
			require.ErrorIs(t, err, syscall.EIO)
			again, err := Open("db", Options{FS: mem})
			require.NoError(t, err)
			require.NoError(t, again.Close())
		})
	}
}

// TestDamagedTable: what was damaged on the disk is an error, not a wrong answer and not a hang.
func TestDamagedTable(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	s, err := Open("db", Options{FS: mem})
	require.NoError(t, err)
	require.NoError(t, commit(s, "k", make([]byte, 5000)))
	require.NoError(t, s.Flush())
	require.NoError(t, s.Close())
	names, err := mem.List("db")
	require.NoError(t, err)
	for _, name := range names {
		if strings.HasSuffix(name, ".sst") {
			f, err := mem.OpenReadWrite("db/"+name, vfs.WriteCategoryUnspecified)
			require.NoError(t, err)
			_, err = f.WriteAt([]byte("damage"), 10)
			require.NoError(t, err)
			require.NoError(t, f.Close())
		}
	}
	s, err = Open("db", Options{FS: mem})
	require.NoError(t, err)
	defer s.Close()
	require.Error(t, within(t, "Get", func() error { _, _, err := s.Get([]byte("k")); return err }))
}

func TestFull(t *testing.T) {
	t.Parallel()
	require.ErrorIs(t, explain(fmt.Errorf("write: %w", syscall.ENOSPC)), ErrFull)
	require.NotErrorIs(t, explain(syscall.EIO), ErrFull)
}
