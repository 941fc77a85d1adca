package node

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"concord/raft"
)

// silentEnv is an Env that does nothing but log.
type silentEnv struct {
	Env
	lines []string
}

func (e *silentEnv) Log(_ Level, _, message string, _ ...any) { e.lines = append(e.lines, message) }

// TestTheLogIsKeptForThoseWhoCatchUp: up to a bound, and only for those who are there.
func TestTheLogIsKeptForThoseWhoCatchUp(t *testing.T) {
	t.Parallel()
	const now = time.Hour
	follower := func(match, snapshot uint64, silent time.Duration) raft.FollowerStatus {
		return raft.FollowerStatus{Match: match, Snapshot: snapshot, LastContact: now - silent}
	}
	for name, c := range map[string]struct {
		followers []raft.FollowerStatus
		want      uint64
		warned    bool
	}{
		"all are close":           {[]raft.FollowerStatus{follower(1100, 0, 0), follower(1005, 0, 0)}, 1000, false},
		"one is behind":           {[]raft.FollowerStatus{follower(1100, 0, 0), follower(900, 0, time.Second)}, 900, false},
		"one is sent a snapshot":  {[]raft.FollowerStatus{follower(3, 950, 0)}, 950, false},
		"nothing is known of one": {[]raft.FollowerStatus{follower(0, 0, 0)}, 1000, false},
		"one is gone":             {[]raft.FollowerStatus{follower(900, 0, time.Minute)}, 1000, false},
		"one is too slow":         {[]raft.FollowerStatus{follower(300, 0, 0)}, 1000, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := &silentEnv{}
			s := &server{n: &Node{env: env, now: now, cfg: Config{TrailingLogs: 10}}}
			require.Equal(t, c.want, s.neededFrom(raft.Status{Followers: c.followers}, 1000))
			require.Equal(t, c.warned, len(env.lines) > 0)
		})
	}
}
