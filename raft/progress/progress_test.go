package progress_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"concord/raft/progress"
)

func TestProbeSendsOneAtATime(t *testing.T) {
	t.Parallel()
	p := progress.New(8, 4)
	require.False(t, p.Paused())
	p.SentEntries(9)
	require.True(t, p.Paused())
	require.Equal(t, uint64(8), p.Next, "a probe may have to be repeated")
	require.True(t, p.Rejected(7, 4))
	require.Equal(t, uint64(4), p.Next)
	require.False(t, p.Paused())
	require.False(t, p.Rejected(7, 2), "an old answer")
	p.SentEntries(9)
	require.True(t, p.Accepted(9))
	require.Equal(t, progress.Replicate, p.State())
	require.Equal(t, uint64(10), p.Next)
}

func TestReplicatePipelinesWithinTheWindow(t *testing.T) {
	t.Parallel()
	p := progress.New(1, 2)
	p.Accepted(0)
	require.Equal(t, progress.Replicate, p.State())
	p.SentEntries(3)
	p.SentEntries(5)
	require.True(t, p.Paused())
	require.Equal(t, uint64(6), p.Next)
	require.True(t, p.Accepted(4), "answers are cumulative")
	require.Equal(t, 1, p.Inflight())
	require.False(t, p.Accepted(4), "no news")
	require.False(t, p.Rejected(4, 2), "what is known to match cannot be rejected")
	require.True(t, p.Rejected(5, 2))
	require.Equal(t, progress.Probe, p.State())
	require.Equal(t, uint64(5), p.Next)
}

func TestSnapshotStopsEntriesUntilProbed(t *testing.T) {
	t.Parallel()
	p := progress.New(9, 2)
	p.BecomeSnapshot()
	require.True(t, p.Paused())
	p.Accepted(3)
	require.False(t, p.Rejected(8, 2))
	require.Equal(t, progress.Snapshot, p.State())
	p.Accepted(20)
	p.BecomeProbe()
	require.Equal(t, uint64(21), p.Next)
}

// TestAnyHistory lets anything happen in any order, and requires the invariants, and that what
// is known to match is never forgotten.
func TestAnyHistory(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		last := uint64(5)
		p := progress.New(6, rapid.IntRange(1, 3).Draw(t, "window"))
		t.Repeat(map[string]func(*rapid.T){
			"append": func(*rapid.T) { last++ },
			"send": func(*rapid.T) {
				if !p.Paused() {
					p.SentEntries(min(p.Next+1, last))
				}
			},
			"accept": func(t *rapid.T) { p.Accepted(rapid.Uint64Range(0, last).Draw(t, "match")) },
			"reject": func(t *rapid.T) {
				p.Rejected(rapid.Uint64Range(0, last).Draw(t, "prev"), rapid.Uint64Range(1, last).Draw(t, "next"))
			},
			"probe":    func(*rapid.T) { p.BecomeProbe() },
			"snapshot": func(*rapid.T) { p.BecomeSnapshot() },
			"": func(t *rapid.T) {
				p.CheckInvariants(last)
			},
		})
	})
}
