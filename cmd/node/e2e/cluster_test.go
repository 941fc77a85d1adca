package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
)

// cluster is three servers and a client agent.
type cluster struct {
	servers []*proc
	client  *proc
}

func (c *cluster) all() []*proc { return append(append([]*proc{}, c.servers...), c.client) }

func startCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{}
	var join []string
	for i := range 3 {
		p := newAgent(t, fmt.Sprintf("server-%d", i+1), nil)
		c.servers = append(c.servers, p)
		join = append(join, fmt.Sprintf("127.0.0.1:%d", p.lan))
	}
	server := map[string]any{"server": true, "bootstrap_expect": 3, "autopilot": map[string]any{"server_stabilization_time": "2s"}}
	for _, p := range c.servers {
		rewrite(p, server, join)
		p.start()
	}
	c.client = newAgent(t, "client-1", nil)
	rewrite(c.client, nil, join)
	c.client.start()
	for _, p := range c.all() {
		p.waitForLeader()
		eventually(t, p.name+" sees the members", func() string {
			if n := len(get[[]any](p, "/v1/agent/members")); n != 4 {
				return fmt.Sprint(n, " of 4")
			}
			return ""
		})
	}
	return c
}

// rewrite adds to the configuration of an agent that has not started.
func rewrite(p *proc, more map[string]any, join []string) {
	p.t.Helper()
	var own []string
	for _, a := range join {
		if a != fmt.Sprintf("127.0.0.1:%d", p.lan) {
			own = append(own, a)
		}
	}
	extra := map[string]any{"retry_join": own}
	for k, v := range more {
		extra[k] = v
	}
	text, err := json.Marshal(extra)
	require.NoError(p.t, err)
	file := p.dir + "/more.json"
	require.NoError(p.t, writeFile(file, text))
	p.args = append(p.args, "-config-file", file)
}

func (p *proc) waitForLeader() string {
	p.t.Helper()
	var leader string
	eventually(p.t, p.name+" knows a leader", func() string {
		status, _, out, err := p.try("GET", "/v1/status/leader", nil)
		if err != nil || status != 200 || json.Unmarshal(out, &leader) != nil || leader == "" {
			return fmt.Sprint(status, string(out), err)
		}
		return ""
	})
	return leader
}

// leader tells which server leads, and one that does not.
func (c *cluster) leader(among ...*proc) (leader, follower *proc) {
	addr := among[0].waitForLeader()
	for _, p := range among {
		if addr == fmt.Sprintf("127.0.0.1:%d", p.rpc) {
			leader = p
		} else {
			follower = p
		}
	}
	require.NotNil(among[0].t, leader, "the leader %s is none of them", addr)
	return leader, follower
}

func TestCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	c := startCluster(t)
	t.Run("services", func(t *testing.T) { services(t, c) })
	t.Run("kv", func(t *testing.T) { keyValue(t, c) })
	t.Run("blocking", func(t *testing.T) { blocking(t, c) })
	t.Run("leader killed", func(t *testing.T) { leaderKilled(t, c) })
	t.Run("fourth server", func(t *testing.T) { fourthServer(t, c) })
	t.Run("client killed", func(t *testing.T) { clientKilled(t, c) })
}

