package pebblestore

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"concord/store"
	"concord/store/storetest"
)

func opener(o Options) storetest.Open {
	return func(tb testing.TB) store.Store {
		o := o
		dir := ""
		if o.FS == nil {
			dir = tb.TempDir()
		} else {
			o.FS, dir = vfs.NewMem(), "db"
		}
		s, err := Open(dir, o)
		require.NoError(tb, err)
		return s
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	t.Run("memory", func(t *testing.T) { t.Parallel(); storetest.Run(t, opener(Options{FS: vfs.NewMem()}), true) })
	t.Run("disk", func(t *testing.T) { t.Parallel(); storetest.Run(t, opener(Options{}), true) })
	t.Run("without log", func(t *testing.T) {
		t.Parallel()
		storetest.Run(t, opener(Options{FS: vfs.NewMem(), DisableWAL: true}), false)
	})
}

// TestCrash loses unsynced data at a random moment: the store is then what it was after one of the
// commits, none before the last that was durable.
func TestCrash(t *testing.T) {
	t.Parallel()
	for _, noWAL := range []bool{false, true} {
		t.Run(fmt.Sprintf("DisableWAL=%v", noWAL), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) { crash(t, noWAL) })
		})
	}
}

func crash(t *rapid.T, noWAL bool) {
	fs := vfs.NewCrashableMem()
	s, err := Open("db", Options{FS: fs, DisableWAL: noWAL})
	require.NoError(t, err)
	model := map[string]string{}
	states, durable := [][]string{{}}, 0
	for range rapid.IntRange(1, 10).Draw(t, "commits") {
		b := s.NewBatch()
		storetest.Mutate(t, b, model)
		d := store.NoSync
		if !noWAL && rapid.Bool().Draw(t, "sync") {
			d = store.Sync
		}
		require.NoError(t, b.Commit(d))
		states = append(states, storetest.Contents(model))
		if d == store.Sync {
			durable = len(states) - 1
		}
		if rapid.IntRange(0, 3).Draw(t, "flush") == 0 {
			require.NoError(t, s.Flush())
			durable = len(states) - 1
		}
	}
	seed := rapid.Uint64().Draw(t, "seed")
	image := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rapid.SampledFrom([]int{0, 50, 100}).Draw(t, "kept"), RNG: rand.New(rand.NewPCG(seed, 1))})
	require.NoError(t, s.Close())
	again, err := Open("db", Options{FS: image, DisableWAL: noWAL})
	require.NoError(t, err)
	defer again.Close()
	found := storetest.Dump(t, again)
	require.True(t, slices.ContainsFunc(states[durable:], func(s []string) bool { return slices.Equal(s, found) }),
		"%v is none of the states since the last durable one, %v", found, states[durable:])
}

// TestFaults lets writes and syncs fail: what was acknowledged as synced is there after reopening, errors are told,
// and nothing hangs.
func TestFaults(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			faults(t, seed)
		})
	}
}

func faults(t *testing.T, seed uint64) {
	disk := vfs.NewMem()
	var failing atomic.Bool
	rng := rand.New(rand.NewPCG(seed, 2))
	fs := errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		kind := op.Kind
		if failing.Load() && (kind == errorfs.OpFileWrite || kind == errorfs.OpFileSync || kind == errorfs.OpFileSyncData || kind == errorfs.OpFileSyncTo) {
			return syscall.EIO
		}
		return nil
	}))
	fatal := make(chan error, 1)
	s, err := Open("db", Options{FS: fs, OnFatal: func(err error) { fatal <- err }})
	require.NoError(t, err)
	acked := 0
	commit := func(i int) error {
		done := make(chan error, 1)
		go func() {
			b := s.NewWriteBatch()
			if err := b.Set([]byte(fmt.Sprintf("%04d", i)), []byte("v")); err != nil {
				done <- err
				return
			}
			done <- b.Commit(store.Sync)
		}()
		select {
		case err := <-done:
			return err
		case err := <-fatal:
			return err // the caller is parked, and the process is told to end
		case <-time.After(20 * time.Second):
			t.Fatal("a commit hangs, and nobody was told")
		}
		return nil
	}
	breakAt := 1 + rng.IntN(50)
	for i := range 100 {
		failing.Store(i >= breakAt)
		if err := commit(i); err != nil {
			break
		}
		acked = i + 1
	}
	require.Equal(t, breakAt, acked, "a commit was acknowledged although its write failed")
	require.Error(t, s.usableAfterFault())
	again, err := Open("db", Options{FS: disk})
	if err != nil {
		require.ErrorIs(t, err, ErrLocked) // the parked store holds it within this process; a new process would not find it so
		return
	}
	defer again.Close()
	for i := range acked {
		_, ok, err := again.Get([]byte(fmt.Sprintf("%04d", i)))
		require.NoError(t, err)
		require.True(t, ok, "commit %d was acknowledged and is gone", i)
	}
}

func (s *Store) usableAfterFault() error { return s.usable() }

func TestLocked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	require.NoError(t, err)
	_, err = Open(dir, Options{})
	require.ErrorIs(t, err, ErrLocked)
	require.NoError(t, s.Close())
	s, err = Open(dir, Options{})
	require.NoError(t, err)
	require.NoError(t, s.Close())
}

func TestDamage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	found, err := filepath.Glob(filepath.Join(dir, "MANIFEST-*"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(found[0], []byte("nonsense"), 0o644))
	_, err = Open(dir, Options{})
	require.ErrorContains(t, err, dir)
	require.ErrorContains(t, err, "remove the directory")
}

func TestFull(t *testing.T) {
	t.Parallel()
	s := &Store{}
	require.ErrorIs(t, s.explain(fmt.Errorf("write: %w", syscall.ENOSPC)), ErrFull)
	require.False(t, errors.Is(s.explain(syscall.EIO), ErrFull))
}

func TestSyncWithoutLogIsRefused(t *testing.T) {
	t.Parallel()
	s, err := Open("db", Options{FS: vfs.NewMem(), DisableWAL: true})
	require.NoError(t, err)
	defer s.Close()
	b := s.NewBatch()
	defer b.Close()
	require.NoError(t, b.Set([]byte("a"), nil))
	require.ErrorContains(t, b.Commit(store.Sync), "Flush")
}
