package sim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// quiet is a cluster of three servers under light load without faults, with a leader.
func quiet(t *testing.T) *World {
	t.Helper()
	o := calm(1)
	o.Servers, o.Agents, o.Clients = 3, 0, 3
	w := newWorld(o, nil)
	t.Cleanup(w.close)
	w.boot()
	w.runUntil(5 * time.Second)
	for _, c := range w.clients {
		c.start()
	}
	w.runUntil(8 * time.Second)
	require.NotNil(t, w.leader())
	return w
}

// TestStuckDiskOfTheLeader: it hands over, and writes go on while its disk stands still.
func TestStuckDiskOfTheLeader(t *testing.T) {
	t.Parallel()
	w := quiet(t)
	old := w.leader()
	old.disk.stalled = w.now + 30*time.Second
	w.runUntil(w.now + 3*time.Second)
	require.NotSame(t, old, w.leader(), "the leader kept its office with a disk that stands still")
	before := w.stats.Writes
	w.runUntil(w.now + 5*time.Second)
	require.Greater(t, w.stats.Writes, before+20, "writes stopped with one disk of three")
	require.Nil(t, w.failure)
}

// TestStuckDiskOfAFollower does not hold anything up.
func TestStuckDiskOfAFollower(t *testing.T) {
	t.Parallel()
	w := quiet(t)
	leader := w.leader()
	for _, h := range w.hosts {
		if h != leader {
			h.disk.stalled = w.now + 10*time.Second
			break
		}
	}
	before := w.stats.Writes
	w.runUntil(w.now + 5*time.Second)
	require.Same(t, leader, w.leader())
	require.Greater(t, w.stats.Writes, before+20)
}

// TestWipedServerIsReadmitted: it becomes a nonvoter, catches up and votes again.
func TestWipedServerIsReadmitted(t *testing.T) {
	t.Parallel()
	w := quiet(t)
	victim := w.hosts[0]
	if victim == w.leader() {
		victim = w.hosts[1]
	}
	require.True(t, w.expendable(victim))
	victim.crash("wiped")
	w.checks.loses(victim)
	victim.disk = newDisk(victim)
	victim.restart()
	demoted := false
	for range 200 {
		w.runUntil(w.now + 100*time.Millisecond)
		st, _ := w.leader().node.RaftStatus()
		if !st.Config.HasVoter(victim.raftID()) {
			demoted = true
		} else if demoted {
			break
		}
	}
	require.True(t, demoted, "a voter without its log went on voting")
	st, _ := w.leader().node.RaftStatus()
	require.True(t, st.Config.HasVoter(victim.raftID()), "it was not promoted again")
	require.Nil(t, w.failure)
}
