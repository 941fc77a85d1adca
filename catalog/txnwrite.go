package catalog

import "fmt"

// txnWrite carries out a transaction over an overlay, which is written to the state only if nothing failed.
func (a *applier) txnWrite(c *TxnWrite) *TxnAnswer {
	over := &overlay{base: a.txn}
	t := applier{reader: reader{view: over}, txn: over, index: a.index, live: map[Topic]bool{}, maxGraves: a.maxGraves, graveBatch: a.graveBatch}
	answer := answerTxn(c.Ops, t.txnOp)
	a.fail(t.err)
	if a.err == nil && len(answer.Errors) == 0 {
		a.fail(over.commit())
		a.topics = t.topics
	}
	return answer
}

func (a *applier) txnOp(op *TxnOp) (results []TxnResult, refusal string) {
	switch {
	case op.ReadOnly():
		return a.txnRead(op)
	case op.KV != nil:
		return a.txnKVWrite(op)
	case op.Node != nil:
		return a.txnNodeWrite(op)
	case op.Service != nil:
		return a.txnServiceWrite(op)
	}
	return a.txnCheckWrite(op)
}

// txnKVOps are the operations of a KVWrite by their verbs.
var txnKVOps = map[TxnVerb]KVOp{TxnSet: KVSet, TxnCAS: KVCAS, TxnDelete: KVDelete, TxnDeleteCAS: KVDeleteCAS,
	TxnDeleteTree: KVDeleteTree, TxnLock: KVLock, TxnUnlock: KVUnlock}

// staleKV are the errors of operations on keys whose condition did not hold.
var staleKV = map[TxnVerb]string{
	TxnCAS:       "failed to set key %q, index is stale",
	TxnDeleteCAS: "failed to delete key %q, index is stale",
	TxnLock:      "failed to lock key %q, lock is already held",
	TxnUnlock:    "failed to unlock key %q, lock isn't held, or is held by another session",
}

func (a *applier) txnKVWrite(op *TxnOp) (results []TxnResult, refusal string) {
	e := op.KV
	c := &KVWrite{Op: txnKVOps[op.Verb], Key: e.Key, Value: e.Value, Flags: e.Flags, Index: e.ModifyIndex, Session: e.Session}
	if err := validateKV(c); err != nil {
		return nil, err.Error()
	}
	ok, refusal := a.kvWrite(c)
	if refusal != "" {
		return nil, refusal
	}
	if !ok {
		return nil, fmt.Sprintf(staleKV[op.Verb], e.Key)
	}
	switch op.Verb {
	case TxnDelete, TxnDeleteCAS, TxnDeleteTree:
		return nil, ""
	}
	now, _ := a.entry(e.Key)
	return withoutValue(now), ""
}

// stale tells whether a record that changed last at an index, 0 if there is none, is not the one expected.
func (op *TxnOp) stale(current, expected uint64) bool {
	switch op.Verb {
	case TxnCAS:
		return current != expected
	case TxnDeleteCAS:
		return current == 0 || current != expected
	}
	return false
}

func (a *applier) txnNodeWrite(op *TxnOp) (results []TxnResult, refusal string) {
	n := op.Node
	current := uint64(0)
	if old := a.node(fold(n.Node)); old != nil {
		current = old.ModifyIndex
	}
	stale := op.stale(current, n.ModifyIndex)
	switch op.Verb {
	case TxnSet, TxnCAS:
		if stale {
			return nil, fmt.Sprintf("failed to set node %q, index is stale", n.Node)
		}
		plan, refusal := a.planNode(&Register{ID: n.ID, Node: n.Node, Address: n.Address, Datacenter: n.Datacenter,
			TaggedAddresses: n.TaggedAddresses, NodeMeta: n.Meta})
		if refusal != "" {
			return nil, refusal
		}
		a.writeNode(&plan)
		return []TxnResult{{Node: a.node(fold(n.Node))}}, ""
	case TxnDelete, TxnDeleteCAS:
		if stale {
			return nil, fmt.Sprintf("failed to delete node %q, index is stale", n.Node)
		}
		a.deregister(&Deregister{Node: n.Node})
		return nil, ""
	}
	return nil, op.unknownVerb()
}

// Refusals of a service without its node, and of a check without its node or service.
const (
	missingNode    = "Missing node registration"
	missingService = "Missing service registration"
)

func (a *applier) txnServiceWrite(op *TxnOp) (results []TxnResult, refusal string) {
	part := fold(op.ServiceNode)
	s, _ := normalized(&Register{Node: op.ServiceNode, Service: op.Service})
	current := uint64(0)
	if old, _ := a.service(part, fold(s.ID)); old != nil {
		current = old.ModifyIndex
	}
	stale := op.stale(current, s.ModifyIndex)
	switch op.Verb {
	case TxnSet, TxnCAS:
		if stale {
			return nil, fmt.Sprintf("failed to set service %q on node %q, index is stale", s.ID, op.ServiceNode)
		}
		if a.node(part) == nil {
			return nil, missingNode
		}
		a.putService(op.ServiceNode, s)
		now, _ := a.service(part, fold(s.ID))
		return []TxnResult{{Service: now}}, ""
	case TxnDelete, TxnDeleteCAS:
		if stale {
			return nil, fmt.Sprintf("failed to delete service %q on node %q, index is stale", s.ID, op.ServiceNode)
		}
		a.deregister(&Deregister{Node: op.ServiceNode, ServiceID: s.ID})
		return nil, ""
	}
	return nil, op.unknownVerb()
}

func (a *applier) txnCheckWrite(op *TxnOp) (results []TxnResult, refusal string) {
	node := op.Check.Node
	part := fold(node)
	_, checks := normalized(&Register{Node: node, Check: op.Check})
	c := checks[0]
	current := uint64(0)
	if old, _ := a.check(part, fold(c.CheckID)); old != nil {
		current = old.ModifyIndex
	}
	stale := op.stale(current, c.ModifyIndex)
	switch op.Verb {
	case TxnSet, TxnCAS:
		if stale {
			return nil, fmt.Sprintf("failed to set check %q on node %q, index is stale", c.CheckID, node)
		}
		if a.node(part) == nil {
			return nil, missingNode
		}
		if a.missingService(part, nil, c) != "" {
			return nil, missingService
		}
		a.putCheck(node, c)
		now, _ := a.check(part, fold(c.CheckID))
		return []TxnResult{{Check: now}}, ""
	case TxnDelete, TxnDeleteCAS:
		if stale {
			return nil, fmt.Sprintf("failed to delete check %q on node %q, index is stale", c.CheckID, node)
		}
		a.deregister(&Deregister{Node: node, CheckID: c.CheckID})
		return nil, ""
	}
	return nil, op.unknownVerb()
}
