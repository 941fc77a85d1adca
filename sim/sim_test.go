package sim

import (
	"flag"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	seed   = flag.Uint64("seed", 0, "run this seed alone, and print its trace hash")
	preset = flag.String("preset", "swarm", "the preset to run -seed under")
	seeds  = flag.Int("seeds", 12, "how many seeds the smoke set has")
)

// one tells whether a single seed was asked for: then the other tests do nothing.
func one(t *testing.T) bool {
	if *seed != 0 {
		t.Skip("one seed is asked for")
	}
	return false
}

// TestSeed replays the seed given by -seed.
func TestSeed(t *testing.T) {
	if *seed == 0 {
		t.Skip("no -seed is given")
	}
	o, err := Preset(*preset, *seed)
	require.NoError(t, err)
	r := Run(o, func(format string, args ...any) { fmt.Printf(format+"\n", args...) })
	fmt.Printf("seed %d: trace %s, %d events, %v simulated\n", *seed, r.Hash, r.Stats.Events, r.Stats.Simulated)
	require.NoError(t, r.Err())
}

// TestSmoke runs some seeds of each preset.
func TestSmoke(t *testing.T) {
	if one(t) {
		return
	}
	for _, p := range Presets() {
		n := *seeds
		if p != "swarm" {
			n = max(1, n/4)
		}
		for i := range n {
			o, err := Preset(p, uint64(i+1))
			require.NoError(t, err)
			t.Run(fmt.Sprintf("%s/%d", p, o.Seed), func(t *testing.T) {
				t.Parallel()
				r := Run(o, nil)
				require.NoError(t, r.Err())
				require.Positive(t, r.Stats.Writes, "nothing was written")
			})
		}
	}
}

// TestSameSeedSameTrace runs a seed twice.
func TestSameSeedSameTrace(t *testing.T) {
	if one(t) {
		return
	}
	t.Parallel()
	a, b := Run(Swarm(7), nil), Run(Swarm(7), nil)
	require.NoError(t, a.Err())
	require.Equal(t, a.Hash, b.Hash)
	require.NotEqual(t, a.Hash, Run(Swarm(8), nil).Hash, "the trace does not depend on the seed")
}

// TestPebbleDoesTheSame runs seeds on Pebble that normally run on memstore: the nodes must not notice.
func TestPebbleDoesTheSame(t *testing.T) {
	if one(t) {
		return
	}
	t.Parallel()
	for s := uint64(1); s <= 3; s++ {
		o := Swarm(s)
		o.Pebble = false
		a := Run(o, nil)
		o.Pebble = true
		b := Run(o, nil)
		require.NoError(t, a.Err())
		require.Equal(t, a.Hash, b.Hash)
	}
}
