package catalog

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func kvOp(verb TxnVerb, key string, index uint64) TxnOp {
	return TxnOp{Verb: verb, KV: &DirEntry{Key: key, Value: []byte("v"), Session: "s", RaftIndex: RaftIndex{ModifyIndex: index}}}
}

func nodeOp(verb TxnVerb, name string, index uint64) TxnOp {
	return TxnOp{Verb: verb, Node: &Node{Node: name, Address: "10.0.0.1", RaftIndex: RaftIndex{ModifyIndex: index}}}
}

func serviceOp(verb TxnVerb, node, name string, index uint64) TxnOp {
	return TxnOp{Verb: verb, ServiceNode: node, Service: &NodeService{ID: name, Service: name, RaftIndex: RaftIndex{ModifyIndex: index}}}
}

func checkOp(verb TxnVerb, node, id, service string, index uint64) TxnOp {
	return TxnOp{Verb: verb, Check: &HealthCheck{Node: node, CheckID: id, ServiceID: service, RaftIndex: RaftIndex{ModifyIndex: index}}}
}

// txn applies operations, and checks that they are refused alike as a query if they only ask.
func (s *script) txn(ops ...TxnOp) (*TxnAnswer, []Topic) {
	s.Helper()
	var asked *TxnAnswer
	readOnly := true
	for i := range ops {
		readOnly = readOnly && ops[i].ReadOnly()
	}
	if readOnly {
		asked, _ = ask[*TxnAnswer](s, &TxnQuery{ops})
	}
	s.index++
	r, topics := s.apply(s, s.index, &TxnWrite{ops})
	require.Empty(s, r.Err)
	require.Equal(s, len(r.Txn.Errors) == 0, r.OK)
	if readOnly {
		require.Equal(s, asked, r.Txn)
		require.Empty(s, topics)
	}
	return r.Txn, topics
}

// The texts are those that Consul 1.8 answers with.
func TestTxnErrors(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	s.do(&KVWrite{Op: KVSet, Key: "a", Value: []byte("1")}) // 10
	s.do(withService("n", "web"))                           // 11
	s.do(withCheck("n", HealthCheck{CheckID: "c"}))         // 12
	long := strings.Repeat("k", MaxKeySize+1)
	session := kvOp(TxnLock, "a", 0)
	session.KV.Session = idA
	none := kvOp(TxnLock, "a", 0)
	none.KV.Session = ""
	badID := nodeOp(TxnSet, "n", 0)
	badID.Node.ID = "x"
	byID := nodeOp(TxnGet, "n", 0)
	byID.Node.ID = idB
	anywhere := serviceOp(TxnSet, "n", "web", 0)
	anywhere.Service.Address = "0.0.0.0"
	for _, c := range []struct {
		op   TxnOp
		want string
	}{
		{kvOp(TxnGet, "b", 0), `key "b" doesn't exist`},
		{kvOp(TxnCheckIndex, "b", 1), `failed to check index, key "b" doesn't exist`},
		{kvOp(TxnCheckIndex, "a", 1), `failed index check for key "a", current modify index 10 != 1`},
		{kvOp(TxnCheckSession, "b", 0), `failed to check session, key "b" doesn't exist`},
		{kvOp(TxnCheckSession, "a", 0), `failed session check for key "a", current session "" != "s"`},
		{kvOp(TxnCheckNotExists, "a", 0), `key "a" exists`},
		{kvOp("odd", "a", 0), `unknown KV verb "odd"`},
		{kvOp(TxnCAS, "a", 1), `failed to set key "a", index is stale`},
		{kvOp(TxnCAS, "a", 0), `failed to set key "a", index is stale`},
		{kvOp(TxnDeleteCAS, "a", 1), `failed to delete key "a", index is stale`},
		{none, "missing session"},
		{kvOp(TxnLock, "a", 0), "failed session lookup: index error: UUID must be 36 characters"},
		{session, fmt.Sprintf("invalid session %q", idA)},
		{kvOp(TxnUnlock, "a", 0), `failed to unlock key "a", lock isn't held, or is held by another session`},
		{kvOp(TxnSet, "", 0), "Must provide key"},
		{kvOp(TxnGetTree, "", 0), "Must provide key"},
		{kvOp(TxnSet, long, 0), ErrKeySize.Error()},
		{nodeOp(TxnGet, "m", 0), `node "m" doesn't exist`},
		{byID, `node "n" doesn't exist`},
		{nodeOp(TxnSet, "", 0), "Must provide node"},
		{badID, "Bad node ID: uuid string is wrong length"},
		{nodeOp(TxnCAS, "n", 0), `failed to set node "n", index is stale`},
		{nodeOp(TxnCAS, "m", 1), `failed to set node "m", index is stale`},
		{nodeOp(TxnDeleteCAS, "m", 0), `failed to delete node "m", index is stale`},
		{nodeOp(TxnGetTree, "n", 0), `unknown Node verb "get-tree"`},
		{serviceOp(TxnGet, "n", "db", 0), `service "db" on node "n" doesn't exist`},
		{serviceOp(TxnSet, "m", "web", 0), "Missing node registration"},
		{serviceOp(TxnSet, "n", "", 0), "Must provide service name with ID"},
		{anywhere, "Invalid service address"},
		{serviceOp(TxnCAS, "n", "web", 1), `failed to set service "web" on node "n", index is stale`},
		{serviceOp(TxnDeleteCAS, "n", "db", 0), `failed to delete service "db" on node "n", index is stale`},
		{serviceOp("", "n", "web", 0), `unknown Service verb ""`},
		{checkOp(TxnGet, "n", "d", "", 0), `check "d" on node "n" doesn't exist`},
		{checkOp(TxnSet, "m", "c", "", 0), "Missing node registration"},
		{checkOp(TxnSet, "n", "c", "db", 0), "Missing service registration"},
		{checkOp(TxnSet, "n", "", "", 0), "Must provide check name or ID"},
		{checkOp(TxnCAS, "n", "c", "", 1), `failed to set check "c" on node "n", index is stale`},
		{checkOp(TxnDeleteCAS, "n", "c", "", 1), `failed to delete check "c" on node "n", index is stale`},
		{checkOp(TxnLock, "n", "c", "", 0), `unknown Check verb "lock"`},
	} {
		before := s.dump(t, 0, 0xff)
		got, topics := s.txn(kvOp(TxnSet, "new", 0), c.op)
		require.Equal(t, &TxnAnswer{Errors: []TxnError{{1, c.want}}}, got, "%+v", c.op)
		require.Empty(t, topics)
		require.Equal(t, before, s.dump(t, 0, 0xff))
		if c.op.ReadOnly() {
			s.txn(c.op)
		}
	}
	got, _ := s.txn(kvOp(TxnGet, "b", 0), kvOp(TxnSet, "x", 0), kvOp(TxnCheckNotExists, "x", 0))
	require.Equal(t, []TxnError{{0, `key "b" doesn't exist`}, {2, `key "x" exists`}}, got.Errors, "all errors at once, with the effects of what is before")
}

