package sim

import (
	"flag"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	seed  = flag.Uint64("seed", 0, "run this seed alone, and print its trace hash")
	seeds = flag.Int("seeds", 12, "how many seeds the smoke set has")
)

// TestSeed replays the seed given by -seed, or runs the smoke set.
func TestSeed(t *testing.T) {
	if *seed != 0 {
		r := Run(Swarm(*seed), func(format string, args ...any) { fmt.Printf(format+"\n", args...) })
		fmt.Printf("seed %d: trace %s, %d events, %v simulated\n", *seed, r.Hash, r.Stats.Events, r.Stats.Simulated)
		require.NoError(t, r.Err)
		return
	}
	for i := range *seeds {
		o := Swarm(uint64(i + 1))
		t.Run(fmt.Sprint(o.Seed), func(t *testing.T) {
			t.Parallel()
			r := Run(o, nil)
			require.NoError(t, r.Err)
			require.Positive(t, r.Stats.Writes, "nothing was written")
		})
	}
}

// TestSameSeedSameTrace runs a seed twice.
func TestSameSeedSameTrace(t *testing.T) {
	if *seed != 0 {
		t.Skip("one seed is asked for")
	}
	t.Parallel()
	a, b := Run(Swarm(7), nil), Run(Swarm(7), nil)
	require.NoError(t, a.Err)
	require.Equal(t, a.Hash, b.Hash)
	require.NotEqual(t, a.Hash, Run(Swarm(8), nil).Hash, "the trace does not depend on the seed")
}
