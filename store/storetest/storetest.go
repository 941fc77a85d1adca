// Package storetest is the suite that every engine of package store must pass.
package storetest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"concord/store"
)

// Open opens an empty store; the suite closes it.
type Open func(tb testing.TB) store.Store

// Run runs the suite. synced tells whether the engine takes commits with store.Sync.
func Run(t *testing.T, open Open, synced bool) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, store.Store){
		"scan and last": scanAndLast, "snapshots": snapshots, "batches": batches, "copies": copies, "closed": closed,
		"ended": ended, "write only": writeOnly, "unbounded": unbounded, "two batches": twoBatches, "empty": empty, "closing": closing,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			test(t, s)
			s.Close()
		})
	}
	t.Run("oracle", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(rt *rapid.T) {
			s := open(t)
			defer s.Close()
			against(rt, s, synced)
		})
	})
}

func set(t require.TestingT, s store.Store, kv ...string) {
	b := s.NewBatch()
	for i := 0; i < len(kv); i += 2 {
		require.NoError(t, b.Set([]byte(kv[i]), []byte(kv[i+1])))
	}
	require.NoError(t, b.Commit(store.NoSync))
}

// dump reads keys and values in [lo, hi).
func dump(t require.TestingT, r store.Reader, lo, hi []byte) []string {
	out := []string{}
	require.NoError(t, r.Scan(lo, hi, func(k, v []byte) bool {
		out = append(out, string(k)+"="+string(v))
		return true
	}))
	return out
}

func scanAndLast(t *testing.T, s store.Store) {
	set(t, s, "a", "1", "b", "2", "ba", "3", "c", "4")
	require.Equal(t, []string{"b=2", "ba=3"}, dump(t, s, []byte("b"), []byte("c")))
	require.Equal(t, []string{"a=1", "b=2", "ba=3", "c=4"}, dump(t, s, nil, nil))
	stopped := 0
	require.NoError(t, s.Scan(nil, nil, func(_, _ []byte) bool { stopped++; return stopped < 2 }))
	require.Equal(t, 2, stopped)
	k, v, ok, err := s.Last([]byte("a"), []byte("c"))
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, "ba=3", string(k)+"="+string(v))
	_, _, ok, err = s.Last([]byte("bb"), []byte("c"))
	require.NoError(t, err)
	require.False(t, ok)
	k, _, ok, err = s.Last(nil, nil)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, "c", string(k))
}

func snapshots(t *testing.T, s store.Store) {
	set(t, s, "a", "1")
	snap, err := s.NewSnapshot()
	require.NoError(t, err)
	set(t, s, "a", "2", "b", "3")
	require.Equal(t, []string{"a=1"}, dump(t, snap, nil, nil))
	require.Equal(t, []string{"a=2", "b=3"}, dump(t, s, nil, nil))
	require.NoError(t, snap.Close())
}

func batches(t *testing.T, s store.Store) {
	set(t, s, "a", "1", "b", "2", "c", "3")
	b := s.NewBatch()
	require.NoError(t, b.Set([]byte("d"), []byte("4")))
	require.NoError(t, b.Delete([]byte("a")))
	require.NoError(t, b.DeleteRange([]byte("b"), []byte("c")))
	require.Positive(t, b.Len())
	require.Equal(t, []string{"c=3", "d=4"}, dump(t, b, nil, nil), "a batch reads its own writes")
	require.Equal(t, []string{"a=1", "b=2", "c=3"}, dump(t, s, nil, nil), "nobody else does before it is committed")
	require.NoError(t, b.Commit(store.NoSync))
	require.Equal(t, []string{"c=3", "d=4"}, dump(t, s, nil, nil))
	dropped := s.NewBatch()
	require.NoError(t, dropped.Set([]byte("e"), nil))
	require.NoError(t, dropped.Close())
	require.Equal(t, []string{"c=3", "d=4"}, dump(t, s, nil, nil))
	w := s.NewWriteBatch()
	require.NoError(t, w.Set([]byte("f"), []byte{}))
	require.NoError(t, w.Commit(store.NoSync))
	v, ok, err := s.Get([]byte("f"))
	require.NoError(t, err)
	require.True(t, ok)
	require.Empty(t, v)
}

// copies: neither what goes in nor what comes out is shared.
func copies(t *testing.T, s store.Store) {
	key, value := []byte("k"), []byte("v")
	b := s.NewBatch()
	require.NoError(t, b.Set(key, value))
	key[0], value[0] = 'x', 'x'
	require.NoError(t, b.Commit(store.NoSync))
	got, ok, err := s.Get([]byte("k"))
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, "v", string(got))
	got[0] = 'y'
	again, _, err := s.Get([]byte("k"))
	require.NoError(t, err)
	require.Equal(t, "v", string(again))
}

func closed(t *testing.T, s store.Store) {
	require.NoError(t, s.Close())
	_, _, err := s.Get([]byte("a"))
	require.ErrorIs(t, err, store.ErrClosed)
	require.ErrorIs(t, s.Scan(nil, nil, nil), store.ErrClosed)
	_, err = s.NewSnapshot()
	require.ErrorIs(t, err, store.ErrClosed)
	require.ErrorIs(t, s.Flush(), store.ErrClosed)
}

var keys = rapid.StringMatching(`[a-c]{1,3}`)

// Mutate makes random writes in a batch and in a plain map.
func Mutate(t *rapid.T, b store.Batch, model map[string]string) {
	for range rapid.IntRange(1, 6).Draw(t, "writes") {
		k := keys.Draw(t, "key")
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0, 1:
			v := fmt.Sprint(rapid.IntRange(0, 99).Draw(t, "value"))
			require.NoError(t, b.Set([]byte(k), []byte(v)))
			model[k] = v
		case 2:
			require.NoError(t, b.Delete([]byte(k)))
			delete(model, k)
		case 3:
			hi := keys.Draw(t, "hi")
			if hi < k {
				k, hi = hi, k
			}
			require.NoError(t, b.DeleteRange([]byte(k), []byte(hi)))
			for m := range model {
				if m >= k && m < hi {
					delete(model, m)
				}
			}
		}
	}
}

// Contents is what a model contains, as Dump shows it.
func Contents(model map[string]string) []string {
	out := []string{}
	for k, v := range model {
		out = append(out, k+"="+v)
	}
	slices.Sort(out)
	return out
}

// Dump is what a store contains.
func Dump(t require.TestingT, r store.Reader) []string { return dump(t, r, nil, nil) }

// against compares a store with a plain map under random commits.
func against(t *rapid.T, s store.Store, synced bool) {
	model := map[string]string{}
	for range rapid.IntRange(1, 12).Draw(t, "commits") {
		b := s.NewBatch()
		Mutate(t, b, model)
		require.Equal(t, Contents(model), dump(t, b, nil, nil))
		d := store.NoSync
		if synced && rapid.Bool().Draw(t, "sync") {
			d = store.Sync
		}
		require.NoError(t, b.Commit(d))
		if rapid.IntRange(0, 4).Draw(t, "flush") == 0 {
			require.NoError(t, s.Flush())
		}
		require.Equal(t, Contents(model), dump(t, s, nil, nil))
		k := keys.Draw(t, "asked")
		v, ok, err := s.Get([]byte(k))
		require.NoError(t, err)
		want, has := model[k]
		require.Equal(t, has, ok)
		require.Equal(t, want, string(v))
	}
}
