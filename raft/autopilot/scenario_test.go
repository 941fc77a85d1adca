package autopilot_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"concord/raft"
	"concord/raft/autopilot"
	"concord/raft/quorum"
)

// cluster plays servers, gossip and Raft to the autopilots of its leaders, which look every two seconds.
type cluster struct {
	t      *testing.T
	now    time.Duration
	cfg    autopilot.Config
	config raft.Configuration
	index  uint64
	state  map[raft.ID]autopilot.Liveness
	addr   map[raft.ID]string
	leader raft.ID
	pilot  *autopilot.Autopilot
	did    []string // "10s +d" for a promotion, "12s -c" for a removal
}

func newCluster(t *testing.T, voters string, minQuorum uint) *cluster {
	c := &cluster{t: t, cfg: config(), state: map[raft.ID]autopilot.Liveness{}, addr: map[raft.ID]string{}, index: 1}
	c.cfg.MinQuorum = minQuorum
	for _, r := range voters {
		c.join(raft.ID(r), raft.Voter)
	}
	c.run(30 * time.Second)
	require.Empty(t, c.did)
	return c
}

func (c *cluster) join(id raft.ID, s raft.Suffrage) {
	c.config.Servers = append(c.config.Servers, raft.Server{ID: id, Suffrage: s})
	require.NoError(c.t, c.config.Validate())
	c.state[id], c.addr[id] = autopilot.Alive, string(id)+":1"
}

func (c *cluster) set(s autopilot.Liveness, ids string) {
	for _, r := range ids {
		c.state[raft.ID(r)] = s
	}
}

func (c *cluster) living() int {
	n := 0
	for _, s := range c.config.Servers {
		if s.Suffrage == raft.Voter && c.state[s.ID] == autopilot.Alive {
			n++
		}
	}
	return n
}

// elect keeps the leader, or takes another living voter if there is a quorum.
func (c *cluster) elect() bool {
	if c.living() < quorum.Size(c.config.Voters()) {
		c.leader = ""
		return false
	}
	if c.config.HasVoter(c.leader) && c.state[c.leader] == autopilot.Alive {
		return true
	}
	for _, s := range c.config.Servers {
		if s.Suffrage == raft.Voter && c.state[s.ID] == autopilot.Alive {
			c.leader, c.pilot = s.ID, autopilot.New()
			return true
		}
	}
	return false
}

func (c *cluster) input() autopilot.Input {
	in := autopilot.Input{Leader: c.leader, Config: c.config, ConfigIndex: c.index, LastTerm: 2, LastIndex: 1000}
	for _, s := range c.config.Servers {
		f := autopilot.Facts{ID: string(s.ID), Address: c.addr[s.ID], Liveness: c.state[s.ID], LastContact: -1}
		if f.Liveness == autopilot.Alive {
			f.LastContact, f.LastTerm, f.LastIndex = 0, 2, 990
		}
		in.Facts = append(in.Facts, f)
	}
	return in
}

// run lets time pass. A decision is carried out, and must never cost the cluster its quorum.
func (c *cluster) run(d time.Duration) {
	for end := c.now + d; c.now < end; c.now += 2 * time.Second {
		if !c.elect() {
			continue
		}
		in := c.input()
		d, ok := c.pilot.Step(c.now, c.cfg, in)
		if !ok {
			continue
		}
		next, err := c.config.With(d.Change)
		require.NoError(c.t, err)
		sign := "+"
		if d.Change.Type == raft.RemoveServer {
			sign = "-"
			require.NotEqual(c.t, autopilot.Alive, c.state[d.Change.Server.ID])
			if c.config.HasVoter(d.Change.Server.ID) {
				require.GreaterOrEqual(c.t, uint(next.Voters()), c.cfg.MinQuorum)
			}
		}
		c.config, c.index = next, c.index+1
		require.GreaterOrEqual(c.t, c.living(), quorum.Size(c.config.Voters()), "after %v of %s", d.Change.Type, d.Change.Server.ID)
		c.did = append(c.did, fmt.Sprintf("%v %s%s", c.now-30*time.Second, sign, d.Change.Server.ID))
	}
}

