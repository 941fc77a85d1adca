package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"concord/internal/testcluster"
)

// TestRecovery loses a majority twice: once it is recovered by peers.json, once by the command.
func TestRecovery(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	c := testcluster.StartCluster(t)
	c.Client.Must("PUT", "/v1/kv/kept", "before")
	a, b := c.Servers[0], c.Servers[1]
	for _, p := range c.Servers {
		p.Kill()
	}
	t.Run("peers.json", func(t *testing.T) { peersFile(t, c, a, b) })
	t.Run("command", func(t *testing.T) { recoverCommand(t, c, a, b) })
}

func idOf(t *testing.T, p *testcluster.Agent) string {
	text, err := os.ReadFile(filepath.Join(p.Dir, "data", "node-id"))
	require.NoError(t, err)
	return strings.TrimSpace(string(text))
}

func peerOf(t *testing.T, p *testcluster.Agent) map[string]any {
	return map[string]any{"id": idOf(t, p), "address": fmt.Sprintf("127.0.0.1:%d", p.RPC), "non_voter": false}
}

func writePeers(t *testing.T, p *testcluster.Agent, peers ...map[string]any) string {
	text, err := json.Marshal(peers)
	require.NoError(t, err)
	path := filepath.Join(p.Dir, "data", "raft", "peers.json")
	require.NoError(t, os.WriteFile(path, text, 0o644))
	return path
}

func peersFile(t *testing.T, c *testcluster.Cluster, a, b *testcluster.Agent) {
	path := writePeers(t, a, peerOf(t, b))
	a.Start()
	<-a.Exited
	require.Equal(t, 1, a.Cmd.ProcessState.ExitCode())
	require.FileExists(t, path, "a file that is refused stays")

	for _, p := range []*testcluster.Agent{a, b} {
		require.FileExists(t, filepath.Join(p.Dir, "data", "raft", "peers.info"))
		writePeers(t, p, peerOf(t, a), peerOf(t, b))
		p.Start()
	}
	a.WaitForLeader()
	require.NoFileExists(t, path, "a recovery happens once")
	require.Equal(t, "before", string(a.Must("GET", "/v1/kv/kept?raw", nil)))
	servers := a.RaftServers()
	require.Len(t, servers, 2)
	for _, s := range servers {
		require.True(t, s.Voter, "%+v", s)
	}
	c.Client.WaitForLeader()
	c.Client.Must("PUT", "/v1/kv/kept", "between")
}

func recoverCommand(t *testing.T, c *testcluster.Cluster, a, b *testcluster.Agent) {
	data := filepath.Join(a.Dir, "data")
	out, code := a.Run("operator", "raft", "recover", "-data-dir", data)
	require.Equal(t, 1, code)
	require.Contains(t, out, "in use by another process")

	b.Kill()
	a.Kill()
	out, code = a.Run("operator", "raft", "recover", "-data-dir", data, "-dry-run")
	require.Zero(t, code, out)
	_, new, ok := strings.Cut(out, "New configuration:")
	require.True(t, ok, out)
	require.Contains(t, out, idOf(t, b))
	require.NotContains(t, new, idOf(t, b))
	require.Contains(t, new, idOf(t, a))
	require.Contains(t, new, "Nothing was changed")

	out, code = a.Run("operator", "raft", "recover", "-data-dir", data, "-peer", idOf(t, b)+"=127.0.0.1:1")
	require.Equal(t, 1, code)
	require.Contains(t, out, "own id "+idOf(t, a)+" is missing")
	out, code = a.Run("operator", "raft", "recover", "-data-dir", t.TempDir())
	require.Equal(t, 1, code)
	require.Contains(t, out, "is not the data directory of a server")

	out, code = a.Run("operator", "raft", "recover", "-data-dir", data)
	require.Zero(t, code, out)
	a.Start()
	a.WaitForLeader()
	require.Equal(t, "between", string(a.Must("GET", "/v1/kv/kept?raw", nil)))
	servers := a.RaftServers()
	require.Len(t, servers, 1)
	require.Equal(t, idOf(t, a), servers[0].ID)
	c.Client.WaitForLeader()
	c.Client.Must("PUT", "/v1/kv/kept", "after")
	require.Equal(t, "after", string(a.Must("GET", "/v1/kv/kept?raw", nil)))
}

// TestCopiedData starts an agent with the identity of another one that runs.
func TestCopiedData(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	p := testcluster.NewAgent(t, "original", map[string]any{"server": true, "bootstrap_expect": 1})
	p.Start()
	p.WaitForLeader()
	q := testcluster.NewAgent(t, "copy", map[string]any{"node_id": idOf(t, p), "retry_max": 1,
		"retry_join": []string{fmt.Sprintf("127.0.0.1:%d", p.LAN)}})
	out := refuse(t, q.Args...)
	require.Contains(t, out, fmt.Sprintf("Member 'original' has conflicting node ID '%s' with this agent's ID", idOf(t, p)))
	p.WaitFor(t, "members", "/v1/agent/members", 1)

	p.Kill()
	require.NoError(t, os.WriteFile(filepath.Join(p.Dir, "data", "node-id"), []byte("8b6dda82-3103-11e7-93ae-92361f002671\n"), 0o600))
	require.Contains(t, refuse(t, p.Args...), "belongs to another node")
	require.NoError(t, os.Remove(filepath.Join(p.Dir, "data", "node-id")))
	require.Contains(t, refuse(t, p.Args...), "only part of the directory was written or copied")
}
