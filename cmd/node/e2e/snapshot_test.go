package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"concord/internal/testcluster"
)

// TestSnapshot saves a cluster under writes and restores it into a new server, and over what the cluster has since.
func TestSnapshot(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	c := testcluster.StartCluster(t)
	file := filepath.Join(t.TempDir(), "backup.snap")
	saveUnderWrites(t, c, file)
	t.Run("into a new server", func(t *testing.T) { restoreAnew(t, file) })
	t.Run("over what is there", func(t *testing.T) { restoreOver(t, c, file) })
	t.Run("while the leader dies", func(t *testing.T) { restoreThroughElection(t, c) })
}

func saveUnderWrites(t *testing.T, c *testcluster.Cluster, file string) {
	c.Client.Must("PUT", "/v1/kv/marker", "saved")
	c.Client.Must("PUT", "/v1/kv/large", strings.Repeat("x", 500<<10))
	c.Client.Must("PUT", "/v1/catalog/register", map[string]any{"Node": "outside", "Address": "192.0.2.1", "Service": map[string]any{"Service": "db", "Port": 5432}})
	var stop atomic.Bool
	var wg sync.WaitGroup
	for w := range 2 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := 0; !stop.Load(); i++ {
				c.Servers[w].Must("PUT", fmt.Sprintf("/v1/kv/load/%d/%06d", w, i), strings.Repeat("y", 1<<10))
			}
		}()
	}
	testcluster.Eventually(t, "some load", func() string {
		if n := len(loaded(c.Servers[2], 1)); n < 200 {
			return fmt.Sprint(n, " keys")
		}
		return ""
	})
	began := time.Now()
	out, code := c.Client.Run("snapshot", "save", file)
	t.Logf("saved in %v", time.Since(began))
	stop.Store(true)
	wg.Wait()
	require.Equal(t, 0, code, out)
	require.Contains(t, out, "Saved and verified snapshot to index ")
	out, code = c.Servers[1].Run("snapshot", "save", "-stale", file+".stale")
	require.Equal(t, 0, code, out)
	out, code = c.Client.Run("snapshot", "inspect", file)
	require.Equal(t, 0, code, out)
	require.Contains(t, out, "Version      concord-1\n")
	left, err := filepath.Glob(file + ".unverified*")
	require.NoError(t, err)
	require.Empty(t, left)
}

// loaded lists the keys of one writer, in order, without any that is not one.
func loaded(p *testcluster.Agent, writer int) []string {
	status, _, _, err := p.Try("GET", fmt.Sprintf("/v1/kv/load/%d/?keys", writer), nil)
	if err != nil || status != 200 {
		return nil
	}
	return testcluster.Get[[]string](p, fmt.Sprintf("/v1/kv/load/%d/?keys", writer))
}

func restoreAnew(t *testing.T, file string) {
	// Its name is that of a server of the saved cluster.
	p := testcluster.NewAgent(t, "server-1", map[string]any{"server": true, "bootstrap_expect": 1})
	p.Start()
	p.WaitForLeader()
	p.Must("PUT", "/v1/kv/marker", "of the new one")
	p.Must("PUT", "/v1/kv/unsaved", "x")
	p.WaitFor(t, "the consul service", "/v1/catalog/service/consul", 1)
	_, header, _, err := p.Try("GET", "/v1/kv/marker", nil)
	require.NoError(t, err)
	before, err := strconv.ParseUint(header.Get("X-Consul-Index"), 10, 64)
	require.NoError(t, err)
	type result struct {
		header http.Header
		body   string
		err    error
	}
	woken := make(chan result, 1)
	go func() {
		_, header, out, err := p.Try("GET", fmt.Sprint("/v1/kv/marker?raw&wait=25s&index=", before), nil)
		woken <- result{header, string(out), err}
	}()
	began := time.Now()
	out, code := p.Run("snapshot", "restore", file)
	t.Logf("restored in %v", time.Since(began))
	require.Equal(t, 0, code, out)
	require.Contains(t, out, "Restored snapshot")
	select {
	case r := <-woken:
		require.NoError(t, r.err)
		require.Equal(t, "saved", r.body)
		after, err := strconv.ParseUint(r.header.Get("X-Consul-Index"), 10, 64)
		require.NoError(t, err)
		require.Greater(t, after, before)
	case <-time.After(10 * time.Second):
		t.Fatal("not woken")
	}
	check := func() {
		status, _, _, err := p.Try("GET", "/v1/kv/unsaved", nil)
		require.NoError(t, err)
		require.Equal(t, 404, status)
		require.Len(t, p.Must("GET", "/v1/kv/large?raw", nil), 500<<10)
		p.WaitFor(t, "the saved service", "/v1/catalog/service/db", 1)
		for w := range 2 {
			keys := loaded(p, w)
			require.NotEmpty(t, keys)
			require.Equal(t, fmt.Sprintf("load/%d/%06d", w, len(keys)-1), keys[len(keys)-1], "no write is missing before one that is there")
		}
	}
	check()
	id := testcluster.Get[map[string]map[string]any](p, "/v1/agent/self")["Config"]["NodeID"]
	testcluster.Eventually(t, "the server has its name from one of the saved cluster", func() string {
		nodes := testcluster.Get[[]struct{ ID, Node string }](p, "/v1/catalog/nodes")
		if len(nodes) != 2 || nodes[0].Node != "outside" || nodes[1].Node != "server-1" || nodes[1].ID != id {
			return fmt.Sprint(nodes)
		}
		return ""
	})
	p.WaitFor(t, "the server itself passing", "/v1/health/service/consul?passing", 1)
	p.Kill()
	p.Start()
	p.WaitForLeader()
	check()
}

