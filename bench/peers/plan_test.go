package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPlanMeasuresTheDiskOnce(t *testing.T) {
	t.Parallel()
	o, err := parse([]string{"-nodes", "1,3", "-proposers", "1, 64", "-only", "fsync-append,concord"})
	require.NoError(t, err)
	var got []key
	for _, s := range o.plan() {
		got = append(got, s.key)
	}
	require.Equal(t, []key{
		{shape{1, 1}, "fsync-append"}, {shape{1, 1}, "concord"}, {shape{1, 64}, "concord"},
		{shape{3, 1}, "concord"}, {shape{3, 64}, "concord"},
	}, got)
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-only", "raft"}, {"-nodes", "0"}, {"-proposers", "x"}, {"-proposers", fmt.Sprint(maxProposers + 1)},
		{"-rounds", "0"}, {"-time", "0s"}, {"extra"}} {
		_, err := parse(args)
		require.Error(t, err, args)
	}
}

func TestRatioIsOfTheSameRound(t *testing.T) {
	t.Parallel()
	r := newResults()
	at := shape{1, 1}
	for _, rates := range [][2]float64{{100, 50}, {10, 2}, {400, 100}} { // the machine was busy in the second round
		r.add(key{at, "concord"}, cell{rate: rates[0]})
		r.add(key{at, "peer"}, cell{rate: rates[1]})
	}
	rows := r.rows()
	require.Equal(t, "peer", rows[1].System)
	require.Equal(t, 4.0, rows[1].Ratio)
	require.Equal(t, 50.0, rows[1].Rate)
	require.Equal(t, [2]float64{2, 100}, [2]float64{rows[1].RateMin, rows[1].RateMax})
}

func TestBusyMachineIsNoticed(t *testing.T) {
	t.Parallel()
	for _, p99 := range []time.Duration{200 * time.Microsecond, 4 * time.Millisecond} {
		r := newResults()
		r.add(key{shape{1, 1}, "fsync-append"}, cell{rate: 1, p50: 100 * time.Microsecond, p99: p99})
		r.add(key{shape{1, 1}, "concord"}, cell{rate: 1, p50: 100 * time.Microsecond, p99: time.Second})
		require.Equal(t, p99 > time.Millisecond, r.busy())
	}
}

// TestEverySystemCommits starts each system as a measurement does. It cannot run beside other tests of timing.
func TestEverySystemCommits(t *testing.T) {
	if testing.Short() {
		t.Skip("starts every system")
	}
	o := options{length: 50 * time.Millisecond, warm: 10 * time.Millisecond, nodes: []int{1, 3}, proposers: []int{8}, chosen: systems}
	for _, s := range o.plan() {
		t.Run(fmt.Sprintf("%s-%d", s.system, s.nodes), func(t *testing.T) {
			got, err := o.measure(filepath.Join(t.TempDir(), "data"), s)
			require.NoError(t, errors.Join(err, got.firstError))
			require.NotZero(t, got.commits)
			require.NotZero(t, got.p50)
		})
	}
}
