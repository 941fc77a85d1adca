package e2e

import (
	"fmt"
	"maps"
	"path/filepath"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	"concord/internal/testcluster"
)

// wanTiming finds failures across datacenters within seconds.
var wanTiming = map[string]any{"gossip_wan": map[string]any{"preset": "fast"}, "gossip_lan": map[string]any{"preset": "fast"}}

type wanMember struct {
	Name   string
	Status int
	Tags   map[string]string
}

// seesAll waits until a server's WAN pool has so many members alive.
func seesAll(t *testing.T, p *testcluster.Agent, n int) {
	t.Helper()
	testcluster.Eventually(t, p.Name+" sees the servers of all datacenters", func() string {
		alive := 0
		members := testcluster.Get[[]wanMember](p, "/v1/agent/members?wan=1")
		for _, m := range members {
			if m.Status == 1 {
				alive++
			}
		}
		if alive != n {
			return fmt.Sprintf("%d of %d alive: %v", alive, n, members)
		}
		return ""
	})
}

// Two datacenters of three servers and a client agent each.
func TestDatacenters(t *testing.T) {
	if testing.Short() {
		t.Skip("starts eight agents")
	}
	t.Parallel()
	one, two := testcluster.StartDatacenter(t, "dc1", wanTiming), testcluster.StartDatacenter(t, "dc2", wanTiming)
	servers := append(append([]*testcluster.Agent{}, one.Servers...), two.Servers...)
	for _, p := range one.Servers {
		seesAll(t, p, 3) // they have met by themselves
	}

	begun := time.Now()
	out, code := one.Servers[0].Run("join", "-wan", fmt.Sprintf("127.0.0.1:%d", two.Servers[0].WAN))
	require.Zero(t, code, out)
	for _, p := range servers {
		seesAll(t, p, 6)
	}
	t.Logf("one join connected all six servers in %v", time.Since(begun))

	out, code = one.Servers[2].Run("members", "-wan")
	require.Zero(t, code, out)
	require.Contains(t, out, "dc2-server-3.dc2")
	self := testcluster.Get[[]wanMember](two.Servers[1], "/v1/agent/members?wan=1")[0]
	require.Equal(t, "dc1-server-1.dc1", self.Name)
	require.Equal(t, "consul", self.Tags["role"])
	require.Equal(t, "dc1", self.Tags["dc"])
	require.Equal(t, fmt.Sprint(one.Servers[0].RPC), self.Tags["port"])
	require.Empty(t, testcluster.Get[[]wanMember](one.Client, "/v1/agent/members?wan=1"))

	for _, p := range []*testcluster.Agent{one.Servers[1], one.Client, two.Client} {
		require.Len(t, testcluster.Get[[]string](p, "/v1/catalog/datacenters"), 2, p.Name)
	}
	locatesOtherDatacenter(t, one)
	asksOtherDatacenter(t, one, two)
	watchesOtherDatacenter(t, one.Client, two.Client)
	losesRemoteServer(t, one, two)
	mistakesDatacenter(t, one.Client, two.Client)
	leavesBothPools(t, one.Servers[0], two)
}

// mistakesDatacenter joins the LAN pool of the other datacenter, which does not let in who is of this one.
func mistakesDatacenter(t *testing.T, here, there *testcluster.Agent) {
	out, code := here.Run("join", fmt.Sprintf("127.0.0.1:%d", there.LAN))
	require.Equal(t, 1, code)
	require.Contains(t, out, "Member '"+there.Name+"' part of wrong datacenter 'dc2'")
	for _, p := range []*testcluster.Agent{here, there} {
		require.Len(t, testcluster.Get[[]any](p, "/v1/agent/members"), 4)
	}
}

// leavesBothPools has a server leave, which those of the other datacenter are told of, too.
func leavesBothPools(t *testing.T, there *testcluster.Agent, c *testcluster.Cluster) {
	_, follower := c.Leader(c.Servers...)
	out, code := follower.Run("leave")
	require.Zero(t, code, out)
	<-follower.Exited
	testcluster.Eventually(t, there.Name+" sees that "+follower.Name+" has left", func() string {
		for _, m := range testcluster.Get[[]wanMember](there, "/v1/agent/members?wan=1") {
			if m.Name == follower.Name+".dc2" && m.Status != 3 {
				return fmt.Sprint(m.Status)
			}
		}
		return ""
	})
}

