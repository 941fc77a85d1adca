package quorum_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"concord/raft/quorum"
)

// TestReachedAgainstOracle compares with the definition: the greatest value that more than half have reached.
func TestReachedAgainstOracle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Uint64Range(0, 12), 1, 9).Draw(t, "values")
		want := uint64(0)
		for _, v := range values {
			reached := 0
			for _, w := range values {
				if w >= v {
					reached++
				}
			}
			if 2*reached > len(values) {
				want = max(want, v)
			}
		}
		require.Equal(t, want, quorum.Reached(slices.Clone(values)))
	})
}

// TestCountAgainstOracle tries every way the missing votes may fall.
func TestCountAgainstOracle(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 9; n++ {
		for granted := 0; granted <= n; granted++ {
			for rejected := 0; granted+rejected <= n; rejected++ {
				always, never := true, true
				for more := 0; granted+rejected+more <= n; more++ {
					win := 2*(granted+more) > n
					always, never = always && win, never && !win
				}
				want := quorum.Pending
				if always {
					want = quorum.Won
				} else if never {
					want = quorum.Lost
				}
				require.Equal(t, want, quorum.Count(n, granted, rejected), "%d voters, %d for, %d against", n, granted, rejected)
			}
		}
	}
}

func TestNobodyWinsWithoutVoters(t *testing.T) {
	t.Parallel()
	require.Equal(t, quorum.Lost, quorum.Count(0, 0, 0))
	require.Zero(t, quorum.Reached([]uint64{}))
}

// TestMajoritiesIntersect is what all of Raft rests on.
func TestMajoritiesIntersect(t *testing.T) {
	t.Parallel()
	for n := 1; n < 50; n++ {
		require.Greater(t, 2*quorum.Size(n), n)
		require.LessOrEqual(t, quorum.Size(n), n)
		// Changing one server keeps old and new majorities intersecting (thesis section 4.1).
		require.Greater(t, quorum.Size(n)+quorum.Size(n+1), n+1)
	}
}
