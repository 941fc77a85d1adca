package linearizability

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWitnessStale: an old state is a right answer to a stale read, one that never was is not.
func TestWitnessStale(t *testing.T) {
	t.Parallel()
	none := func(string) uint64 { return 0 }
	put := func(index uint64, key, value string) Op {
		return Op{Kind: Put, Key: key, Value: value, Index: index, Outcome: Done}
	}
	read := func(index uint64, got map[string]string) Op {
		return Op{Kind: List, Key: "k", Index: index, Got: got, Outcome: Done}
	}
	writes := []Op{put(3, "k1", "a"), put(5, "k2", "b"), put(7, "k1", "c")}
	for _, ok := range []Op{read(1, nil), read(3, map[string]string{"k1": "a"}), read(6, map[string]string{"k1": "a", "k2": "b"}),
		read(9, map[string]string{"k1": "c", "k2": "b"})} {
		require.NoError(t, WitnessStale(writes, []Op{ok}, none))
	}
	for _, bad := range []Op{read(4, map[string]string{"k2": "b"}), read(5, map[string]string{"k1": "a"}), read(7, map[string]string{"k1": "a", "k2": "b"}),
		read(2, map[string]string{"k1": "a"})} {
		require.Error(t, WitnessStale(writes, []Op{bad}, none))
	}
}
