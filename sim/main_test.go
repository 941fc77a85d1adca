package sim

import (
	"os"
	"runtime/debug"
	"testing"
)

// TestMain lets the collector run less often: a run holds little and makes much garbage.
func TestMain(m *testing.M) {
	debug.SetGCPercent(800)
	os.Exit(m.Run())
}
