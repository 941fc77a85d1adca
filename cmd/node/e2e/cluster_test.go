// Package e2e starts the real binary and uses it as a person does.
package e2e

import (
	"concord/internal/testcluster"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	code := m.Run()
	testcluster.Clean()
	os.Exit(code)
}

func TestCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	c := testcluster.StartCluster(t)
	t.Run("services", func(t *testing.T) { services(t, c) })
	t.Run("kv", func(t *testing.T) { keyValue(t, c) })
	t.Run("blocking", func(t *testing.T) { blocking(t, c) })
	t.Run("transactions", func(t *testing.T) { transactions(t, c) })
	t.Run("leader killed", func(t *testing.T) { leaderKilled(t, c) })
	t.Run("fourth server", func(t *testing.T) { fourthServer(t, c) })
	t.Run("client killed", func(t *testing.T) { clientKilled(t, c) })
}

// services registers a service with a TTL and an HTTP check at the client agent and sees it everywhere.
func services(t *testing.T, c *testcluster.Cluster) {
	var healthy atomic.Bool
	healthy.Store(true)
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !healthy.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer backend.Close()
	c.Client.Must("PUT", "/v1/agent/service/register", map[string]any{
		"ID": "web-1", "Name": "web", "Port": 8080, "Tags": []string{"v1"}, "Meta": map[string]string{"k": "v"}, "Address": "127.0.0.9",
		"Checks": []map[string]any{
			{"CheckID": "web-ttl", "TTL": "60s"},
			{"CheckID": "web-http", "HTTP": backend.URL, "Interval": "1s", "Timeout": "2s"},
		},
	})
	c.Client.Must("PUT", "/v1/agent/check/pass/web-ttl", nil)
	require.Equal(t, "web", testcluster.Get[map[string]any](c.Client, "/v1/agent/service/web-1")["Service"])
	for _, p := range c.All() {
		p.WaitFor(t, "web in the catalog", "/v1/catalog/service/web", 1)
		p.WaitFor(t, "web passing", "/v1/health/service/web?passing", 1)
		testcluster.Eventually(t, "web by DNS at "+p.Name, func() string {
			a, srv := p.Lookup("web.service.consul.", dns.TypeA), p.Lookup("v1.web.service.consul.", dns.TypeSRV)
			if len(a.Answer) != 1 || len(srv.Answer) != 1 {
				return fmt.Sprint(a, srv)
			}
			if got := a.Answer[0].(*dns.A).A.String(); got != "127.0.0.9" {
				return got
			}
			if got := srv.Answer[0].(*dns.SRV).Port; got != 8080 {
				return fmt.Sprint(got)
			}
			return ""
		})
	}
	healthy.Store(false)
	for _, p := range c.All() {
		p.WaitFor(t, "web not passing", "/v1/health/service/web?passing", 0)
		p.WaitFor(t, "web still in the catalog", "/v1/catalog/service/web", 1)
		testcluster.Eventually(t, "web gone from DNS at "+p.Name, func() string {
			if r := p.Lookup("web.service.consul.", dns.TypeA); r.Rcode != dns.RcodeNameError {
				return r.String()
			}
			return ""
		})
	}
	c.Client.Must("PUT", "/v1/agent/service/deregister/web-1", nil)
	c.Servers[0].WaitFor(t, "web deregistered", "/v1/catalog/service/web", 0)
}

type kvPair struct {
	Key         string
	Value       []byte
	Flags       uint64
	ModifyIndex uint64
}

