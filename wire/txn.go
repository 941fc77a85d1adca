package wire

import "concord/catalog"

// An operation of a transaction has six fields, a result four and an error two, the heads of their lists apart. A decoder
// makes no room for more of them than the rest of the message can hold.
const (
	leastTxnOp     = 7
	leastTxnResult = 5
	leastTxnError  = 3
)

func appendTxnOps(p []byte, ops []catalog.TxnOp) []byte { return appendList(p, ops, appendTxnOp) }

func (r *reader) txnOps() []catalog.TxnOp { return readList(r, leastTxnOp, (*reader).txnOp) }

func appendTxnOp(p []byte, op catalog.TxnOp) []byte {
	p = appendString(appendArray(p, 6), string(op.Verb))
	p = appendOptional(p, op.KV, appendDirEntry)
	p = appendOptional(p, op.Node, appendNode)
	p = appendOptional(p, op.Service, appendService)
	p = appendString(p, op.ServiceNode)
	return appendOptional(p, op.Check, appendCheck)
}

// txnOp reads an operation. A value in it aliases the input.
func (r *reader) txnOp() catalog.TxnOp {
	more := r.fields(6)
	op := catalog.TxnOp{Verb: catalog.TxnVerb(r.string()), KV: readOptional(r, (*reader).dirEntry), Node: readOptional(r, (*reader).node),
		Service: readOptional(r, (*reader).service), ServiceNode: r.string(), Check: readOptional(r, (*reader).check)}
	r.skip(more)
	return op
}

func appendTxnAnswer(p []byte, a *catalog.TxnAnswer) []byte {
	p = appendList(appendArray(p, 2), a.Results, appendTxnResult)
	return appendList(p, a.Errors, appendTxnError)
}

func (r *reader) txnAnswer() *catalog.TxnAnswer {
	more := r.fields(2)
	a := &catalog.TxnAnswer{Results: readList(r, leastTxnResult, (*reader).txnResult), Errors: readList(r, leastTxnError, (*reader).txnError)}
	r.skip(more)
	return a
}

func appendTxnResult(p []byte, v catalog.TxnResult) []byte {
	p = appendOptional(appendArray(p, 4), v.KV, appendDirEntry)
	p = appendOptional(p, v.Node, appendNode)
	p = appendOptional(p, v.Service, appendService)
	return appendOptional(p, v.Check, appendCheck)
}

func (r *reader) txnResult() catalog.TxnResult {
	more := r.fields(4)
	v := catalog.TxnResult{KV: readOptional(r, (*reader).dirEntry), Node: readOptional(r, (*reader).node),
		Service: readOptional(r, (*reader).service), Check: readOptional(r, (*reader).check)}
	r.skip(more)
	return v
}

func appendTxnError(p []byte, e catalog.TxnError) []byte {
	return appendString(appendInt(appendArray(p, 2), int64(e.OpIndex)), e.What)
}

func (r *reader) txnError() catalog.TxnError {
	more := r.fields(2)
	e := catalog.TxnError{OpIndex: int(r.int()), What: r.string()}
	r.skip(more)
	return e
}
