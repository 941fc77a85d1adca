package sim

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestMinimize: what is kept still fails, and nothing can be left out of it.
func TestMinimize(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 60).Draw(t, "n")
		needed := rapid.SliceOfNDistinct(rapid.IntRange(0, max(0, n-1)), 0, min(n, 5), rapid.ID[int]).Draw(t, "needed")
		list := make([]int, n)
		for i := range list {
			list[i] = i
		}
		fails := func(kept []int) bool {
			for _, x := range needed {
				if !slices.Contains(kept, x) {
					return false
				}
			}
			return true
		}
		best := list
		minimize(list, func(kept []int) bool {
			if fails(kept) {
				best = kept
				return true
			}
			return false
		})
		require.True(t, fails(best))
		require.Len(t, best, len(needed), "%v kept, needed were %v", best, needed)
	})
}