func keyValue(t *testing.T, c *testcluster.Cluster) {
	a, b := c.Servers[0], c.Client
	require.Equal(t, "true", strings.TrimSpace(string(a.Must("PUT", "/v1/kv/dir/one?flags=7", "1"))))
	require.Equal(t, "true", strings.TrimSpace(string(b.Must("PUT", "/v1/kv/dir/two", "2"))))
	one := testcluster.Get[[]kvPair](b, "/v1/kv/dir/one")[0]
	require.Equal(t, kvPair{"dir/one", []byte("1"), 7, one.ModifyIndex}, one)
	require.Equal(t, "false", strings.TrimSpace(string(b.Must("PUT", "/v1/kv/dir/one?cas=1", "x"))))
	require.Equal(t, "true", strings.TrimSpace(string(b.Must("PUT", fmt.Sprintf("/v1/kv/dir/one?cas=%d", one.ModifyIndex), "3"))))
	require.Len(t, testcluster.Get[[]kvPair](c.Servers[1], "/v1/kv/dir?recurse"), 2)
	require.Equal(t, []string{"dir/"}, testcluster.Get[[]string](c.Servers[2], "/v1/kv/?keys&separator=/"))
	require.Equal(t, "3", string(c.Servers[2].Must("GET", "/v1/kv/dir/one?raw&consistent", nil)))
	a.Must("DELETE", "/v1/kv/dir?recurse", nil)
	status, header, _, err := b.Try("GET", "/v1/kv/dir/one", nil)
	require.NoError(t, err)
	require.Equal(t, 404, status)
	require.NotEmpty(t, header.Get("X-Consul-Index"))
	out, code := b.Run("kv", "put", "cli/key", "value")
	require.Equal(t, 0, code, out)
	out, code = a.Run("kv", "get", "cli/key")
	require.Equal(t, 0, code, out)
	require.Equal(t, "value\n", out)
}

// blocking waits for a change at one node that is made at another.
func blocking(t *testing.T, c *testcluster.Cluster) {
	c.Client.Must("PUT", "/v1/kv/watched", "a")
	_, header, _, err := c.Client.Try("GET", "/v1/kv/watched", nil)
	require.NoError(t, err)
	woken := make(chan string, 1)
	go func() {
		_, _, out, err := c.Client.Try("GET", "/v1/kv/watched?raw&wait=25s&index="+header.Get("X-Consul-Index"), nil)
		woken <- fmt.Sprint(string(out), err)
	}()
	select {
	case early := <-woken:
		t.Fatalf("answered before a change: %s", early)
	case <-time.After(300 * time.Millisecond):
	}
	c.Servers[1].Must("PUT", "/v1/kv/elsewhere", "x") // wakes nobody
	c.Servers[1].Must("PUT", "/v1/kv/watched", "b")
	select {
	case got := <-woken:
		require.Equal(t, "b<nil>", got)
	case <-time.After(10 * time.Second):
		t.Fatal("not woken")
	}
}

// leaderKilled kills the leader under writes: they go on, and none that was acknowledged is missing.
func leaderKilled(t *testing.T, c *testcluster.Cluster) {
	leader, follower := c.Leader(c.Servers...)
	var acked sync.Map
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for w := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				key := fmt.Sprintf("load/%d/%d", w, i)
				if status, _, out, err := follower.Try("PUT", "/v1/kv/"+key, key); err == nil && status == 200 && strings.TrimSpace(string(out)) == "true" {
					acked.Store(key, true)
				}
			}
		}()
	}
	follower.Must("PUT", "/v1/kv/before", "x")
	leader.Kill()
	began := time.Now()
	testcluster.Eventually(t, "a write after the leader was killed", func() string {
		status, _, out, err := follower.Try("PUT", "/v1/kv/after", "x")
		if err != nil || status != 200 {
			return fmt.Sprint(status, string(out), err)
		}
		return ""
	})
	t.Logf("first write %v after kill -9 of the leader", time.Since(began))
	close(stop)
	wg.Wait()
	n := 0
	acked.Range(func(k, _ any) bool {
		n++
		require.Equal(t, k, string(follower.Must("GET", "/v1/kv/"+k.(string)+"?raw", nil)))
		return true
	})
	require.Positive(t, n)
	leader.Start()
	leader.WaitForLeader()
	testcluster.Eventually(t, "the restarted server catches up", func() string {
		status, _, out, err := leader.Try("GET", "/v1/kv/after?raw&stale", nil)
		if err != nil || status != 200 || string(out) != "x" {
			return fmt.Sprint(status, string(out), err)
		}
		return ""
	})
	for _, p := range c.Servers {
		p.WaitForLeader()
	}
}