// asksOtherDatacenter does at the agents of one datacenter what is to happen in another.
func asksOtherDatacenter(t *testing.T, one, two *testcluster.Cluster) {
	firesInOtherDatacenter(t, one, two)
	two.Client.Must("PUT", "/v1/agent/service/register", map[string]any{"Name": "web", "Port": 8080})
	for i, p := range []*testcluster.Agent{one.Client, one.Servers[0], one.Servers[1], one.Servers[2]} {
		key := fmt.Sprint("/v1/kv/k", i)
		require.Equal(t, "true", string(p.Must("PUT", key+"?dc=dc2", "over there")))
		for _, level := range []string{"", "&stale", "&consistent"} {
			testcluster.Eventually(t, "the key is read", func() string {
				status, _, out, err := p.Try("GET", key+"?dc=dc2&raw"+level, nil)
				if err != nil || string(out) != "over there" {
					return fmt.Sprint(level, " ", status, string(out), err)
				}
				return ""
			})
		}
		status, _, _, err := p.Try("GET", key, nil)
		require.NoError(t, err)
		require.Equal(t, 404, status, "it is not here")
		require.Equal(t, "over there", string(two.Servers[0].Must("GET", key+"?raw", nil)))
		p.WaitFor(t, "the service", "/v1/health/service/web?dc=dc2&passing", 1)
		p.WaitFor(t, "the nodes", "/v1/catalog/nodes?dc=dc2", 4)
		p.Must("PUT", "/v1/txn?dc=dc2", `[{"KV":{"Verb":"set","Key":"t","Value":"dg=="}},{"KV":{"Verb":"get","Key":"t"}}]`)
		require.NotEmpty(t, testcluster.Get[string](p, "/v1/status/leader?dc=dc2"))
		require.NotEqual(t, testcluster.Get[string](p, "/v1/status/leader"), testcluster.Get[string](p, "/v1/status/leader?dc=dc2"))
		testcluster.Eventually(t, "DNS of "+p.Name, func() string {
			r := p.Lookup("web.service.dc2.consul.", dns.TypeSRV)
			if len(r.Answer) != 1 || r.Answer[0].(*dns.SRV).Target != "dc2-client.node.dc2.consul." {
				return r.String()
			}
			return ""
		})
		require.Len(t, p.Lookup("dc2-client.node.dc2.consul.", dns.TypeA).Answer, 1)
		require.Equal(t, dns.RcodeNameError, p.Lookup("web.service.consul.", dns.TypeSRV).Rcode)
		require.Equal(t, dns.RcodeNameError, p.Lookup("web.service.dc9.consul.", dns.TypeSRV).Rcode)
		status, _, out, err := p.Try("GET", key+"?dc=dc9", nil)
		require.NoError(t, err)
		require.Equal(t, 500, status)
		require.Equal(t, "No path to datacenter", string(out))
	}
	p := one.Client
	p.Must("PUT", "/v1/catalog/register", `{"Datacenter":"dc2","Node":"ext","Address":"192.0.2.1"}`)
	p.WaitFor(t, "the nodes", "/v1/catalog/nodes?dc=dc2", 5)
	out, code := p.Run("kv", "get", "-datacenter=dc2", "k0")
	require.Zero(t, code, out)
	require.Equal(t, "over there\n", out)
	out, code = p.Run("catalog", "datacenters")
	require.Zero(t, code, out)
	require.Equal(t, "dc1\ndc2\n", out)
	file := filepath.Join(t.TempDir(), "dc2.snap")
	out, code = p.Run("snapshot", "save", "-datacenter=dc2", file)
	require.Zero(t, code, out)
}

// watchesOtherDatacenter has a blocking query woken by a write in the other datacenter.
func watchesOtherDatacenter(t *testing.T, here, there *testcluster.Agent) {
	_, h, _, err := here.Try("GET", "/v1/kv/k0?dc=dc2", nil)
	require.NoError(t, err)
	woken := make(chan string, 1)
	go func() {
		_, _, out, err := here.Try("GET", "/v1/kv/k0?raw&dc=dc2&wait=20s&index="+h.Get("X-Consul-Index"), nil)
		woken <- fmt.Sprint(string(out), err)
	}()
	there.Must("PUT", "/v1/kv/k0", "changed")
	require.Equal(t, "changed<nil>", <-woken)
}

