package sim

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// mutantSeeds is how many seeds a planted bug has to be found.
const mutantSeeds = 60

// TestMutantsAreFound plants bugs, each of which some checker must notice.
func TestMutantsAreFound(t *testing.T) {
	if testing.Short() {
		t.Skip("runs many seeds")
	}
	if *seed != 0 {
		t.Skip("one seed is asked for")
	}
	t.Parallel()
	for name, what := range Mutants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for s := uint64(1); s <= mutantSeeds; s++ {
				o := Swarm(s)
				o.Mutant = name
				if r := Run(o, nil); r.Err != nil {
					var f *Failure
					require.ErrorAs(t, r.Err, &f)
					t.Logf("found with seed %d by %s: %s", s, f.Invariant, f.Message)
					return
				}
			}
			t.Errorf("not found in %d seeds: %s", mutantSeeds, what)
		})
	}
}
