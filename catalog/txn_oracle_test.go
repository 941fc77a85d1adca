package catalog

import (
	"fmt"
	"maps"
	"strings"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var (
	readVerbs  = []TxnVerb{TxnGet, TxnGetTree, TxnCheckIndex, TxnCheckSession, TxnCheckNotExists, "odd"}
	writeVerbs = []TxnVerb{TxnSet, TxnSet, TxnCAS, TxnDelete, TxnDeleteCAS, TxnDeleteTree, TxnLock, TxnUnlock}
)

// drawTxn draws operations that mostly succeed, so that long transactions do, too.
func drawTxn(t *rapid.T, o *oracle, index uint64, verbs []TxnVerb) []TxnOp {
	n := rapid.IntRange(0, 6).Draw(t, "ops")
	ops := make([]TxnOp, n)
	for i := range ops {
		ops[i] = drawTxnOp(t, index, verbs)
		op := &ops[i]
		if rapid.IntRange(0, 3).Draw(t, "honest") > 0 { // about the index
			switch {
			case op.KV != nil:
				op.KV.ModifyIndex = o.kv[op.KV.Key].ModifyIndex
			case op.Node != nil:
				op.Node.ModifyIndex = o.nodes[lower(op.Node.Node)].ModifyIndex
			case op.Service != nil:
				op.Service.ModifyIndex = o.services[[2]string{lower(op.ServiceNode), lower(op.Service.ID)}].ModifyIndex
			default:
				op.Check.ModifyIndex = o.checks[[2]string{lower(op.Check.Node), lower(op.Check.CheckID)}].ModifyIndex
			}
		}
	}
	return ops
}

func drawTxnOp(t *rapid.T, index uint64, verbs []TxnVerb) TxnOp {
	op := TxnOp{Verb: pick(t, verbs, "verb")}
	at := RaftIndex{ModifyIndex: rapid.Uint64Range(0, index).Draw(t, "expected")}
	switch rapid.IntRange(0, 5).Draw(t, "kind") {
	case 0:
		op.Node = &Node{ID: pick(t, someIDs, "id"), Node: pick(t, someNodes, "node"), Address: "10.0.0.3", Meta: pick(t, someMetas, "meta"), RaftIndex: at}
	case 1:
		s := drawRegister(t).(*Register).Service
		if s == nil {
			s = &NodeService{Service: pick(t, someServices, "service")}
		}
		s.RaftIndex = at
		op.Service, op.ServiceNode = s, pick(t, someNodes, "node")
	case 2:
		op.Check = &HealthCheck{Node: pick(t, someNodes, "node"), CheckID: pick(t, someChecks, "check"), Status: pick(t, someStates, "state"),
			ServiceID: pick(t, append([]string{"", ""}, someServices...), "of"), RaftIndex: at}
	default:
		op.KV = &DirEntry{Key: pick(t, append([]string{"a"}, someKeys...), "key"), Value: []byte(pick(t, []string{"x", "yy"}, "value")), RaftIndex: at}
	}
	return op
}

// txn carries out operations on a copy, and keeps it if none fails. Of errors it gives only the places.
func (o *oracle) txn(i uint64, ops []TxnOp) *TxnAnswer {
	c := &oracle{maps.Clone(o.nodes), maps.Clone(o.services), maps.Clone(o.checks), maps.Clone(o.kv), maps.Clone(o.coords), o.autopilot, nil}
	answer := &TxnAnswer{}
	for n := range ops {
		results, ok := c.txnOp(i, &ops[n])
		if !ok {
			answer.Errors = append(answer.Errors, TxnError{OpIndex: n})
		}
		answer.Results = append(answer.Results, results...)
	}
	if len(answer.Errors) > 0 {
		answer.Results = nil
		return answer
	}
	*o = *c
	return answer
}

func (o *oracle) txnOp(i uint64, op *TxnOp) (results []TxnResult, ok bool) {
	switch {
	case op.KV != nil:
		return o.txnKV(i, op)
	case op.Node != nil:
		name := lower(op.Node.Node)
		old := o.nodes[name]
		put := func() bool {
			_, refused := o.register(i, &Register{ID: op.Node.ID, Node: op.Node.Node, Address: op.Node.Address, NodeMeta: op.Node.Meta})
			return !refused
		}
		found := o.run(&NodeServicesQuery{Node: op.Node.Node}).(*NodeServices)
		if op.Verb == TxnGet && op.Node.ID != "" {
			found = nil
			for _, n := range o.nodes {
				if n.ID == op.Node.ID {
					found = &NodeServices{Node: &n}
				}
			}
		}
		ok = change(op.Verb, found != nil, old.ModifyIndex, op.Node.ModifyIndex, put, func() { o.dropNode(name) })
		if n := o.nodes[name]; ok && op.Verb == TxnGet {
			results = []TxnResult{{Node: found.Node}}
		} else if ok && !deletes(op.Verb) {
			results = []TxnResult{{Node: &n}}
		}
	case op.Service != nil:
		s := *op.Service
		if s.ID == "" && op.Verb != TxnGet {
			s.ID = s.Service
		}
		k := [2]string{lower(op.ServiceNode), lower(s.ID)}
		old, exists := o.services[k]
		put := func() bool {
			if _, there := o.nodes[k[0]]; there {
				o.putService(i, k[0], s)
				return true
			}
			return false
		}
		ok = change(op.Verb, exists, old.ModifyIndex, s.ModifyIndex, put, func() { o.dropService(k[0], k[1]) })
		if now := o.services[k]; ok && !deletes(op.Verb) {
			results = []TxnResult{{Service: &now}}
		}
	default:
		c := *op.Check
		k := [2]string{lower(c.Node), lower(c.CheckID)}
		old, exists := o.checks[k]
		put := func() bool {
			_, node := o.nodes[k[0]]
			_, service := o.services[[2]string{k[0], lower(c.ServiceID)}]
			if !node || c.ServiceID != "" && !service {
				return false
			}
			if c.Status == "" {
				c.Status = HealthCritical
			}
			o.putCheck(i, k[0], c)
			return true
		}
		ok = change(op.Verb, exists, old.ModifyIndex, c.ModifyIndex, put, func() { delete(o.checks, k) })
		if now := o.checks[k]; ok && !deletes(op.Verb) {
			results = []TxnResult{{Check: &now}}
		}
	}
	return results, ok
}

func deletes(v TxnVerb) bool { return v == TxnDelete || v == TxnDeleteCAS || v == TxnDeleteTree }

// change carries out a verb on a record of nodes, services and checks.
func change(v TxnVerb, exists bool, current, expected uint64, put func() bool, drop func()) bool {
	switch v {
	case TxnGet:
		return exists
	case TxnSet:
		return put()
	case TxnCAS:
		return current == expected && put()
	case TxnDelete:
		drop()
		return true
	case TxnDeleteCAS:
		if current == 0 || current != expected {
			return false
		}
		drop()
		return true
	}
	return false
}

func (o *oracle) txnKV(i uint64, op *TxnOp) (results []TxnResult, ok bool) {
	name := op.KV.Key
	e, exists := o.kv[name]
	switch op.Verb {
	case TxnGet:
		if exists {
			results = []TxnResult{{KV: &e}}
		}
		return results, exists
	case TxnGetTree:
		for _, e := range o.run(&KVListQuery{name}).([]*DirEntry) {
			results = append(results, TxnResult{KV: e})
		}
		return results, true
	case TxnCheckNotExists:
		return nil, !exists
	case TxnCheckIndex:
		ok = exists && e.ModifyIndex == op.KV.ModifyIndex
	case TxnCheckSession:
		ok = exists && e.Session == op.KV.Session
	case TxnLock, TxnUnlock, "odd":
		return nil, false
	default:
		ok, _ = o.write(i, &KVWrite{Op: txnKVOps[op.Verb], Key: name, Value: op.KV.Value, Flags: op.KV.Flags, Index: op.KV.ModifyIndex})
	}
	if e = o.kv[name]; ok && !deletes(op.Verb) {
		e.Value = nil
		results = []TxnResult{{KV: &e}}
	}
	return results, ok
}

// sameTxn checks an answer against that of the oracle.
func sameTxn(t *rapid.T, want, got *TxnAnswer) {
	failed := func(a *TxnAnswer) (places []int) {
		for _, e := range a.Errors {
			places = append(places, e.OpIndex)
		}
		return places
	}
	require.Equal(t, failed(want), failed(got), "%v", got.Errors)
	require.Equal(t, showTxn(want.Results), showTxn(got.Results))
}

func showTxn(results []TxnResult) string {
	var b strings.Builder
	for _, r := range results {
		switch {
		case r.KV != nil:
			fmt.Fprintf(&b, "%#v\n", *r.KV)
		case r.Node != nil:
			fmt.Fprintf(&b, "%#v\n", *r.Node)
		case r.Service != nil:
			b.WriteString(showService(r.Service))
		default:
			fmt.Fprintf(&b, "%#v\n", *r.Check)
		}
	}
	return b.String()
}
