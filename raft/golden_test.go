package raft_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"concord/raft/rafttest"
)

var update = flag.Bool("update", false, "rewrite the expected output of testdata/*.txt")

// TestGolden runs the traces of testdata and compares what they print. After an intended change run
// it with -update and read the difference.
func TestGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 15)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(file)
			require.NoError(t, err)
			want := string(raw)
			got := golden(want)
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
				return
			}
			require.Equal(t, want, got)
		})
	}
}

// golden returns a trace with its output as it is.
func golden(text string) string {
	in := rafttest.NewInterpreter()
	var out []string
	for block := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		input, _, isRun := strings.Cut(block, "\n----")
		if isRun {
			block = input + "\n----\n" + strings.TrimSuffix(in.Exec(input), "\n")
		}
		out = append(out, block)
	}
	return strings.Join(out, "\n\n") + "\n"
}
