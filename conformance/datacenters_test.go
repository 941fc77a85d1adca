package conformance

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/stretchr/testify/require"

	"concord/internal/testcluster"
)

// TestDatacenters asks a client agent of one datacenter about another one, as Consul's client does with a datacenter in its options.
func TestDatacenters(t *testing.T) {
	one, two := testcluster.StartDatacenter(t, "dc1", nil), testcluster.StartDatacenter(t, "dc2", nil)
	server, agent, there := clientOf(t, one.Servers[0]), clientOf(t, one.Client), clientOf(t, two.Client)
	require.NoError(t, server.Agent().Join(fmt.Sprintf("127.0.0.1:%d", two.Servers[2].WAN), true))
	testcluster.Eventually(t, "the servers meet", func() string {
		members, err := server.Agent().Members(true)
		if err != nil || len(members) != 6 {
			return fmt.Sprint(len(members), err)
		}
		return ""
	})
	testcluster.Eventually(t, "the datacenters", func() string {
		names, err := agent.Catalog().Datacenters()
		if err != nil || strings.Join(names, " ") != "dc1 dc2" {
			return fmt.Sprint(names, err)
		}
		return ""
	})
	abroad := &api.QueryOptions{Datacenter: "dc2"}
	write := &api.WriteOptions{Datacenter: "dc2"}
	ok, _, err := agent.KV().CAS(&api.KVPair{Key: "a", Value: []byte("v")}, write)
	require.NoError(t, err)
	require.True(t, ok)
	done, _, _, err := agent.Txn().Txn(api.TxnOps{{KV: &api.KVTxnOp{Verb: api.KVSet, Key: "b", Value: []byte("w")}}}, abroad)
	require.NoError(t, err)
	require.True(t, done)
	for _, level := range []*api.QueryOptions{abroad, {Datacenter: "dc2", AllowStale: true}, {Datacenter: "dc2", RequireConsistent: true}} {
		p, meta, err := agent.KV().Get("a", level)
		require.NoError(t, err)
		require.Equal(t, "v", string(p.Value))
		require.True(t, meta.KnownLeader)
	}
	p, _, err := agent.KV().Get("a", nil)
	require.NoError(t, err)
	require.Nil(t, p)

	require.NoError(t, there.Agent().ServiceRegister(&api.AgentServiceRegistration{Name: "web", Port: 80}))
	testcluster.Eventually(t, "the service", func() string {
		found, _, err := agent.Health().Service("web", "", true, abroad)
		if err != nil || len(found) != 1 || found[0].Node.Datacenter != "dc2" {
			return fmt.Sprint(found, err)
		}
		return ""
	})
	nodes, _, err := agent.Catalog().Nodes(abroad)
	require.NoError(t, err)
	require.Len(t, nodes, 4)
	_, err = agent.Catalog().Register(&api.CatalogRegistration{Datacenter: "dc2", Node: "ext", Address: "192.0.2.1"}, nil)
	require.NoError(t, err)
	servers, err := agent.Operator().RaftGetConfiguration(abroad)
	require.NoError(t, err)
	require.Len(t, servers.Servers, 3)
	require.Contains(t, servers.Servers[0].Node, "dc2-")
	leader, err := agent.Status().LeaderWithQueryOptions(abroad)
	require.NoError(t, err)
	require.NotEmpty(t, leader)
	snap, _, err := agent.Snapshot().Save(abroad)
	require.NoError(t, err)
	require.NoError(t, snap.Close())

	_, meta, err := agent.KV().Get("a", abroad)
	require.NoError(t, err)
	woken := make(chan string, 1)
	go func() {
		p, _, err := agent.KV().Get("a", &api.QueryOptions{Datacenter: "dc2", WaitIndex: meta.LastIndex, WaitTime: 20 * time.Second})
		if err != nil {
			woken <- err.Error()
			return
		}
		woken <- string(p.Value)
	}()
	_, err = there.KV().Put(&api.KVPair{Key: "a", Value: []byte("changed")}, nil)
	require.NoError(t, err)
	require.Equal(t, "changed", <-woken)

	_, _, err = agent.KV().Get("a", &api.QueryOptions{Datacenter: "dc9"})
	require.ErrorContains(t, err, "No path to datacenter")
}
