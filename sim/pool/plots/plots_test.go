package plots

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestQuick: the command writes a page that shows each plot, with its figures, and plots that a browser can read.
func TestQuick(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "gossip")
	lines := 0
	require.NoError(t, Run(Options{Out: out, Quick: true, Progress: func(string) { lines++ }}))
	require.Greater(t, lines, 20)
	page, err := os.ReadFile(out + ".md")
	require.NoError(t, err)
	files, err := filepath.Glob(filepath.Join(out, "*.svg"))
	require.NoError(t, err)
	require.Len(t, files, 7)
	for _, f := range files {
		data, err := os.ReadFile(f)
		require.NoError(t, err)
		require.Less(t, len(data), 60_000)
		require.NotContains(t, string(data), "NaN")
		require.NotContains(t, string(data), "Inf")
		require.Contains(t, string(page), "gossip/"+filepath.Base(f))
		for d := xml.NewDecoder(strings.NewReader(string(data))); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else {
				require.NoError(t, err, f)
			}
		}
	}
	require.Equal(t, 6, strings.Count(string(page), "\n|---|"), "a table for each section")
}

func TestAxis(t *testing.T) {
	t.Parallel()
	linear := axis{lo: 0, hi: 10, from: 100, to: 200}
	require.InDelta(t, 150, linear.at(5), 1e-9)
	require.Equal(t, []float64{0, 2, 4, 6, 8, 10}, linear.ticks())
	log := axis{lo: 16, hi: 10000, log: true, from: 0, to: 1}
	require.InDelta(t, 0.5, log.at(400), 1e-9)
	require.Equal(t, []float64{100, 1000, 10000}, log.ticks())
}

func TestQuantile(t *testing.T) {
	t.Parallel()
	v := []time.Duration{4, 1, 3, 2}
	require.EqualValues(t, 1, quantile(v, 0))
	require.EqualValues(t, 3, quantile(v, 0.5))
	require.EqualValues(t, 4, quantile(v, 1))
	require.EqualValues(t, 2, mean([]time.Duration{1, 3}))
	require.Zero(t, quantile(nil, 0.5))
	require.Zero(t, mean(nil))
}
