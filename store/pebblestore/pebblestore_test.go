package pebblestore

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
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
	t.Run("memory", func(t *testing.T) { t.Parallel(); storetest.Run(t, opener(Options{FS: vfs.NewMem()}), false) })
	t.Run("disk", func(t *testing.T) { t.Parallel(); storetest.Run(t, opener(Options{}), false) })
}

// TestCrash loses unsynced data at a random moment: the store is then what it was after one of the
// commits, none before the last that was durable.
func TestCrash(t *testing.T) {
	t.Parallel()
	rapid.Check(t, crash)
}

func crash(t *rapid.T) {
	fs := vfs.NewCrashableMem()
	s, err := Open("db", Options{FS: fs})
	require.NoError(t, err)
	model := map[string]string{}
	states, durable := [][]string{{}}, 0
	for range rapid.IntRange(1, 10).Draw(t, "commits") {
		b := s.NewBatch()
		storetest.Mutate(t, b, model)
		require.NoError(t, b.Commit(store.NoSync))
		states = append(states, storetest.Contents(model))
		if rapid.IntRange(0, 3).Draw(t, "flush") == 0 {
			require.NoError(t, s.Flush())
			durable = len(states) - 1
		}
	}
	seed := rapid.Uint64().Draw(t, "seed")
	image := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rapid.SampledFrom([]int{0, 50, 100}).Draw(t, "kept"), RNG: rand.New(rand.NewPCG(seed, 1))})
	require.NoError(t, s.Close())
	again, err := Open("db", Options{FS: image})
	require.NoError(t, err)
	defer again.Close()
	found := storetest.Dump(t, again)
	require.True(t, slices.ContainsFunc(states[durable:], func(s []string) bool { return slices.Equal(s, found) }),
		"%v is none of the states since the last durable one, %v", found, states[durable:])
}

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

func TestSyncIsRefused(t *testing.T) {
	t.Parallel()
	s, err := Open("db", Options{FS: vfs.NewMem()})
	require.NoError(t, err)
	defer s.Close()
	b := s.NewBatch()
	defer b.Close()
	require.NoError(t, b.Set([]byte("a"), nil))
	require.ErrorIs(t, b.Commit(store.Sync), ErrNoLog)
	require.ErrorIs(t, b.Commit(store.NoSync), store.ErrEnded)
}
