package prng

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The numbers of a seed are the same in every release, or seeds would mean something else.
func TestGolden(t *testing.T) {
	t.Parallel()
	r := New(1)
	require.Equal(t, []uint64{0x910a2dec89025cc1, 0xbeeb8da1658eec67, 0xf893a2eefb32555e}, []uint64{r.Uint64(), r.Uint64(), r.Uint64()})
}

func TestForksDoNotDependOnWhatWasDrawn(t *testing.T) {
	t.Parallel()
	a, b := New(7), New(7)
	b.Uint64()
	require.Equal(t, a.Fork("x").Uint64(), b.Fork("x").Uint64())
	require.NotEqual(t, a.Fork("x").Uint64(), a.Fork("y").Uint64())
	require.NotEqual(t, New(8).Fork("x").Uint64(), a.Fork("x").Uint64())
}

func TestRanges(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := New(rapid.Uint64().Draw(t, "seed"))
		n := rapid.IntRange(1, 1000).Draw(t, "n")
		require.Less(t, r.IntN(n), n)
		lo := time.Duration(rapid.Int64Range(0, 1000).Draw(t, "lo"))
		d := r.Duration(lo, lo+time.Duration(n))
		require.True(t, d >= lo && d < lo+time.Duration(n))
		require.Equal(t, lo, r.Duration(lo, lo))
		require.False(t, r.Chance(0, 10))
		require.True(t, r.Chance(10, 10))
		seen := make([]bool, n)
		order := make([]int, n)
		for i := range order {
			order[i] = i
		}
		r.Shuffle(n, func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, v := range order {
			require.False(t, seen[v])
			seen[v] = true
		}
	})
}
