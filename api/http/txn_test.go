package httpapi

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"concord/catalog"
	"concord/wire"
)

const setA = `[{"KV":{"Verb":"set","Key":"a","Value":"aGk=","Flags":3}}]`

func txnWritten(a catalog.TxnAnswer) *wire.Response {
	return &wire.Response{Result: &catalog.Result{OK: len(a.Errors) == 0, Index: 9, Txn: &a}}
}

func TestTxnAnswers(t *testing.T) {
	t.Parallel()
	entry := &catalog.DirEntry{Key: "a", Flags: 3, RaftIndex: catalog.RaftIndex{CreateIndex: 9, ModifyIndex: 9}}
	ok := txnWritten(catalog.TxnAnswer{Results: []catalog.TxnResult{{KV: entry}}})
	stale := txnWritten(catalog.TxnAnswer{Errors: []catalog.TxnError{{OpIndex: 0, What: `failed to set key "a", index is stale`}}})
	read := &wire.Response{KnownLeader: true, LastContact: 5 * time.Millisecond, Answer: &catalog.Answer{Index: 1, Value: &catalog.TxnAnswer{Results: []catalog.TxnResult{}}}}
	conflict := &wire.Response{Answer: &catalog.Answer{Value: &catalog.TxnAnswer{Errors: []catalog.TxnError{{OpIndex: 1, What: `key "a" exists`}}}}}
	const getA = `[{"KV":{"Verb":"get","Key":"a"}}]`
	for name, c := range map[string]struct {
		body   string
		resp   *wire.Response
		status int
		want   string
	}{
		"written":         {setA, ok, 200, `{"Results":[{"KV":{"LockIndex":0,"Key":"a","Flags":3,"Value":null,"CreateIndex":9,"ModifyIndex":9}}],"Errors":null}`},
		"stale":           {setA, stale, 409, `{"Results":null,"Errors":[{"OpIndex":0,"What":"failed to set key \"a\", index is stale"}]}`},
		"read":            {getA, read, 200, `{"Results":[],"Errors":null,"Index":0,"LastContact":5000000,"KnownLeader":true,"ConsistencyLevel":""}`},
		"read, conflict":  {getA, conflict, 409, `{"Results":null,"Errors":[{"OpIndex":1,"What":"key \"a\" exists"}],"Index":0,"LastContact":0,"KnownLeader":false,"ConsistencyLevel":""}`},
		"nothing":         {`[]`, read, 200, `"Results":[]`},
		"null":            {`null`, read, 200, `"Results":[]`},
		"passed over":     {`[{},null]`, read, 200, `"Results":[]`},
		"no body":         {``, nil, 400, "Failed to parse body: EOF"},
		"half a body":     {`[`, nil, 400, "Failed to parse body: unexpected EOF"},
		"no list":         {`{}`, nil, 400, "Failed to parse body: json: cannot unmarshal object into Go value of type"},
		"no base64":       {`[{"KV":{"Verb":"set","Key":"b","Value":"not base"}}]`, nil, 400, "Failed to parse body: illegal base64 data at input byte 3"},
		"too many":        {"[" + strings.Repeat("{},", catalog.MaxTxnOps) + "{}]", nil, 413, "Transaction contains too many operations (65 > 64)"},
		"too large":       {strings.Repeat(" ", maxTxn+1), nil, 413, "Request body(524289 bytes) too large, max size: 524288 bytes. See https://www.consul.io/docs/agent/options.html#txn_max_req_len."},
		"session":         {`[{"Session":{"Verb":"delete","Session":{"ID":"x"}}}]`, nil, 501, "Operation 0 is about an intention or a session, which are not served yet by Concord"},
		"intention":       {`[{},{"Intention":{}}]`, nil, 501, "Operation 1 is about an intention or a session, which are not served yet by Concord"},
		"no key":          {`[{"KV":{"Verb":"set"}}]`, nil, 409, `{"Results":null,"Errors":[{"OpIndex":0,"What":"Must provide key"}]}`},
		"no node":         {`[{"Node":{"Verb":"set"}}]`, nil, 409, `"What":"Must provide node"`},
		"bad node ID":     {`[{"Node":{"Verb":"cas","Node":{"Node":"n","ID":"bad"}}}]`, nil, 409, `"What":"Bad node ID: uuid string is wrong length"`},
		"no service name": {`[{"Service":{"Verb":"delete","Node":"n","Service":{"ID":"x"}}}]`, nil, 409, `"What":"Must provide service name with ID"`},
		"bad address":     {`[{"Service":{"Verb":"set","Node":"n","Service":{"Service":"x","Address":"0.0.0.0"}}}]`, nil, 409, `"What":"Invalid service address"`},
		"no check ID":     {`[{"Check":{"Verb":"set","Check":{"Node":"n"}}}]`, nil, 409, `"What":"Must provide check name or ID"`},
		"all errors":      {`[{"KV":{"Verb":"set"}},{"KV":{"Verb":"set","Key":"a"}},{"KV":{"Verb":"get"}}]`, nil, 409, `[{"OpIndex":0,"What":"Must provide key"},{"OpIndex":2,"What":"Must provide key"}]`},
		"no leader":       {setA, &wire.Response{Code: wire.NoLeader}, 500, "No cluster leader"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{resp: c.resp}
			w := request1(t, f, "PUT", "/v1/txn", c.body)
			require.Equal(t, c.status, w.Code, w.Body.String())
			require.Contains(t, w.Body.String(), c.want)
			require.Equal(t, c.resp == nil, f.asked == nil, "what cannot succeed must not be asked")
			if c.resp != nil && c.resp.Answer != nil {
				require.Equal(t, fmt.Sprint(c.resp.KnownLeader), w.Header().Get("X-Consul-KnownLeader"))
				require.Empty(t, w.Header().Get("X-Consul-Index"), "it cannot be watched")
			}
		})
	}
	w := request1(t, &fake{}, "GET", "/v1/txn", "")
	require.Equal(t, http.StatusMethodNotAllowed, w.Code)
}