// services registers a service with a TTL and an HTTP check at the client agent and sees it everywhere.
func services(t *testing.T, c *cluster) {
	var healthy atomic.Bool
	healthy.Store(true)
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !healthy.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer backend.Close()
	c.client.must("PUT", "/v1/agent/service/register", map[string]any{
		"ID": "web-1", "Name": "web", "Port": 8080, "Tags": []string{"v1"}, "Meta": map[string]string{"k": "v"}, "Address": "127.0.0.9",
		"Checks": []map[string]any{
			{"CheckID": "web-ttl", "TTL": "60s"},
			{"CheckID": "web-http", "HTTP": backend.URL, "Interval": "1s", "Timeout": "2s"},
		},
	})
	c.client.must("PUT", "/v1/agent/check/pass/web-ttl", nil)
	require.Equal(t, "web", get[map[string]any](c.client, "/v1/agent/service/web-1")["Service"])
	for _, p := range c.all() {
		p.waitFor(t, "web in the catalog", "/v1/catalog/service/web", 1)
		p.waitFor(t, "web passing", "/v1/health/service/web?passing", 1)
		eventually(t, "web by DNS at "+p.name, func() string {
			a, srv := p.lookup("web.service.consul.", dns.TypeA), p.lookup("v1.web.service.consul.", dns.TypeSRV)
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
	for _, p := range c.all() {
		p.waitFor(t, "web not passing", "/v1/health/service/web?passing", 0)
		p.waitFor(t, "web still in the catalog", "/v1/catalog/service/web", 1)
		eventually(t, "web gone from DNS at "+p.name, func() string {
			if r := p.lookup("web.service.consul.", dns.TypeA); r.Rcode != dns.RcodeNameError {
				return r.String()
			}
			return ""
		})
	}
	c.client.must("PUT", "/v1/agent/service/deregister/web-1", nil)
	c.servers[0].waitFor(t, "web deregistered", "/v1/catalog/service/web", 0)
}

// waitFor waits until a list has so many elements.
func (p *proc) waitFor(t *testing.T, what, path string, n int) {
	t.Helper()
	eventually(t, what+" at "+p.name, func() string {
		status, _, out, err := p.try("GET", path, nil)
		var list []any
		if err != nil || status != 200 || json.Unmarshal(out, &list) != nil || len(list) != n {
			return fmt.Sprintf("%d %s %v, want %d", status, out, err, n)
		}
		return ""
	})
}

type kvPair struct {
	Key         string
	Value       []byte
	Flags       uint64
	ModifyIndex uint64
}

func keyValue(t *testing.T, c *cluster) {
	a, b := c.servers[0], c.client
	require.Equal(t, "true", strings.TrimSpace(string(a.must("PUT", "/v1/kv/dir/one?flags=7", "1"))))
	require.Equal(t, "true", strings.TrimSpace(string(b.must("PUT", "/v1/kv/dir/two", "2"))))
	one := get[[]kvPair](b, "/v1/kv/dir/one")[0]
	require.Equal(t, kvPair{"dir/one", []byte("1"), 7, one.ModifyIndex}, one)
	require.Equal(t, "false", strings.TrimSpace(string(b.must("PUT", "/v1/kv/dir/one?cas=1", "x"))))
	require.Equal(t, "true", strings.TrimSpace(string(b.must("PUT", fmt.Sprintf("/v1/kv/dir/one?cas=%d", one.ModifyIndex), "3"))))
	require.Len(t, get[[]kvPair](c.servers[1], "/v1/kv/dir?recurse"), 2)
	require.Equal(t, []string{"dir/"}, get[[]string](c.servers[2], "/v1/kv/?keys&separator=/"))
	require.Equal(t, "3", string(c.servers[2].must("GET", "/v1/kv/dir/one?raw&consistent", nil)))
	a.must("DELETE", "/v1/kv/dir?recurse", nil)
	status, header, _, err := b.try("GET", "/v1/kv/dir/one", nil)
	require.NoError(t, err)
	require.Equal(t, 404, status)
	require.NotEmpty(t, header.Get("X-Consul-Index"))
	out, code := b.run("kv", "put", "cli/key", "value")
	require.Equal(t, 0, code, out)
	out, code = a.run("kv", "get", "cli/key")
	require.Equal(t, 0, code, out)
	require.Equal(t, "value\n", out)
}

// blocking waits for a change at one node that is made at another.
func blocking(t *testing.T, c *cluster) {
	c.client.must("PUT", "/v1/kv/watched", "a")
	_, header, _, err := c.client.try("GET", "/v1/kv/watched", nil)
	require.NoError(t, err)
	woken := make(chan string, 1)
	go func() {
		_, _, out, err := c.client.try("GET", "/v1/kv/watched?raw&wait=25s&index="+header.Get("X-Consul-Index"), nil)
		woken <- fmt.Sprint(string(out), err)
	}()
	select {
	case early := <-woken:
		t.Fatalf("answered before a change: %s", early)
	case <-time.After(300 * time.Millisecond):
	}
	c.servers[1].must("PUT", "/v1/kv/elsewhere", "x") // wakes nobody
	c.servers[1].must("PUT", "/v1/kv/watched", "b")
	select {
	case got := <-woken:
		require.Equal(t, "b<nil>", got)
	case <-time.After(10 * time.Second):
		t.Fatal("not woken")
	}
}

// leaderKilled kills the leader under writes: they go on, and none that was acknowledged is missing.
func leaderKilled(t *testing.T, c *cluster) {
	leader, follower := c.leader(c.servers...)
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
				if status, _, out, err := follower.try("PUT", "/v1/kv/"+key, key); err == nil && status == 200 && strings.TrimSpace(string(out)) == "true" {
					acked.Store(key, true)
				}
			}
		}()
	}
	follower.must("PUT", "/v1/kv/before", "x")
	leader.kill()
	began := time.Now()
	eventually(t, "a write after the leader was killed", func() string {
		status, _, out, err := follower.try("PUT", "/v1/kv/after", "x")
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
		require.Equal(t, k, string(follower.must("GET", "/v1/kv/"+k.(string)+"?raw", nil)))
		return true
	})
	require.Positive(t, n)
	leader.start()
	leader.waitForLeader()
	eventually(t, "the restarted server catches up", func() string {
		status, _, out, err := leader.try("GET", "/v1/kv/after?raw&stale", nil)
		if err != nil || status != 200 || string(out) != "x" {
			return fmt.Sprint(status, string(out), err)
		}
		return ""
	})
	for _, p := range c.servers {
		p.waitForLeader()
	}
}

