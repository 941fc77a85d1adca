package catalog

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Every record that commands lead to can be taken over, and none if it is of a later index.
func TestCheckRecord(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine()
		m.maxGraves, m.graveBatch = 3, 2
		n := rapid.IntRange(1, 40).Draw(t, "commands")
		for i := range n {
			m.apply(t, uint64(i+1), drawCommand(t, uint64(i+1)))
		}
		newest := uint64(0)
		var all []byte
		require.NoError(t, m.store.Scan([]byte{FirstKey}, []byte{LastKey}, func(k, v []byte) bool {
			require.NoError(t, CheckRecord(k, v, uint64(n)), "key %q", k)
			index, err := recordIndex(k, v)
			require.NoError(t, err)
			newest = max(newest, index)
			if index > 0 {
				require.ErrorIs(t, CheckRecord(k, v, index-1), ErrCorrupt)
			}
			all = AppendRecord(all, k, v)
			return true
		}))
		require.LessOrEqual(t, newest, uint64(n))
		require.NoError(t, m.store.Scan(nil, nil, func(k, v []byte) bool {
			key, value, rest, ok := CutRecord(all)
			require.True(t, ok)
			require.Equal(t, string(k), string(key))
			require.Equal(t, string(v), string(value))
			all = rest
			return true
		}), "there is nothing in other tables")
		require.Empty(t, all)
	})
}

// FuzzCheckRecord decodes what may be anything.
func FuzzCheckRecord(f *testing.F) {
	f.Add(key(tableKV, "k"), appendEntry(nil, &DirEntry{Value: []byte("v")}))
	f.Add(graveKey(Topic{Kind: TopicKV, Name: "x"}, 7), []byte{})
	f.Fuzz(func(t *testing.T, k, v []byte) { CheckRecord(k, v, 1<<40) })
}
