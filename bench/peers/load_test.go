package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBucketsPartitionTime(t *testing.T) {
	t.Parallel()
	for d := time.Duration(0); d < 5000; d++ {
		b := bucket(d)
		require.LessOrEqual(t, lower(b), d)
		require.Greater(t, lower(b+1), d)
	}
	for _, d := range []time.Duration{time.Millisecond, 17 * time.Millisecond, 3 * time.Second} {
		b := bucket(d)
		require.LessOrEqual(t, lower(b), d)
		require.Greater(t, lower(b+1), d)
	}
}

func TestQuantile(t *testing.T) {
	t.Parallel()
	var h histogram
	require.Zero(t, h.quantile(0.5))
	for i := 1; i <= 1000; i++ {
		h.add(time.Duration(i) * time.Microsecond)
	}
	require.InEpsilon(t, 500*time.Microsecond, h.quantile(0.5), 0.13)
	require.InEpsilon(t, 990*time.Microsecond, h.quantile(0.99), 0.13)
}