type raftServer struct {
	ID, Node, Address string
	Leader, Voter     bool
}

func (p *proc) raftServers() []raftServer {
	var v struct{ Servers []raftServer }
	status, _, out, err := p.try("GET", "/v1/operator/raft/configuration", nil)
	if err != nil || status != 200 || json.Unmarshal(out, &v) != nil {
		return nil
	}
	return v.Servers
}

// fourthServer joins, is a nonvoter at first, and becomes a voter.
func fourthServer(t *testing.T, c *cluster) {
	p := newAgent(t, "server-4", map[string]any{"server": true})
	rewrite(p, nil, []string{fmt.Sprintf("127.0.0.1:%d", c.servers[0].lan)})
	p.start()
	wasNonvoter := false
	eventually(t, "server-4 is promoted", func() string {
		for _, s := range c.servers[0].raftServers() {
			if s.Node == "server-4" {
				wasNonvoter = wasNonvoter || !s.Voter
				if s.Voter {
					return ""
				}
			}
		}
		return fmt.Sprint(c.servers[0].raftServers())
	})
	require.True(t, wasNonvoter, "it must be a nonvoter first")
	out, code := p.run("leave")
	require.Equal(t, 0, code, out)
	select {
	case <-p.exited:
	case <-time.After(patience):
		t.Fatal("server-4 does not end after leave")
	}
	eventually(t, "server-4 is gone", func() string {
		if n := len(c.servers[0].raftServers()); n != 3 {
			return fmt.Sprint(n, " raft servers")
		}
		if nodes := string(c.servers[0].must("GET", "/v1/catalog/nodes", nil)); strings.Contains(nodes, "server-4") {
			return nodes
		}
		return ""
	})
}

// clientKilled sees a killed client fail, in members and in the catalog.
func clientKilled(t *testing.T, c *cluster) {
	c.client.kill()
	eventually(t, "client-1 failed", func() string {
		out, _ := c.servers[0].run("members")
		for _, line := range strings.Split(out, "\n") {
			if strings.HasPrefix(line, "client-1 ") && strings.Contains(line, "failed") {
				return ""
			}
		}
		return out
	})
	eventually(t, "client-1 critical in the catalog", func() string {
		var checks []struct{ CheckID, Status string }
		status, _, out, err := c.servers[1].try("GET", "/v1/health/node/client-1", nil)
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
	p := newAgent(t, "dev", nil)
	p.args = []string{"agent", "-dev", "-node", "dev", "-bind", "127.0.0.1", fmt.Sprint("-http-port=", p.http), fmt.Sprint("-dns-port=", p.dns),
		fmt.Sprint("-server-port=", p.rpc), fmt.Sprint("-serf-lan-port=", p.lan), "-serf-wan-port=-1"}
	began := time.Now()
	p.start()
	p.waitForLeader()
	t.Logf("exec to leader: %v", time.Since(began))
	require.Equal(t, "true", strings.TrimSpace(string(p.must("PUT", "/v1/kv/a", "1"))))
	p.waitFor(t, "the consul service", "/v1/catalog/service/consul", 1)
	eventually(t, "dev.node.consul", func() string {
		if r := p.lookup("dev.node.consul.", dns.TypeA); len(r.Answer) != 1 || !r.Answer[0].(*dns.A).A.Equal(net.IPv4(127, 0, 0, 1)) {
			return r.String()
		}
		return ""
	})
	out, code := p.run("members")
	require.Equal(t, 0, code, out)
	require.Contains(t, out, "alive")
	require.Equal(t, 0, p.stop(syscall.SIGTERM))
}

// TestRestart keeps data, services and identity over kill -9.
func TestRestart(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	p := newAgent(t, "solo", map[string]any{"server": true, "bootstrap_expect": 1})
	p.start()
	p.waitForLeader()
	p.must("PUT", "/v1/kv/kept", "yes")
	p.must("PUT", "/v1/agent/service/register", map[string]any{"Name": "api", "Port": 1})
	id := get[map[string]map[string]any](p, "/v1/agent/self")["Config"]["NodeID"]
	p.kill()
	p.start()
	p.waitForLeader()
	require.Equal(t, "yes", string(p.must("GET", "/v1/kv/kept?raw", nil)))
	require.Equal(t, id, get[map[string]map[string]any](p, "/v1/agent/self")["Config"]["NodeID"])
	require.Contains(t, get[map[string]any](p, "/v1/agent/services"), "api")
}
