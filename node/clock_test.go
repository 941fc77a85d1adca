package node

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestClockWatch(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	for name, c := range map[string]struct {
		monotonic, wall []time.Duration
		jumped          bool
	}{
		"both go on":            {[]time.Duration{0, 100 * ms, 5000 * ms}, []time.Duration{7 * ms, 107 * ms, 5007 * ms}, false},
		"little drift":          {[]time.Duration{0, 900 * ms, 1900 * ms}, []time.Duration{0, 950 * ms, 2000 * ms}, false},
		"suspended":             {[]time.Duration{0, 100 * ms, 101 * ms}, []time.Duration{0, 100 * ms, 900 * ms}, true},
		"wall clock is set":     {[]time.Duration{0, 100 * ms, 200 * ms}, []time.Duration{0, 100 * ms, -3600 * 1000 * ms}, true},
		"monotonic clock jumps": {[]time.Duration{0, 100 * ms, 900 * ms}, []time.Duration{0, 100 * ms, 120 * ms}, true},
		"monotonic runs slow":   {[]time.Duration{0, 30 * ms, 60 * ms}, []time.Duration{0, 60 * ms, 120 * ms}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var w clockWatch
			jumped := false
			for i := range c.monotonic {
				_, now := w.jumped(c.monotonic[i], c.wall[i])
				jumped = now || jumped
			}
			require.Equal(t, c.jumped, jumped)
		})
	}
}
