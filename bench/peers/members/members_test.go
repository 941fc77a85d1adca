package members

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func cells(factor float64) (out []cell) {
	for i := range 3 {
		x := factor * float64(i+1)
		out = append(out, cell{Size: 16, Goroutines: x, Memory: 1024 * x, Kills: []time.Duration{time.Duration(x) * time.Second}})
	}
	return out
}

func TestTable(t *testing.T) {
	t.Parallel()
	var r results
	for i, c := range cells(1) {
		c.System = "concord"
		r.add(c)
		c = cells(2)[i]
		c.System, c.Unnoticed = "memberlist", 1
		r.add(c)
	}
	var out bytes.Buffer
	r.print(&out)
	require.Contains(t, out.String(), "| killed until all others know, ms | 16 | 4000 (2000 - 6000) | 2000 (1000 - 3000) | 0.50 |\n")
	require.Contains(t, out.String(), "| heap and stacks per member, KiB | 16 | 4.0 (2.0 - 6.0) | 2.0 (1.0 - 3.0) | 0.50 |\n")
	require.NotContains(t, out.String(), "starved", "it was not measured")
	require.Contains(t, out.String(), "memberlist with 16 members: 3 deaths were not known")

	path := filepath.Join(t.TempDir(), "history")
	require.NoError(t, r.append(path, map[string]any{"at": "now"}, options{rounds: 3}))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var line struct {
		At, Benchmark string
		Rows          []row
	}
	require.NoError(t, json.Unmarshal(text, &line))
	require.Equal(t, "now", line.At)
	require.Equal(t, r.rows(), line.Rows)
}

func TestFlags(t *testing.T) {
	t.Parallel()
	o, err := parse([]string{"-sizes", "4, 8", "-only", "concord", "-kills", "3"})
	require.NoError(t, err)
	require.Equal(t, []int{4, 8}, o.sizes)
	require.Len(t, o.systems, 1)
	for _, bad := range []string{"-sizes=1", "-sizes=x", "-sizes=3", "-rounds=0", "-only=x", "-burners=0", "-rest=-1s", "extra"} {
		_, err := parse([]string{bad})
		require.Error(t, err, bad)
	}
}

// TestBoth starts small pools of both kinds and kills nobody.
func TestBoth(t *testing.T) {
	t.Parallel()
	for _, s := range systems {
		c, err := measure(options{}, s, 3)
		require.NoError(t, err)
		require.Zero(t, c.Holes)
		require.Zero(t, c.FalseAtRest)
		require.Positive(t, c.Formed)
	}
}