// losesRemoteServer kills one server after the other of the other datacenter, as far as it can do without, during reads and writes.
func losesRemoteServer(t *testing.T, one, two *testcluster.Cluster) {
	stop, slowest := make(chan struct{}), make(chan time.Duration)
	for _, p := range one.Servers {
		go func() {
			worst := time.Duration(0)
			for {
				begun := time.Now()
				status, _, out, err := p.Try("GET", "/v1/kv/k0?raw&stale&dc=dc2", nil)
				if err != nil || status != 200 {
					t.Errorf("a read during the loss of a remote server failed: %d %s %v", status, out, err)
				}
				worst = max(worst, time.Since(begun))
				select {
				case <-stop:
					slowest <- worst
					return
				default:
				}
			}
		}()
	}
	_, follower := two.Leader(two.Servers...)
	follower.Kill()
	gone := follower.Name + ".dc2"
	for _, p := range one.Servers {
		testcluster.Eventually(t, p.Name+" takes "+gone+" for failed", func() string {
			for _, m := range testcluster.Get[[]wanMember](p, "/v1/agent/members?wan=1") {
				if m.Name == gone && m.Status == 4 {
					return ""
				}
			}
			return "it does not"
		})
	}
	close(stop)
	worst := time.Duration(0)
	for range one.Servers {
		worst = max(worst, <-slowest)
	}
	t.Logf("slowest read while a remote server was killed: %v", worst)
	require.Less(t, worst, 5*time.Second)
	for _, p := range one.All() {
		p.Must("PUT", "/v1/kv/after?dc=dc2", "v")
	}
	out, code := one.Servers[0].Run("force-leave", gone)
	require.Zero(t, code, out)
	testcluster.Eventually(t, gone+" has left", func() string {
		for _, m := range testcluster.Get[[]wanMember](one.Servers[1], "/v1/agent/members?wan=1") {
			if m.Name == gone && m.Status != 3 {
				return fmt.Sprint(m.Status)
			}
		}
		return ""
	})
	follower.Start()
	for _, p := range one.Servers {
		seesAll(t, p, 6)
	}
}

// TestWANPartition cuts two datacenters off from each other: each goes on for itself, a request for the other one ends with a clear answer,
// and soon after the cut everything is as it was.
func TestWANPartition(t *testing.T) {
	if testing.Short() {
		t.Skip("starts eight agents")
	}
	t.Parallel()
	b := testcluster.NewBorder(t)
	one := b.StartDatacenter("dc1", "127.0.1.1", wanTiming)
	joining := map[string]any{"retry_join_wan": []string{fmt.Sprintf("127.0.1.1:%d", one.Servers[0].WAN)}, "retry_interval_wan": "200ms"}
	maps.Copy(joining, wanTiming)
	two := b.StartDatacenter("dc2", "127.0.1.2", joining)
	all := append(append([]*testcluster.Agent{}, one.Servers...), two.Servers...)
	for _, p := range all {
		seesAll(t, p, 6)
	}
	one.Client.Must("PUT", "/v1/kv/a?dc=dc2", "v")
	testcluster.Eventually(t, "both addresses of each agent", func() string {
		for _, n := range testcluster.Get[[]struct{ TaggedAddresses map[string]string }](one.Client, "/v1/catalog/nodes?dc=dc2") {
			if a := n.TaggedAddresses; a["lan"] != "127.0.0.1" || a["wan"] != "127.0.1.2" {
				return fmt.Sprint(a)
			}
		}
		return ""
	})

	b.Cut()
	begun := time.Now()
	for _, p := range all {
		seesAll(t, p, 3)
	}
	t.Logf("all servers took the other datacenter for failed after %v", time.Since(begun))
	for _, c := range []*testcluster.Cluster{one, two} {
		for _, p := range c.All() {
			p.Must("PUT", "/v1/kv/local", p.Name)
		}
		c.Client.WaitFor(t, "the nodes", "/v1/catalog/nodes", 4)
	}
	begun = time.Now()
	status, _, body, err := one.Client.Try("GET", "/v1/kv/a?dc=dc2", nil)
	require.NoError(t, err)
	require.Equal(t, 500, status)
	require.Equal(t, "No path to datacenter", string(body))
	require.Less(t, time.Since(begun), time.Second)

	b.Heal()
	begun = time.Now()
	for _, p := range all {
		seesAll(t, p, 6)
	}
	t.Logf("healed after %v", time.Since(begun))
	for _, p := range one.All() {
		testcluster.Eventually(t, "a read across", func() string {
			status, _, out, err := p.Try("GET", "/v1/kv/a?raw&dc=dc2", nil)
			if err != nil || string(out) != "v" {
				return fmt.Sprint(status, string(out), err)
			}
			return ""
		})
	}
	require.Equal(t, "dc2-client", string(one.Client.Must("GET", "/v1/kv/local?raw&dc=dc2", nil)))
	require.Equal(t, "dc1-client", string(two.Client.Must("GET", "/v1/kv/local?raw&dc=dc1", nil)))
}