// Servers that restart one after the other, each faster than the stabilization time, stay what they are, the leader among them.
func TestRollingReboots(t *testing.T) {
	t.Parallel()
	for _, servers := range []string{"abc", "abcde"} {
		c := newCluster(t, servers, 0)
		for range 5 {
			for _, id := range servers {
				c.set(autopilot.Failed, string(id))
				c.run(8 * time.Second)
				require.NotEmpty(t, c.leader)
				c.set(autopilot.Alive, string(id))
				c.run(2 * time.Second)
			}
		}
		require.Empty(t, c.did)
		require.Equal(t, len(servers), c.config.Voters())
	}
}

// A nonvoter that restarts faster than the stabilization time is neither promoted nor removed; left alone, it is promoted.
func TestRebootingNonvoter(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "abc", 0)
	c.join("d", raft.Nonvoter)
	for range 5 {
		c.run(8 * time.Second)
		c.set(autopilot.Failed, "d")
		c.run(8 * time.Second)
		c.set(autopilot.Alive, "d")
	}
	require.Empty(t, c.did)
	c.run(time.Minute)
	require.Equal(t, []string{"1m30s +d"}, c.did)
}

// All servers come back at other addresses, met by gossip one after the other.
func TestAllAddressesChange(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "abcde", 0)
	c.set(autopilot.Failed, "abcde")
	c.run(6 * time.Second)
	c.set(autopilot.Unknown, "abcde")
	for _, id := range "edcba" {
		c.addr[raft.ID(id)] = string(id) + ":2"
		c.set(autopilot.Alive, string(id))
		c.run(4 * time.Second)
	}
	c.run(time.Minute)
	require.Empty(t, c.did)
	require.Equal(t, 5, c.config.Voters())
	require.Equal(t, "a:2", c.pilot.Health().Servers[0].Address)
}

// Several of five servers go at once.
func TestAbruptScaleIn(t *testing.T) {
	t.Parallel()
	for _, s := range []struct {
		dead      string
		minQuorum uint
		did       []string
	}{
		{"de", 0, []string{"10s -d", "12s -e"}},
		{"de", 3, []string{"10s -d", "12s -e"}},
		{"de", 4, []string{"10s -d"}},
		{"de", 5, nil},
		{"ad", 3, []string{"10s -a", "12s -d"}},
		{"cde", 0, nil}, // no quorum, no leader: an operator must recover
		{"cde", 3, nil},
	} {
		t.Run(fmt.Sprint(s.dead, s.minQuorum), func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, "abcde", s.minQuorum)
			c.set(autopilot.Failed, s.dead)
			c.run(10 * time.Minute)
			require.Equal(t, s.did, c.did)
		})
	}
}

// Servers that die one after the other are removed down to MinQuorum.
func TestScaleInStepByStep(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "abcde", 3)
	for _, id := range "edcb" {
		c.set(autopilot.Failed, string(id))
		c.run(time.Minute)
	}
	require.Equal(t, []string{"10s -e", "1m10s -d"}, c.did)
	require.Equal(t, 3, c.config.Voters())
}

// A dead server's successor joins before the dead one is removed.
func TestReplacement(t *testing.T) {
	t.Parallel()
	for minQuorum, did := range [][]string{
		0: {"10s +d", "12s -c"},
		3: {"10s +d", "12s -c"},
		4: {"10s +d"},
	} {
		if did == nil {
			continue
		}
		c := newCluster(t, "abc", uint(minQuorum))
		c.set(autopilot.Failed, "c")
		c.join("d", raft.Nonvoter)
		c.run(2 * time.Minute)
		require.Equal(t, did, c.did)
	}
}

// The dead server of a cluster with MinQuorum stays until its successor, which takes its time, has a vote.
func TestSlowReplacement(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "abc", 3)
	c.set(autopilot.Failed, "c")
	c.run(time.Minute)
	c.join("d", raft.Nonvoter)
	c.set(autopilot.Failed, "d")
	c.run(4 * time.Second)
	require.Empty(t, c.did)
	c.set(autopilot.Alive, "d")
	c.run(time.Minute)
	require.Equal(t, []string{"1m14s +d", "1m16s -c"}, c.did)
}