func restoreOver(t *testing.T, c *testcluster.Cluster, file string) {
	c.Servers[1].Must("PUT", "/v1/kv/marker", "newer")
	c.Client.Must("PUT", "/v1/kv/unsaved", "x")
	c.Servers[1].Must("PUT", "/v1/agent/service/register", map[string]any{"Name": "late", "Port": 1})
	c.Client.WaitFor(t, "late", "/v1/catalog/service/late", 1)
	_, follower := c.Leader(c.Servers...)
	follower.Kill() // it gets the restore later, from the log or as a snapshot
	out, code := c.Client.Run("snapshot", "restore", file)
	require.Equal(t, 0, code, out)
	follower.Start()
	follower.WaitForLeader()
	for _, p := range c.All() {
		testcluster.Eventually(t, "the restored state at "+p.Name, func() string {
			_, _, out, err := p.Try("GET", "/v1/kv/marker?raw&stale", nil)
			status, _, _, err2 := p.Try("GET", "/v1/kv/unsaved?stale", nil)
			if err != nil || err2 != nil || string(out) != "saved" || status != 404 {
				return fmt.Sprint(string(out), status, err, err2)
			}
			return ""
		})
	}
	c.Client.WaitFor(t, "the live service registers again", "/v1/catalog/service/late", 1)
	p := c.Client
	require.NoError(t, os.WriteFile(file+".bad", []byte("this is no snapshot"), 0o600))
	out, code = p.Run("snapshot", "restore", file+".bad")
	require.Equal(t, 1, code)
	require.Contains(t, out, "Error restoring snapshot: Unexpected response code: 500 (failed to decompress snapshot: gzip: invalid header)")
	require.Equal(t, "saved", string(p.Must("GET", "/v1/kv/marker?raw", nil)))
}

// restoreThroughElection kills the leader half way through a restore, which succeeds all the same.
func restoreThroughElection(t *testing.T, c *testcluster.Cluster) {
	const n = 60
	file := filepath.Join(t.TempDir(), "large.snap")
	value := func(i int) string { return strings.Repeat(string(rune('a'+i%26)), 450<<10) }
	for i := range n {
		c.Client.Must("PUT", fmt.Sprintf("/v1/kv/bulk/%02d", i), value(i))
	}
	out, code := c.Client.Run("snapshot", "save", file)
	require.Equal(t, 0, code, out)
	c.Client.Must("DELETE", "/v1/kv/bulk?recurse", nil)
	leader, follower := c.Leader(c.Servers...)
	last := func() uint64 {
		raft := testcluster.Get[map[string]map[string]any](follower, "/v1/agent/self")["Stats"]["raft"].(map[string]any)
		index, err := strconv.ParseUint(raft["last_log_index"].(string), 10, 64)
		require.NoError(t, err)
		return index
	}
	type result struct {
		out  string
		code int
	}
	before, ended := last(), make(chan result, 1)
	go func() {
		out, code := c.Client.Run("snapshot", "restore", file)
		ended <- result{out, code}
	}()
	testcluster.Eventually(t, "the restore is under way", func() string {
		if index := last(); index < before+n/4 {
			return fmt.Sprint(index - before)
		}
		return ""
	})
	t.Logf("killed the leader at entry %d of about %d", last()-before, n+2)
	leader.Kill()
	select {
	case r := <-ended:
		require.Equal(t, 0, r.code, r.out)
	case <-time.After(testcluster.Patience):
		t.Fatal("the restore does not end")
	}
	for i := range n {
		require.Equal(t, value(i), string(follower.Must("GET", fmt.Sprintf("/v1/kv/bulk/%02d?raw", i), nil)))
	}
	leader.Start()
	leader.WaitForLeader()
	testcluster.Eventually(t, "the killed leader catches up", func() string {
		if status, _, _, err := leader.Try("GET", fmt.Sprintf("/v1/kv/bulk/%02d?stale", n-1), nil); err != nil || status != 200 {
			return fmt.Sprint(status, err)
		}
		return ""
	})
}