// fourthServer joins, is a nonvoter at first, and becomes a voter.
func fourthServer(t *testing.T, c *testcluster.Cluster) {
	p := testcluster.NewAgent(t, "server-4", map[string]any{"server": true})
	testcluster.AddConfig(p, nil, []string{fmt.Sprintf("127.0.0.1:%d", c.Servers[0].LAN)})
	p.Start()
	wasNonvoter := false
	testcluster.Eventually(t, "server-4 is promoted", func() string {
		for _, s := range c.Servers[0].RaftServers() {
			if s.Node == "server-4" {
				wasNonvoter = wasNonvoter || !s.Voter
				if s.Voter {
					return ""
				}
			}
		}
		return fmt.Sprint(c.Servers[0].RaftServers())
	})
	require.True(t, wasNonvoter, "it must be a nonvoter first")
	out, code := p.Run("leave")
	require.Equal(t, 0, code, out)
	select {
	case <-p.Exited:
	case <-time.After(testcluster.Patience):
		t.Fatal("server-4 does not end after leave")
	}
	testcluster.Eventually(t, "server-4 is gone", func() string {
		if n := len(c.Servers[0].RaftServers()); n != 3 {
			return fmt.Sprint(n, " raft servers")
		}
		if nodes := string(c.Servers[0].Must("GET", "/v1/catalog/nodes", nil)); strings.Contains(nodes, "server-4") {
			return nodes
		}
		return ""
	})
}

// clientKilled sees a killed client fail, in members and in the catalog.
func clientKilled(t *testing.T, c *testcluster.Cluster) {
	c.Client.Kill()
	began := time.Now()
	testcluster.Eventually(t, "client-1 failed", func() string {
		out, _ := c.Servers[0].Run("members")
		for _, line := range strings.Split(out, "\n") {
			if strings.HasPrefix(line, "client-1 ") && strings.Contains(line, "failed") {
				return ""
			}
		}
		return out
	})
	t.Logf("failed in members %v after kill -9", time.Since(began))
	testcluster.Eventually(t, "client-1 critical in the catalog", func() string {
		var checks []struct{ CheckID, Status string }
		status, _, out, err := c.Servers[1].Try("GET", "/v1/health/node/client-1", nil)
		if err == nil && status == 200 && json.Unmarshal(out, &checks) == nil {
			for _, k := range checks {
				if k.CheckID == "serfHealth" && k.Status == "critical" {
					return ""
				}
			}
		}
		return string(out)
	})
}

// TestDev is the README's first command.
func TestDev(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	p := testcluster.NewAgent(t, "dev", nil)
	p.Args = []string{"agent", "-dev", "-node", "dev", "-bind", "127.0.0.1", fmt.Sprint("-http-port=", p.HTTP), fmt.Sprint("-dns-port=", p.DNS),
		fmt.Sprint("-server-port=", p.RPC), fmt.Sprint("-serf-lan-port=", p.LAN), "-serf-wan-port=-1"}
	began := time.Now()
	p.Start()
	p.WaitForLeader()
	t.Logf("exec to leader: %v", time.Since(began))
	require.Equal(t, "true", strings.TrimSpace(string(p.Must("PUT", "/v1/kv/a", "1"))))
	p.WaitFor(t, "the consul service", "/v1/catalog/service/consul", 1)
	testcluster.Eventually(t, "dev.node.consul", func() string {
		if r := p.Lookup("dev.node.consul.", dns.TypeA); len(r.Answer) != 1 || !r.Answer[0].(*dns.A).A.Equal(net.IPv4(127, 0, 0, 1)) {
			return r.String()
		}
		return ""
	})
	out, code := p.Run("members")
	require.Equal(t, 0, code, out)
	require.Contains(t, out, "alive")
	require.Equal(t, 0, p.Stop(syscall.SIGTERM))
}

// TestRestart keeps data, services and identity over kill -9.
func TestRestart(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	p := testcluster.NewAgent(t, "solo", map[string]any{"server": true, "bootstrap_expect": 1})
	p.Start()
	p.WaitForLeader()
	p.Must("PUT", "/v1/kv/kept", "yes")
	p.Must("PUT", "/v1/agent/service/register", map[string]any{"Name": "api", "Port": 1})
	id := testcluster.Get[map[string]map[string]any](p, "/v1/agent/self")["Config"]["NodeID"]
	p.Kill()
	p.Start()
	p.WaitForLeader()
	require.Equal(t, "yes", string(p.Must("GET", "/v1/kv/kept?raw", nil)))
	require.Equal(t, id, testcluster.Get[map[string]map[string]any](p, "/v1/agent/self")["Config"]["NodeID"])
	require.Contains(t, testcluster.Get[map[string]any](p, "/v1/agent/services"), "api")
}
