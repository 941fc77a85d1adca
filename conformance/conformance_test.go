// Package conformance uses a real cluster through Consul's own Go client.
package conformance

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/stretchr/testify/require"

	"concord/internal/testcluster"
)

func TestMain(m *testing.M) {
	code := m.Run()
	testcluster.Clean()
	os.Exit(code)
}

func clientOf(t *testing.T, a *testcluster.Agent) *api.Client {
	t.Helper()
	c, err := api.NewClient(&api.Config{Address: fmt.Sprintf("127.0.0.1:%d", a.HTTP)})
	require.NoError(t, err)
	return c
}

func TestClient(t *testing.T) {
	cluster := testcluster.StartCluster(t)
	server, agent := clientOf(t, cluster.Servers[0]), clientOf(t, cluster.Client)
	t.Run("services", func(t *testing.T) { services(t, cluster, agent) })
	t.Run("kv", func(t *testing.T) { keyValue(t, server, agent) })
	t.Run("transactions", func(t *testing.T) { transactions(t, server, agent) })
	t.Run("events", func(t *testing.T) { events(t, server, agent) })
	t.Run("blocking", func(t *testing.T) { blocking(t, server, agent) })
	t.Run("catalog", func(t *testing.T) { catalog(t, server) })
	t.Run("operator", func(t *testing.T) { operator(t, server) })
	t.Run("status and members", func(t *testing.T) { status(t, agent) })
	t.Run("leader killed", func(t *testing.T) { leaderKilled(t, cluster) })
}

func services(t *testing.T, cluster *testcluster.Cluster, agent *api.Client) {
	var healthy atomic.Bool
	healthy.Store(true)
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !healthy.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer backend.Close()
	require.NoError(t, agent.Agent().ServiceRegister(&api.AgentServiceRegistration{
		ID: "web-1", Name: "web", Port: 8080, Address: "127.0.0.9", Tags: []string{"v1"}, Meta: map[string]string{"k": "v"},
		Checks: api.AgentServiceChecks{
			{CheckID: "web-ttl", TTL: "60s"},
			{CheckID: "web-http", HTTP: backend.URL, Interval: "1s", Timeout: "2s"},
		},
	}))
	require.NoError(t, agent.Agent().UpdateTTL("web-ttl", "fine", api.HealthPassing))
	s, _, err := agent.Agent().Service("web-1", nil)
	require.NoError(t, err)
	require.Equal(t, "web", s.Service)
	require.Equal(t, map[string]string{"k": "v"}, s.Meta)
	passing := func(want int) {
		t.Helper()
		for _, a := range append(cluster.Servers, cluster.Client) {
			c := clientOf(t, a)
			testcluster.Eventually(t, "web at "+a.Name, func() string {
				found, meta, err := c.Health().Service("web", "v1", true, nil)
				if err != nil || len(found) != want || meta.LastIndex == 0 {
					return fmt.Sprint(found, meta, err)
				}
				return ""
			})
		}
	}
	passing(1)
	status, info, err := agent.Agent().AgentHealthServiceByID("web-1")
	require.NoError(t, err)
	require.Equal(t, api.HealthPassing, status)
	require.Len(t, info.Checks, 2)
	filtered, err := agent.Agent().ServicesWithFilter(`Meta.k == "v"`)
	require.NoError(t, err)
	require.Len(t, filtered, 1)
	healthy.Store(false)
	passing(0)
	nodes, _, err := agent.Catalog().Service("web", "", nil)
	require.NoError(t, err)
	require.Len(t, nodes, 1)
	require.Equal(t, "127.0.0.9", nodes[0].ServiceAddress)
	require.NoError(t, agent.Agent().ServiceDeregister("web-1"))
	testcluster.Eventually(t, "web deregistered", func() string {
		nodes, _, err := agent.Catalog().Service("web", "", nil)
		if err != nil || len(nodes) != 0 {
			return fmt.Sprint(nodes, err)
		}
		return ""
	})
}

func keyValue(t *testing.T, server, agent *api.Client) {
	_, err := agent.KV().Put(&api.KVPair{Key: "dir/a", Value: []byte("1"), Flags: 42}, nil)
	require.NoError(t, err)
	p, meta, err := server.KV().Get("dir/a", &api.QueryOptions{RequireConsistent: true})
	require.NoError(t, err)
	require.Equal(t, []byte("1"), p.Value)
	require.EqualValues(t, 42, p.Flags)
	require.Equal(t, p.ModifyIndex, meta.LastIndex)
	require.True(t, meta.KnownLeader)
	p.Value = []byte("2")
	ok, _, err := agent.KV().CAS(p, nil)
	require.NoError(t, err)
	require.True(t, ok)
	ok, _, err = agent.KV().CAS(p, nil)
	require.NoError(t, err)
	require.False(t, ok, "the index is no longer the current one")
	_, err = server.KV().Put(&api.KVPair{Key: "dir/sub/b", Value: []byte("3")}, nil)
	require.NoError(t, err)
	list, _, err := agent.KV().List("dir/", nil)
	require.NoError(t, err)
	require.Len(t, list, 2)
	keys, _, err := agent.KV().Keys("dir/", "/", nil)
	require.NoError(t, err)
	require.Equal(t, []string{"dir/a", "dir/sub/"}, keys)
	_, err = agent.KV().DeleteTree("dir/", nil)
	require.NoError(t, err)
	gone, _, err := server.KV().Get("dir/a", nil)
	require.NoError(t, err)
	require.Nil(t, gone)
}