// TestTxnOps: operations reach the catalog as they were sent, those that only read as a read.
func TestTxnOps(t *testing.T) {
	t.Parallel()
	f := &fake{resp: txnWritten(catalog.TxnAnswer{})}
	request1(t, f, "PUT", "/v1/txn", `[{"KV":{"Verb":"lock","Key":"a","Value":"aGk=","Flags":3,"Index":4,"Session":"s"}},{},
		{"Node":{"Verb":"cas","Node":{"ID":"11111111-aaaa-1111-1111-111111111111","Node":"n","Address":"1.2.3.4","ModifyIndex":5}}},
		{"Service":{"Verb":"set","Node":"n","Service":{"Service":"web","Port":80,"Weights":{"Passing":0,"Warning":0}}}},
		{"Check":{"Verb":"set","Check":{"Node":"n","CheckID":"c","Status":"passing","Definition":{"Interval":"5s"}}}}]`)
	require.NotNil(t, f.asked)
	cmd, err := wire.DecodeCommand(f.asked.Command)
	require.NoError(t, err)
	require.Equal(t, &catalog.TxnWrite{Ops: []catalog.TxnOp{
		{Verb: catalog.TxnLock, KV: &catalog.DirEntry{Key: "a", Value: []byte("hi"), Flags: 3, Session: "s", RaftIndex: catalog.RaftIndex{ModifyIndex: 4}}},
		{Verb: catalog.TxnCAS, Node: &catalog.Node{ID: "11111111-aaaa-1111-1111-111111111111", Node: "n", Address: "1.2.3.4", Datacenter: "dc1", RaftIndex: catalog.RaftIndex{ModifyIndex: 5}}},
		{Verb: catalog.TxnSet, ServiceNode: "n", Service: &catalog.NodeService{Service: "web", Port: 80}},
		{Verb: catalog.TxnSet, Check: &catalog.HealthCheck{Node: "n", CheckID: "c", Status: "passing", Definition: catalog.CheckDefinition{Interval: "5s"}}},
	}}, cmd)
	for query, level := range map[string]wire.Consistency{"": wire.Default, "?stale": wire.Stale, "?consistent&index=9&wait=1s": wire.Consistent} {
		f := &fake{resp: &wire.Response{Answer: &catalog.Answer{Value: &catalog.TxnAnswer{}}}}
		request1(t, f, "PUT", "/v1/txn"+query, `[{"KV":{"Verb":"get","Key":"a"}},{"KV":{"Verb":"odd","Key":"a"}},{"Node":{"Verb":"get","Node":{"Node":"n"}}}]`)
		require.NotNil(t, f.asked)
		require.Equal(t, &wire.Read{Consistency: level, Query: &catalog.TxnQuery{Ops: []catalog.TxnOp{
			{Verb: catalog.TxnGet, KV: &catalog.DirEntry{Key: "a"}},
			{Verb: "odd", KV: &catalog.DirEntry{Key: "a"}},
			{Verb: catalog.TxnGet, Node: &catalog.Node{Node: "n", Datacenter: "dc1"}},
		}}}, f.asked.Read)
	}
	f = &fake{resp: txnWritten(catalog.TxnAnswer{})}
	request1(t, f, "PUT", "/v1/txn", `[{"Node":{"Verb":"odd","Node":{"Node":"n"}}}]`)
	require.NotNil(t, f.asked.Command, "Consul takes what it does not know of nodes for a write")
}
