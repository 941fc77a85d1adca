package catalog

import (
	"errors"
	"fmt"
)

// MaxTxnOps is how many operations a transaction may have.
const MaxTxnOps = 64

// maxTxnRead bounds the records in the answer of a transaction, in bytes: the answer has to fit a message, and every
// server makes it.
const maxTxnRead = 8 << 20

var readTooMuch = fmt.Sprintf("the transaction reads more than %d bytes: read less at once", maxTxnRead)

// Errors of Validate for transactions.
var (
	ErrTxnOps  = fmt.Errorf("Transaction contains too many operations: the limit is %d", MaxTxnOps)
	ErrTxnKind = errors.New("an operation of a transaction must be about exactly one of KV, Node, Service and Check")
)

// TxnVerb names what an operation of a transaction does, in the words of the API. One that is not known is an error of
// its operation.
type TxnVerb string

// TxnGet reads. With the other verbs that only ask, all of them of KV, it makes up transactions that are served as reads.
const (
	TxnGet            TxnVerb = "get"
	TxnGetTree        TxnVerb = "get-tree"
	TxnCheckIndex     TxnVerb = "check-index"
	TxnCheckSession   TxnVerb = "check-session"
	TxnCheckNotExists TxnVerb = "check-not-exists"
	TxnSet            TxnVerb = "set"
	TxnCAS            TxnVerb = "cas"
	TxnDelete         TxnVerb = "delete"
	TxnDeleteCAS      TxnVerb = "delete-cas"
	TxnDeleteTree     TxnVerb = "delete-tree"
	TxnLock           TxnVerb = "lock"
	TxnUnlock         TxnVerb = "unlock"
)

// TxnOp is an operation of a transaction, on whichever of KV, Node, Service and Check is set. The ModifyIndex in it is
// the one expected, where the verb is about one.
type TxnOp struct {
	Verb        TxnVerb
	KV          *DirEntry // get-tree, delete-tree: Key is the prefix
	Node        *Node
	Service     *NodeService
	ServiceNode string // the name of the node that Service is on
	Check       *HealthCheck
}

// TxnWrite carries out operations in their order, all of them or, if any fails, none (PUT /v1/txn). All changes have the
// index of the one command.
type TxnWrite struct{ Ops []TxnOp }

// TxnQuery does the same with operations that only ask: *TxnAnswer. It cannot be watched.
type TxnQuery struct{ Ops []TxnOp }

func (*TxnWrite) command() {}
func (*TxnQuery) query()   {}

// TxnResult is what an operation made or read; exactly one field is set. A KV entry is without its value unless it was
// asked for.
type TxnResult struct {
	KV      *DirEntry    `json:",omitempty"`
	Node    *Node        `json:",omitempty"`
	Service *NodeService `json:",omitempty"`
	Check   *HealthCheck `json:",omitempty"`
}

// TxnError is why an operation failed.
type TxnError struct {
	OpIndex int // from 0
	What    string
}

// TxnAnswer has the results of a transaction, or, if any operation failed, the errors of all that did and no results.
// A deletion has no result, get-tree has one for each key.
type TxnAnswer struct {
	Results []TxnResult
	Errors  []TxnError
}

// size is about how long the record is; 0 if there is none, because reading it back failed.
func (r *TxnResult) size() int {
	switch {
	case r.KV != nil:
		return kvHeadSize + len(r.KV.Key) + len(r.KV.Value)
	case r.Node != nil:
		return len(encodeNode(r.Node))
	case r.Service != nil:
		return len(encodeService(r.Service))
	case r.Check != nil:
		return len(encodeCheck(r.Check))
	}
	return 0
}

// ReadOnly tells whether an operation changes nothing, so that a TxnQuery can have it. One on KV with a verb that is not
// known counts, as in Consul.
func (op *TxnOp) ReadOnly() bool {
	if op.KV == nil {
		return op.Verb == TxnGet
	}
	switch op.Verb {
	case TxnSet, TxnCAS, TxnDelete, TxnDeleteCAS, TxnDeleteTree, TxnLock, TxnUnlock:
		return false
	}
	return true
}

func validateTxn(ops []TxnOp) error {
	if len(ops) > MaxTxnOps {
		return ErrTxnOps
	}
	for i := range ops {
		kinds := 0
		for _, is := range []bool{ops[i].KV != nil, ops[i].Node != nil, ops[i].Service != nil, ops[i].Check != nil} {
			if is {
				kinds++
			}
		}
		if kinds != 1 {
			return ErrTxnKind
		}
	}
	return nil
}

// CheckTxn returns the errors of the operations that fail whatever the state. While there are any, none is carried out.
func CheckTxn(ops []TxnOp) (failed []TxnError) {
	for i := range ops {
		if err := ops[i].check(); err != nil {
			failed = append(failed, TxnError{i, err.Error()})
		}
	}
	return failed
}

func (op *TxnOp) check() error {
	switch {
	case op.KV != nil:
		if op.KV.Key == "" && op.Verb != TxnDeleteTree {
			return ErrNoKey
		}
		if len(op.KV.Key) > MaxKeySize {
			return ErrKeySize
		}
	case op.Verb == TxnGet:
	case op.Node != nil:
		if op.Node.Node == "" {
			return ErrNoNode
		}
		return validateNodeID(op.Node.ID)
	case op.Service != nil:
		return validateService(op.Service)
	case op.Check != nil:
		if op.Check.CheckID == "" && op.Check.Name == "" {
			return ErrNoCheckID
		}
	}
	return nil
}

// answerTxn carries out operations one by one. A failed one does not keep those behind it from being tried, so that all errors
// come at once, as in Consul. do must not change anything for an operation that it refuses.
func answerTxn(ops []TxnOp, do func(*TxnOp) (results []TxnResult, refusal string)) *TxnAnswer {
	answer := &TxnAnswer{Results: []TxnResult{}, Errors: CheckTxn(ops)}
	if len(answer.Errors) == 0 {
		size := 0
		for i := range ops {
			results, refusal := do(&ops[i])
			for _, r := range results {
				size += r.size()
			}
			if refusal == "" && size > maxTxnRead {
				refusal = readTooMuch
			}
			if refusal != "" {
				answer.Errors = append(answer.Errors, TxnError{i, refusal})
				continue
			}
			answer.Results = append(answer.Results, results...)
		}
	}
	if len(answer.Errors) > 0 {
		answer.Results = nil
	}
	return answer
}