func blocking(t *testing.T, server, agent *api.Client) {
	_, err := server.KV().Put(&api.KVPair{Key: "watched", Value: []byte("a")}, nil)
	require.NoError(t, err)
	_, meta, err := agent.KV().Get("watched", nil)
	require.NoError(t, err)
	woken := make(chan string, 1)
	go func() {
		p, _, err := agent.KV().Get("watched", &api.QueryOptions{WaitIndex: meta.LastIndex, WaitTime: 25 * time.Second})
		woken <- fmt.Sprint(string(p.Value), err)
	}()
	_, err = server.KV().Put(&api.KVPair{Key: "watched", Value: []byte("b")}, nil)
	require.NoError(t, err)
	select {
	case got := <-woken:
		require.Equal(t, "b<nil>", got)
	case <-time.After(10 * time.Second):
		t.Fatal("not woken")
	}
}

func catalog(t *testing.T, server *api.Client) {
	_, err := server.Catalog().Register(&api.CatalogRegistration{Node: "ext", Address: "192.0.2.7", NodeMeta: map[string]string{"external": "yes"},
		Service: &api.AgentService{ID: "db1", Service: "db", Port: 5432},
		Check:   &api.AgentCheck{Node: "ext", CheckID: "service:db1", Name: "db", Status: api.HealthPassing, ServiceID: "db1"}}, nil)
	require.NoError(t, err)
	nodes, _, err := server.Catalog().Nodes(&api.QueryOptions{NodeMeta: map[string]string{"external": "yes"}})
	require.NoError(t, err)
	require.Len(t, nodes, 1)
	n, _, err := server.Catalog().Node("ext", nil)
	require.NoError(t, err)
	require.Contains(t, n.Services, "db1")
	checks, _, err := server.Health().Checks("db", nil)
	require.NoError(t, err)
	require.Len(t, checks, 1)
	state, _, err := server.Health().State(api.HealthPassing, &api.QueryOptions{Filter: `Node == "ext"`})
	require.NoError(t, err)
	require.Len(t, state, 1)
	all, _, err := server.Catalog().Services(nil)
	require.NoError(t, err)
	require.Contains(t, all, "db")
	dcs, err := server.Catalog().Datacenters()
	require.NoError(t, err)
	require.Equal(t, []string{"dc1"}, dcs)
	_, err = server.Catalog().Deregister(&api.CatalogDeregistration{Node: "ext"}, nil)
	require.NoError(t, err)
	n, _, err = server.Catalog().Node("ext", nil)
	require.NoError(t, err)
	require.Nil(t, n)
}

func operator(t *testing.T, server *api.Client) {
	raft, err := server.Operator().RaftGetConfiguration(nil)
	require.NoError(t, err)
	require.Len(t, raft.Servers, 3)
	testcluster.Eventually(t, "the servers are healthy", func() string {
		h, err := server.Operator().AutopilotServerHealth(nil)
		if err != nil || !h.Healthy || len(h.Servers) != 3 || h.FailureTolerance != 1 {
			return fmt.Sprint(h, err)
		}
		return ""
	})
	c, err := server.Operator().AutopilotGetConfiguration(nil)
	require.NoError(t, err)
	c.MaxTrailingLogs = 333
	ok, err := server.Operator().AutopilotCASConfiguration(c, nil)
	require.NoError(t, err)
	require.True(t, ok)
	c, err = server.Operator().AutopilotGetConfiguration(nil)
	require.NoError(t, err)
	require.EqualValues(t, 333, c.MaxTrailingLogs)
	state, err := server.Operator().AutopilotState(nil)
	require.NoError(t, err)
	require.Len(t, state.Voters, 3)
}

func status(t *testing.T, agent *api.Client) {
	leader, err := agent.Status().Leader()
	require.NoError(t, err)
	peers, err := agent.Status().Peers()
	require.NoError(t, err)
	require.Contains(t, peers, leader)
	members, err := agent.Agent().Members(false)
	require.NoError(t, err)
	require.Len(t, members, 4)
	self, err := agent.Agent().Self()
	require.NoError(t, err)
	require.Equal(t, "client-1", self["Config"]["NodeName"])
	name, err := agent.Agent().NodeName()
	require.NoError(t, err)
	require.Equal(t, "client-1", name)
}

func leaderKilled(t *testing.T, cluster *testcluster.Cluster) {
	leader, follower := cluster.Leader(cluster.Servers...)
	kv := clientOf(t, follower).KV()
	var acked []string
	for i := range 50 {
		key := fmt.Sprintf("load/%d", i)
		if i == 25 {
			leader.Kill()
		}
		testcluster.Eventually(t, "a write of "+key, func() string {
			if _, err := kv.Put(&api.KVPair{Key: key, Value: []byte(key)}, nil); err != nil {
				return err.Error()
			}
			return ""
		})
		acked = append(acked, key)
	}
	for _, key := range acked {
		p, _, err := kv.Get(key, nil)
		require.NoError(t, err)
		require.NotNil(t, p, key)
	}
	leader.Start()
	leader.WaitForLeader()
}
