package pool

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"concord/swim"
)

var seed = flag.Uint64("seed", 0, "run this seed alone, with its log")

// TestSeeds runs trials; go test ./sim/pool -seed=N runs one with its log.
func TestSeeds(t *testing.T) {
	t.Parallel()
	if *seed != 0 {
		r := Run(*seed, func(format string, args ...any) { fmt.Fprintf(os.Stdout, format+"\n", args...) })
		require.NoError(t, r.Err())
		return
	}
	n := uint64(120)
	if testing.Short() {
		n = 20
	}
	for s := uint64(1); s <= n; s++ {
		r := Run(s, nil)
		require.NoError(t, r.Err())
		require.NotZero(t, r.Events)
	}
}

// TestSameSeedSameTrace: a seed does the same each time, and another one does something else.
func TestSameSeedSameTrace(t *testing.T) {
	t.Parallel()
	a := Run(7, nil)
	require.Equal(t, a.Hash, Run(7, nil).Hash)
	require.NotEqual(t, a.Hash, Run(8, nil).Hash)
}

// TestForm: a pool that forms by joins comes to rest, and stays there.
func TestForm(t *testing.T) {
	t.Parallel()
	w := New(Options{Seed: 1, Hosts: 100, Swim: swim.LAN(), Net: Network{Latency: time.Millisecond}}, nil, nil)
	require.NoError(t, w.Form(time.Millisecond, time.Minute))
	w.Run(time.Minute)
	require.True(t, w.AtRest())
	require.Empty(t, w.disagreement())
}

// TestHostile: a stranger without a key can do nothing to an encrypted pool, and no lasting harm to another one.
func TestHostile(t *testing.T) {
	t.Parallel()
	n := uint64(20)
	if testing.Short() {
		n = 4
	}
	for s := uint64(1); s <= n; s++ {
		r := RunHostile(s, nil)
		require.NoError(t, r.Err())
		require.Len(t, r.Met, len(attacks), "each kind of attack was made")
	}
}

// TestSharingChangesNothing: whether equal claims are one in memory has no influence on what happens.
func TestSharingChangesNothing(t *testing.T) {
	t.Parallel()
	var hashes []string
	for _, share := range []bool{false, true} {
		w := New(Options{Seed: 3, Hosts: 60, Swim: swim.LAN(), Net: Network{Latency: time.Millisecond, LossPercent: 10}, Share: share}, nil, nil)
		require.NoError(t, w.Regather(time.Minute))
		w.Hosts[7].Crash()
		w.Run(30 * time.Second)
		hashes = append(hashes, w.Hash())
	}
	require.Equal(t, hashes[0], hashes[1])
}
