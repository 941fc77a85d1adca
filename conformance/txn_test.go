package conformance

import (
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/stretchr/testify/require"
)

func transactions(t *testing.T, server, agent *api.Client) {
	kv := func(verb api.KVOp, key string, value string, index uint64) *api.TxnOp {
		return &api.TxnOp{KV: &api.KVTxnOp{Verb: verb, Key: key, Value: []byte(value), Index: index}}
	}
	ok, resp, _, err := agent.Txn().Txn(api.TxnOps{
		kv(api.KVSet, "txn/a", "1", 0),
		kv(api.KVCheckNotExists, "txn/b", "", 0),
		{Node: &api.NodeTxnOp{Verb: api.NodeSet, Node: api.Node{Node: "rack-1", Address: "192.0.2.1", Meta: map[string]string{"k": "v"}}}},
		{Service: &api.ServiceTxnOp{Verb: api.ServiceSet, Node: "rack-1", Service: api.AgentService{ID: "cache-1", Service: "cache", Port: 11211, Tags: []string{"hot"}}}},
		{Check: &api.CheckTxnOp{Verb: api.CheckSet, Check: api.HealthCheck{Node: "rack-1", CheckID: "cache-tcp", ServiceID: "cache-1", Status: api.HealthPassing,
			Definition: api.HealthCheckDefinition{TCP: "192.0.2.1:11211", IntervalDuration: 5 * time.Second}}}},
		kv(api.KVGetTree, "txn/", "", 0),
	}, nil)
	require.NoError(t, err)
	require.True(t, ok, "%+v", resp.Errors)
	require.Len(t, resp.Results, 5)
	require.Nil(t, resp.Results[0].KV.Value)
	require.Equal(t, "rack-1", resp.Results[1].Node.Node)
	service := resp.Results[2].Service
	require.Equal(t, []any{"cache-1", 11211, []string{"hot"}, api.AgentWeights{Passing: 1, Warning: 1}}, []any{service.ID, service.Port, service.Tags, service.Weights})
	check := resp.Results[3].Check
	require.Equal(t, []any{"cache", api.HealthPassing, 5 * time.Second}, []any{check.ServiceName, check.Status, check.Definition.IntervalDuration})
	a := resp.Results[4].KV
	require.Equal(t, []byte("1"), a.Value)
	for _, index := range []uint64{resp.Results[0].KV.ModifyIndex, resp.Results[1].Node.ModifyIndex, service.ModifyIndex, check.ModifyIndex} {
		require.Equal(t, a.ModifyIndex, index, "all of it is one change")
	}
	found, _, err := server.Health().Service("cache", "hot", true, nil)
	require.NoError(t, err)
	require.Len(t, found, 1)

	// As KV().Txn: with a condition that does not hold nothing is changed.
	ok, kvResp, _, err := server.KV().Txn(api.KVTxnOps{{Verb: api.KVSet, Key: "txn/b", Value: []byte("2")}, {Verb: api.KVCAS, Key: "txn/a", Index: 1}}, nil)
	require.NoError(t, err)
	require.False(t, ok)
	require.Equal(t, api.TxnErrors{{OpIndex: 1, What: `failed to set key "txn/a", index is stale`}}, kvResp.Errors)
	p, _, err := server.KV().Get("txn/b", nil)
	require.NoError(t, err)
	require.Nil(t, p)

	for _, q := range []*api.QueryOptions{nil, {RequireConsistent: true}, {AllowStale: true}} {
		ok, resp, meta, err := server.Txn().Txn(api.TxnOps{kv(api.KVGet, "txn/a", "", 0), kv(api.KVCheckIndex, "txn/a", "", a.ModifyIndex),
			{Service: &api.ServiceTxnOp{Verb: api.ServiceGet, Node: "rack-1", Service: api.AgentService{ID: "cache-1"}}}}, q)
		require.NoError(t, err)
		if q == nil || !q.AllowStale { // the server asked may be behind
			require.True(t, ok, "%+v", resp.Errors)
			require.Len(t, resp.Results, 3)
		}
		require.NotZero(t, meta.RequestTime)
	}

	ok, resp, _, err = agent.Txn().Txn(api.TxnOps{
		{Check: &api.CheckTxnOp{Verb: api.CheckDeleteCAS, Check: *check}},
		{Service: &api.ServiceTxnOp{Verb: api.ServiceDeleteCAS, Node: "rack-1", Service: *service}},
		{Node: &api.NodeTxnOp{Verb: api.NodeDelete, Node: api.Node{Node: "rack-1"}}},
		kv(api.KVDeleteTree, "txn/", "", 0),
	}, nil)
	require.NoError(t, err)
	require.True(t, ok, "%+v", resp.Errors)
	require.Empty(t, resp.Results)
	nodes, _, err := server.Catalog().Node("rack-1", nil)
	require.NoError(t, err)
	require.Nil(t, nodes)
}
