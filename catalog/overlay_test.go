package catalog

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"concord/store"
	"concord/store/memstore"
)

// TestOverlay: reads of an overlay are those of a store that was written to, its base stays as it was until commit, and
// then is that store.
func TestOverlay(t *testing.T) {
	t.Parallel()
	keys := rapid.SliceOfN(rapid.ByteRange(1, 3), 1, 3)
	rapid.Check(t, func(t *rapid.T) {
		plain, under := memstore.Open(memstore.NewDisk()), memstore.Open(memstore.NewDisk())
		for i := range rapid.IntRange(0, 12).Draw(t, "before") {
			k := keys.Draw(t, "key")
			for _, s := range []*memstore.Store{plain, under} {
				b := s.NewBatch()
				require.NoError(t, b.Set(k, fmt.Append(nil, i)))
				require.NoError(t, b.Commit(store.NoSync))
			}
		}
		want, base := plain.NewBatch(), under.NewBatch()
		before := all(t, base)
		got := &overlay{base: base}
		for i := range rapid.IntRange(0, 20).Draw(t, "steps") {
			lo, hi := keys.Draw(t, "lo"), keys.Draw(t, "hi")
			for _, txn := range []Txn{want, got} {
				switch i % 3 {
				case 0:
					require.NoError(t, txn.Set(lo, fmt.Append(nil, "new", i)))
				case 1:
					require.NoError(t, txn.Delete(lo))
				default:
					require.NoError(t, txn.DeleteRange(lo, hi))
				}
			}
			sameReads(t, want, got, keys.Draw(t, "from"), keys.Draw(t, "to"))
		}
		require.Equal(t, before, all(t, base))
		require.NoError(t, got.commit())
		require.Equal(t, all(t, want), all(t, base))
	})
}

func sameReads(t *rapid.T, want, got Txn, lo, hi []byte) {
	require.Equal(t, all(t, want), all(t, got))
	value, ok, err := want.Get(lo)
	require.NoError(t, err)
	value2, ok2, err := got.Get(lo)
	require.NoError(t, err)
	require.Equal(t, ok, ok2)
	require.Equal(t, string(value), string(value2))
	first := func(txn Txn) (found string) {
		require.NoError(t, txn.Scan(lo, hi, func(k, v []byte) bool { found += fmt.Sprintf("%q=%q ", k, v); return len(found) < 12 }))
		return found
	}
	require.Equal(t, first(want), first(got))
	k, v, ok, err := want.Last(lo, hi)
	require.NoError(t, err)
	k2, v2, ok2, err := got.Last(lo, hi)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("%q=%q %v", k, v, ok), fmt.Sprintf("%q=%q %v", k2, v2, ok2))
}

func all(t *rapid.T, v View) (list []string) {
	require.NoError(t, v.Scan([]byte{0}, nil, func(k, v []byte) bool { list = append(list, fmt.Sprintf("%q=%q", k, v)); return true }))
	return list
}