func TestTxnIsOneChange(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	s.do(&KVWrite{Op: KVSet, Key: "old", Value: []byte("1")}) // 10
	got, topics := s.txn(kvOp(TxnSet, "a", 0), kvOp(TxnCAS, "a", 11), kvOp(TxnCheckNotExists, "b", 0), kvOp(TxnGetTree, "", 0).in("o"),
		kvOp(TxnDelete, "old", 0), nodeOp(TxnSet, "n", 0), serviceOp(TxnSet, "n", "web", 0), checkOp(TxnSet, "n", "c", "web", 0), kvOp(TxnGet, "a", 0))
	require.Empty(t, got.Errors)
	at := RaftIndex{11, 11}
	require.Equal(t, []TxnResult{
		{KV: &DirEntry{Key: "a", RaftIndex: at}},
		{KV: &DirEntry{Key: "a", RaftIndex: at}},
		{KV: &DirEntry{Key: "old", Value: []byte("1"), RaftIndex: RaftIndex{10, 10}}},
		{Node: &Node{Node: "n", Address: "10.0.0.1", RaftIndex: at}},
		{Service: &NodeService{ID: "web", Service: "web", Tags: []string{}, Weights: &Weights{1, 1}, RaftIndex: at}},
		{Check: &HealthCheck{Node: "n", CheckID: "c", Status: HealthCritical, ServiceID: "web", ServiceName: "web", ServiceTags: []string{}, RaftIndex: at}},
		{KV: &DirEntry{Key: "a", Value: []byte("v"), RaftIndex: at}},
	}, got.Results)
	var w Watches
	for i, q := range []Query{&KVGetQuery{"a"}, &KVListQuery{"o"}, &NodesQuery{}, &HealthServiceQuery{Service: "web"}, &NodeChecksQuery{"n"},
		&KVGetQuery{"b"}, &KVListQuery{"x"}, &HealthServiceQuery{Service: "db"}, &AutopilotQuery{}} {
		w.Add(uint64(i), Topics(q))
	}
	require.Equal(t, []uint64{0, 1, 2, 3, 4}, w.Touched(topics))
}

// in makes the operation about another key.
func (op TxnOp) in(key string) TxnOp {
	op.KV.Key = key
	return op
}

func TestTxnBounds(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	require.Equal(t, ErrTxnOps, Validate(&TxnWrite{make([]TxnOp, MaxTxnOps+1)}))
	s.refused(&TxnWrite{make([]TxnOp, MaxTxnOps+1)}, ErrTxnOps.Error())
	s.refused(&TxnWrite{make([]TxnOp, 1)}, ErrTxnKind.Error())
	both := kvOp(TxnGet, "a", 0)
	both.Node = &Node{}
	_, err := Run(s.store, &TxnQuery{[]TxnOp{both}})
	require.ErrorIs(t, err, ErrTxnKind)

	value := make([]byte, maxTxnRead/16)
	for i := range 16 {
		s.do(&KVWrite{Op: KVSet, Key: fmt.Sprintf("k/%02d", i), Value: value})
	}
	tooMuch := []TxnError{{0, "the transaction reads more than 8388608 bytes: read less at once"}}
	got, _ := s.txn(kvOp(TxnGetTree, "k/", 0))
	require.Equal(t, tooMuch, got.Errors)
	got, _ = s.txn(kvOp(TxnGetTree, "k/0", 0))
	require.Len(t, got.Results, 10)
	got, _ = s.txn(kvOp(TxnGetTree, "k/0", 0), kvOp(TxnGetTree, "k/1", 0))
	tooMuch[0].OpIndex = 1
	require.Equal(t, tooMuch, got.Errors)
}
