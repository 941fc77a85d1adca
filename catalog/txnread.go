package catalog

import (
	"bytes"
	"fmt"
)

// txnQuery answers a transaction that only asks.
func (r *reader) txnQuery(q *TxnQuery) *TxnAnswer {
	return answerTxn(q.Ops, r.txnRead)
}

// txnRead carries out an operation that only asks. Any other has a verb that is not known.
func (r *reader) txnRead(op *TxnOp) (results []TxnResult, refusal string) {
	switch {
	case op.KV != nil:
		return r.txnKV(op)
	case op.Verb != TxnGet:
		return nil, op.unknownVerb()
	case op.Node != nil:
		n := r.txnNode(op.Node)
		if n == nil {
			return nil, fmt.Sprintf("node %q doesn't exist", op.Node.Node)
		}
		return []TxnResult{{Node: n}}, ""
	case op.Service != nil:
		s, _ := r.service(fold(op.ServiceNode), fold(op.Service.ID))
		if s == nil {
			return nil, fmt.Sprintf("service %q on node %q doesn't exist", op.Service.ID, op.ServiceNode)
		}
		return []TxnResult{{Service: s}}, ""
	}
	c, _ := r.check(fold(op.Check.Node), fold(op.Check.CheckID))
	if c == nil {
		return nil, fmt.Sprintf("check %q on node %q doesn't exist", op.Check.CheckID, op.Check.Node)
	}
	return []TxnResult{{Check: c}}, ""
}

func (op *TxnOp) unknownVerb() (refusal string) {
	kind := "Check"
	switch {
	case op.KV != nil:
		kind = "KV"
	case op.Node != nil:
		kind = "Node"
	case op.Service != nil:
		kind = "Service"
	}
	return fmt.Sprintf("unknown %s verb %q", kind, op.Verb)
}

// txnNode finds a node by its ID or, if none is given, by its name.
func (r *reader) txnNode(n *Node) *Node {
	if n.ID != "" {
		return r.nodeByID(n.ID)
	}
	return r.node(fold(n.Node))
}

func (r *reader) txnKV(op *TxnOp) (results []TxnResult, refusal string) {
	name := op.KV.Key
	if op.Verb == TxnGetTree {
		return r.txnTree(name)
	}
	e, exists := r.entry(name)
	switch op.Verb {
	case TxnGet:
		if !exists {
			return nil, fmt.Sprintf("key %q doesn't exist", name)
		}
		return []TxnResult{{KV: &e}}, ""
	case TxnCheckIndex:
		if !exists {
			return nil, fmt.Sprintf("failed to check index, key %q doesn't exist", name)
		}
		if e.ModifyIndex != op.KV.ModifyIndex {
			return nil, fmt.Sprintf("failed index check for key %q, current modify index %d != %d", name, e.ModifyIndex, op.KV.ModifyIndex)
		}
		return withoutValue(e), ""
	case TxnCheckSession:
		if !exists {
			return nil, fmt.Sprintf("failed to check session, key %q doesn't exist", name)
		}
		if e.Session != op.KV.Session {
			return nil, fmt.Sprintf("failed session check for key %q, current session %q != %q", name, e.Session, op.KV.Session)
		}
		return withoutValue(e), ""
	case TxnCheckNotExists:
		if exists {
			return nil, fmt.Sprintf("key %q exists", name)
		}
		return nil, ""
	}
	return nil, op.unknownVerb()
}

func withoutValue(e DirEntry) []TxnResult {
	e.Value = nil
	return []TxnResult{{KV: &e}}
}

// txnTree reads all entries with a prefix, unless they are too much.
func (r *reader) txnTree(prefix string) (results []TxnResult, refusal string) {
	size := 0
	r.scan(key(tableKV, prefix), func(k, record []byte) bool {
		e, err := decodeEntry(string(k[1:]), bytes.Clone(record))
		if err != nil {
			r.fail(fmt.Errorf("%w: KV entry %q", err, k[1:]))
			return false
		}
		results = append(results, TxnResult{KV: &e})
		size += results[len(results)-1].size()
		return size <= maxTxnRead
	})
	if size > maxTxnRead {
		return nil, readTooMuch
	}
	return results, ""
}
