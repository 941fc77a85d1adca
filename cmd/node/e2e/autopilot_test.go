package e2e

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"concord/internal/testcluster"
)

// TestServersMoveAndAreReplaced lets all servers come back at other addresses at once, and then replaces one of them.
func TestServersMoveAndAreReplaced(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	c := testcluster.StartCluster(t)
	c.Client.Must("PUT", "/v1/kv/kept", "x")
	before := ids(c.Servers[0].RaftServers())
	require.Len(t, before, 3)
	for _, p := range c.All() {
		p.Kill()
	}
	var moved []*testcluster.Agent
	var join []string
	for _, p := range c.Servers {
		q := testcluster.NewAgent(t, p.Name, map[string]any{"data_dir": filepath.Join(p.Dir, "data")})
		moved = append(moved, q)
		join = append(join, fmt.Sprintf("127.0.0.1:%d", q.LAN))
	}
	for _, q := range moved {
		testcluster.AddConfig(q, server, join)
		q.Start()
	}
	moved[0].WaitForLeader()
	require.Equal(t, "x", string(moved[0].Must("GET", "/v1/kv/kept?raw", nil)))
	require.Equal(t, before, ids(moved[0].RaftServers()), "nobody was removed or added")
	testcluster.Eventually(t, "the configuration has the new addresses", func() string {
		addrs := map[string]bool{}
		for _, s := range moved[0].RaftServers() {
			addrs[s.Address] = s.Voter
		}
		for _, q := range moved {
			if !addrs[fmt.Sprintf("127.0.0.1:%d", q.RPC)] {
				return fmt.Sprint(addrs)
			}
		}
		return ""
	})
	replaceServer(t, moved, join)
}

var server = map[string]any{"server": true, "bootstrap_expect": 3, "autopilot": map[string]any{"server_stabilization_time": "2s"}}

// replaceServer kills a server and starts another one. With min_quorum the dead one stays a voter until its successor is.
func replaceServer(t *testing.T, servers []*testcluster.Agent, join []string) {
	leader, dead := (&testcluster.Cluster{}).Leader(servers...)
	out, code := leader.Run("operator", "autopilot", "set-config", "-min-quorum=3")
	require.Zero(t, code, out)
	out, _ = leader.Run("operator", "autopilot", "get-config")
	require.Contains(t, out, "MinQuorum = 3\n")
	require.Contains(t, out, "ServerStabilizationTime = 2s\n")
	var gone string
	for _, s := range leader.RaftServers() {
		if s.Node == dead.Name {
			gone = s.ID
		}
	}
	dead.Kill()
	successor := testcluster.NewAgent(t, "successor", nil)
	testcluster.AddConfig(successor, map[string]any{"server": true}, join)
	successor.Start()
	testcluster.Eventually(t, "the dead server is replaced", func() string {
		now := leader.RaftServers()
		if now == nil {
			return "no answer"
		}
		voters := 0
		for _, s := range now {
			if s.Voter {
				voters++
			}
		}
		require.GreaterOrEqual(t, voters, 3)
		if list := ids(now); len(list) != 3 || list[gone] {
			return fmt.Sprint(now)
		}
		return ""
	})
	require.True(t, ids(leader.RaftServers())[idOf(t, successor)])
}

func ids(servers []testcluster.RaftServer) map[string]bool {
	out := map[string]bool{}
	for _, s := range servers {
		out[s.ID] = true
	}
	return out
}

// TestLastVoterLeaves lets servers leave faster than their successors are promoted.
func TestLastVoterLeaves(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	slow := map[string]any{"server": true, "autopilot": map[string]any{"server_stabilization_time": "1h"}}
	first := testcluster.NewAgent(t, "first", map[string]any{"bootstrap_expect": 1})
	testcluster.AddConfig(first, slow, nil)
	first.Start()
	first.WaitForLeader()
	first.Must("PUT", "/v1/kv/kept", "x")
	second := testcluster.NewAgent(t, "second", nil)
	testcluster.AddConfig(second, slow, []string{fmt.Sprintf("127.0.0.1:%d", first.LAN)})
	second.Start()
	testcluster.Eventually(t, "the second server has caught up", func() string {
		status, _, out, err := second.Try("GET", "/v1/kv/kept?raw&stale", nil)
		if status != 200 || string(out) != "x" {
			return fmt.Sprint(status, string(out), err)
		}
		return ""
	})
	out, code := first.Run("leave")
	require.Zero(t, code, out)
	<-first.Exited
	testcluster.Eventually(t, "the second server leads alone", func() string {
		servers := second.RaftServers()
		if len(servers) != 1 || !servers[0].Leader || !servers[0].Voter {
			return fmt.Sprint(servers)
		}
		return ""
	})
	second.Must("PUT", "/v1/kv/kept", "y")
}
