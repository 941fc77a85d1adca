package e2e

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	"concord/internal/testcluster"
)

// op is an operation of a transaction, and what there is to know of it.
type op map[string]map[string]any

func kvOp(verb, key string, more map[string]any) op {
	kv := map[string]any{"Verb": verb, "Key": key}
	for k, v := range more {
		kv[k] = v
	}
	return op{"KV": kv}
}

type txnAnswer struct {
	Results []struct{ KV kvPair }
	Errors  []struct {
		OpIndex int
		What    string
	}
}

// txn makes a transaction. The status is that of its answer, or what went wrong without one.
func txn(p *testcluster.Agent, query string, ops ...op) (status int, a txnAnswer) {
	status, _, out, err := p.Try("PUT", "/v1/txn"+query, ops)
	if err != nil || status != 200 && status != 409 {
		return status, a
	}
	if err := json.Unmarshal(out, &a); err != nil {
		panic(err)
	}
	return status, a
}

func transactions(t *testing.T, c *testcluster.Cluster) {
	status, _, out, err := c.Client.Try("PUT", "/v1/txn", []op{
		{"Node": {"Verb": "set", "Node": map[string]any{"Node": "machine", "Address": "192.0.2.7"}}},
		{"Service": {"Verb": "set", "Node": "machine", "Service": map[string]any{"ID": "db-1", "Service": "db", "Port": 5432}}},
		{"Check": {"Verb": "set", "Check": map[string]any{"Node": "machine", "CheckID": "db-1", "ServiceID": "db-1", "Status": "passing"}}},
		kvOp("set", "leader/db", map[string]any{"Value": []byte("db-1")}),
	})
	require.NoError(t, err)
	require.Equal(t, 200, status, string(out))
	for _, p := range c.All() {
		p.WaitFor(t, "db passing", "/v1/health/service/db?passing&stale", 1)
		require.Len(t, p.Lookup("db.service.consul.", dns.TypeA).Answer, 1)
	}
	status, a := txn(c.Servers[1], "", kvOp("delete", "leader/db", nil), op{"Service": {"Verb": "delete", "Node": "machine", "Service": map[string]any{"ID": "db-1", "Service": "db"}}},
		op{"Node": {"Verb": "delete-cas", "Node": map[string]any{"Node": "machine", "ModifyIndex": 1}}})
	require.Equal(t, 409, status)
	require.Equal(t, `failed to delete node "machine", index is stale`, a.Errors[0].What)
	require.Equal(t, 2, a.Errors[0].OpIndex)
	require.Equal(t, "db-1", string(c.Servers[2].Must("GET", "/v1/kv/leader/db?raw", nil)), "all or nothing")
	c.Servers[0].WaitFor(t, "db still there", "/v1/catalog/service/db", 1)
	bank(t, c)
}

const accounts, each = 4, 100

// bank moves money between accounts by transactions at all agents, while the leader is killed. No transaction that reads
// all accounts may ever see the sum changed.
func bank(t *testing.T, c *testcluster.Cluster) {
	open := make([]op, accounts)
	for i := range open {
		open[i] = kvOp("set", fmt.Sprint("bank/", i), map[string]any{"Value": []byte(fmt.Sprint(each))})
	}
	status, _ := txn(c.Client, "", open...)
	require.Equal(t, 200, status)
	leader, _ := c.Leader(c.Servers...)
	var moved, seen atomic.Int64
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for n, p := range c.All() {
		wg.Go(func() {
			for i := n; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if transfer(t, p, i%accounts, (i+1+n%(accounts-1))%accounts, &seen) {
					moved.Add(1)
				}
			}
		})
	}
	progress := func(n int64) {
		from := moved.Load()
		testcluster.Eventually(t, "transfers", func() string {
			if got := moved.Load() - from; got < n {
				return fmt.Sprint(got)
			}
			return ""
		})
	}
	progress(20)
	leader.Kill()
	progress(20)
	leader.Start()
	progress(20)
	close(stop)
	wg.Wait()
	for _, p := range c.All() {
		p.WaitFor(t, "a leader", "/v1/kv/bank/?recurse", accounts)
	}
	t.Logf("%d transfers, %d sums", moved.Load(), seen.Load())
	require.Positive(t, seen.Load())
}

// transfer reads all accounts and moves money if they are still as they were. Any other end, a dead agent included, is to try
// again.
func transfer(t *testing.T, p *testcluster.Agent, from, to int, seen *atomic.Int64) bool {
	query := []string{"", "?consistent", "?stale"}[(from+to)%3]
	status, a := txn(p, query, kvOp("get-tree", "bank/", nil))
	if status != 200 || len(a.Results) == 0 {
		return false // nobody leads, or it is an old state that is read
	}
	sum, balance := 0, make([]int, accounts)
	for i, r := range a.Results {
		balance[i], _ = strconv.Atoi(string(r.KV.Value))
		sum += balance[i]
	}
	seen.Add(1)
	if sum != accounts*each || len(a.Results) != accounts {
		t.Errorf("the accounts at %s sum up to %d: %v", p.Name, sum, balance)
		return false
	}
	amount := 1 + from
	put := func(i, value int) op {
		return kvOp("cas", fmt.Sprint("bank/", i), map[string]any{"Value": []byte(fmt.Sprint(value)), "Index": a.Results[i].KV.ModifyIndex})
	}
	status, a = txn(p, "", put(from, balance[from]-amount), put(to, balance[to]+amount))
	for _, e := range a.Errors {
		if !strings.HasSuffix(e.What, "index is stale") {
			t.Error(e.What)
		}
	}
	if status == 200 && a.Results[0].KV.ModifyIndex != a.Results[1].KV.ModifyIndex {
		t.Error("one transaction, two indexes")
	}
	return status == 200
}
