package mutants

import (
	"go/parser"
	"go/token"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMutantsFitTheSource: every mutant changes exactly one place, and what comes of it is Go.
func TestMutantsFitTheSource(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, m := range All() {
		require.False(t, names[m.Name], "two mutants are called %s", m.Name)
		names[m.Name] = true
		source, err := m.Source("../..")
		if err != nil {
			t.Error(err)
			continue
		}
		if _, err := parser.ParseFile(token.NewFileSet(), m.File, source, 0); err != nil {
			t.Errorf("mutant %s: %v", m.Name, err)
		}
	}
	require.GreaterOrEqual(t, len(names), 30)
}

// TestResultIsRead: the harness understands what cmd/sim prints.
func TestResultIsRead(t *testing.T) {
	t.Parallel()
	var r Result
	r.read("12 seeds, 3.0/s; 8m0s simulated\nlog matching violated at 9.1s of seed 13: a and b differ\nreplay: go test ./sim -seed=13\n14 seeds, 3.1/s; 9m\n")
	require.True(t, r.Found)
	require.Equal(t, "log matching", r.Checker)
	require.EqualValues(t, 13, r.Seed)
	require.Equal(t, 14, r.Seeds)
	require.Equal(t, "a and b differ", r.Message)
}
