package sim

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite testdata/golden.txt")

// goldenSeeds is how many seeds of each preset are in testdata/golden.txt.
const goldenSeeds = 3

// TestGolden: a seed does today what it did when testdata/golden.txt was written. Whoever changes what nodes do writes it anew
// with -update, and so says that it is meant.
func TestGolden(t *testing.T) {
	if one(t) {
		return
	}
	t.Parallel()
	if testing.Short() {
		t.Skip("runs seeds of every preset")
	}
	var now bytes.Buffer
	for _, p := range Presets() {
		for s := uint64(1); s <= goldenSeeds; s++ {
			o, err := Preset(p, s)
			require.NoError(t, err)
			r := Run(o, nil)
			require.NoError(t, r.Err())
			fmt.Fprintf(&now, "%s %d %s\n", p, s, r.Hash)
		}
	}
	const file = "testdata/golden.txt"
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(file, now.Bytes(), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), now.String(), "if this is meant: go test ./sim -run Golden -update")
}
