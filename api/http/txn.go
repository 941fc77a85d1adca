package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"concord/catalog"
	"concord/wire"
)

// txnRoutes: https://developer.hashicorp.com/consul/api-docs/txn
var txnRoutes = []route{{"/v1/txn", put, (*request).txn}}

// maxTxn is the largest body of a transaction in bytes, Consul's txn_max_req_len.
const maxTxn = 512 << 10

// txnOp is an operation as clients send it. One that has none of the known fields is passed over, as in Consul.
type txnOp struct {
	KV *struct {
		Verb    catalog.TxnVerb
		Key     string
		Value   []byte
		Flags   uint64
		Index   uint64
		Session string
	}
	Node *struct {
		Verb catalog.TxnVerb
		Node catalog.Node
	}
	Service *struct {
		Verb    catalog.TxnVerb
		Node    string
		Service catalog.NodeService
	}
	Check *struct {
		Verb  catalog.TxnVerb
		Check catalog.HealthCheck
	}
	Intention, Session *struct{}
}

// txn carries out a transaction: one that only reads as a read, with the consistency that was asked for, any other as
// one command.
func (q *request) txn() (any, error) {
	ops, err := q.txnOps()
	if err != nil {
		return nil, err
	}
	for i := range ops {
		if !ops[i].ReadOnly() {
			return q.txnWrite(ops)
		}
	}
	return q.txnRead(ops)
}

func (q *request) txnOps() ([]catalog.TxnOp, error) {
	body, err := q.body(maxTxn)
	if err != nil {
		return nil, txnTooLarge(err, q.r.ContentLength)
	}
	var in []txnOp
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(&in); err != nil {
		return nil, badRequest("Failed to parse body: %v", err)
	}
	if len(in) > catalog.MaxTxnOps {
		return nil, &status{http.StatusRequestEntityTooLarge,
			fmt.Sprintf("Transaction contains too many operations (%d > %d)", len(in), catalog.MaxTxnOps)}
	}
	ops := make([]catalog.TxnOp, 0, len(in))
	for i := range in {
		if in[i].Intention != nil || in[i].Session != nil {
			return nil, &status{http.StatusNotImplemented,
				fmt.Sprintf("Operation %d is about an intention or a session, which are not served yet by Concord", i)}
		}
		if op := in[i].op(q.datacenter()); op != nil {
			ops = append(ops, *op)
		}
	}
	return ops, nil
}

// txnTooLarge names the option that bounds transactions.
func txnTooLarge(err error, length int64) error {
	var s *status
	if !errors.As(err, &s) || s.code != http.StatusRequestEntityTooLarge {
		return err
	}
	size := ""
	if length >= 0 {
		size = fmt.Sprintf("(%d bytes)", length)
	}
	return &status{s.code, fmt.Sprintf("Request body%s too large, max size: %d bytes. See https://www.consul.io/docs/agent/options.html#txn_max_req_len.", size, maxTxn)}
}

// op is the operation as the catalog has it, nil if it is about nothing. Of several things the first counts, as in Consul.
func (in *txnOp) op(datacenter string) *catalog.TxnOp {
	switch {
	case in.KV != nil:
		kv := in.KV
		return &catalog.TxnOp{Verb: kv.Verb, KV: &catalog.DirEntry{Key: kv.Key, Value: kv.Value, Flags: kv.Flags, Session: kv.Session,
			RaftIndex: catalog.RaftIndex{ModifyIndex: kv.Index}}}
	case in.Node != nil:
		n := in.Node.Node
		if n.Datacenter == "" {
			n.Datacenter = datacenter
		}
		return &catalog.TxnOp{Verb: in.Node.Verb, Node: &n}
	case in.Service != nil:
		s := in.Service.Service
		if s.Weights != nil && *s.Weights == (catalog.Weights{}) {
			s.Weights = nil // what clients in Go send for: not given
		}
		return &catalog.TxnOp{Verb: in.Service.Verb, ServiceNode: in.Service.Node, Service: &s}
	case in.Check != nil:
		return &catalog.TxnOp{Verb: in.Check.Verb, Check: &in.Check.Check}
	}
	return nil
}

func (q *request) txnWrite(ops []catalog.TxnOp) (any, error) {
	if failed := catalog.CheckTxn(ops); len(failed) > 0 {
		return q.txnAnswer(&catalog.TxnAnswer{Errors: failed}), nil
	}
	resp, err := q.write(&catalog.TxnWrite{Ops: ops})
	if err != nil {
		return nil, err
	}
	return q.txnAnswer(resp.Txn), nil
}

// txnAnswer is the body of the answer. An operation that failed is a conflict.
func (q *request) txnAnswer(a *catalog.TxnAnswer) *catalog.TxnAnswer {
	if len(a.Errors) > 0 {
		q.code = http.StatusConflict
	}
	return a
}

// txnReadAnswer is the answer of a transaction that only reads. Consul leaves Index and ConsistencyLevel empty.
type txnReadAnswer struct {
	*catalog.TxnAnswer
	Index            uint64
	LastContact      time.Duration
	KnownLeader      bool
	ConsistencyLevel string
}

func (q *request) txnRead(ops []catalog.TxnOp) (any, error) {
	resp := q.do(&wire.Request{Read: &wire.Read{Query: &catalog.TxnQuery{Ops: ops}, Consistency: q.level}})
	if err := failure(resp); err != nil {
		return nil, err
	}
	q.describeFreshness(resp)
	answer := q.txnAnswer(resp.Answer.Value.(*catalog.TxnAnswer))
	return &txnReadAnswer{TxnAnswer: answer, LastContact: resp.LastContact, KnownLeader: resp.KnownLeader}, nil
}
