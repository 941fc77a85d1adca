package wire

import (
	"slices"
	"time"

	"concord/catalog"
)

// AppendRequest appends an encoded request to dst.
func AppendRequest(dst []byte, q *Request) []byte {
	dst = slices.Grow(dst, 48+len(q.Command))
	p := appendArray(append(dst, Version), 7)
	p = appendUint(p, q.ID)
	p = appendUint(p, uint64(q.Hops))
	p = appendInt(p, int64(q.Timeout))
	p = appendBytes(p, q.Command)
	p = appendOptional(p, q.Read, appendRead)
	p = appendOptional(p, q.Operator, appendOperator)
	return appendString(p, q.Datacenter)
}

// DecodeRequest decodes what AppendRequest wrote. The command aliases p.
func DecodeRequest(p []byte) (Request, error) {
	r := begin(p)
	more := r.fields(6)
	q := Request{ID: r.uint(), Hops: r.small(), Timeout: time.Duration(r.int()), Command: r.bytes(),
		Read: readOptional(r, (*reader).read), Operator: readOptional(r, (*reader).operator)}
	if more > 0 {
		q.Datacenter = r.string()
		more--
	}
	r.skip(more)
	if q.Command != nil && q.Read != nil || q.Operator != nil && (q.Command != nil || q.Read != nil) {
		r.fail("a request for several things")
	}
	if err := r.end(); err != nil {
		return Request{}, err
	}
	return q, nil
}

// RequestID is the number of an encoded request; false if it is none.
func RequestID(p []byte) (uint64, bool) {
	r := begin(p)
	r.fields(6)
	id := r.uint()
	return id, r.err == nil
}

func appendRead(p []byte, q *Read) []byte {
	p = appendQuery(appendArray(p, 4), q.Query)
	p = appendUint(p, uint64(q.Consistency))
	p = appendUint(p, q.MinIndex)
	return appendInt(p, int64(q.Wait))
}

func (r *reader) read() *Read {
	more := r.fields(4)
	q := &Read{Query: r.query(), Consistency: r.consistency(), MinIndex: r.uint(), Wait: time.Duration(r.int())}
	r.skip(more)
	return q
}

func (r *reader) consistency() Consistency {
	c := Consistency(r.small())
	if c > Stale {
		r.fail("unknown consistency")
	}
	return c
}

// AppendResponse appends an encoded response to dst.
func AppendResponse(dst []byte, s *Response) []byte {
	size := 64 + len(s.Err) + len(s.Leader)
	if s.Answer != nil {
		size += answerSize(s.Answer)
	}
	p := appendArray(append(slices.Grow(dst, size), Version), 11)
	p = appendUint(p, s.ID)
	p = appendUint(p, uint64(s.Code))
	p = appendString(p, s.Err)
	p = appendString(p, s.Leader)
	p = appendUint(p, uint64(s.Consistency))
	p = appendBool(p, s.KnownLeader)
	p = appendUint(p, s.Applied)
	p = appendInt(p, int64(s.LastContact))
	p = appendOptional(p, s.Result, appendResult)
	p = appendOptional(p, s.Answer, appendAnswer)
	return appendOptional(p, s.Operator, appendOperatorReply)
}

// DecodeResponse decodes what AppendResponse wrote. Values of KV entries alias p.
func DecodeResponse(p []byte) (Response, error) {
	r := begin(p)
	more := r.fields(11)
	s := Response{ID: r.uint(), Code: r.code(), Err: r.string(), Leader: r.string(), Consistency: r.consistency(),
		KnownLeader: r.bool(), Applied: r.uint(), LastContact: time.Duration(r.int()),
		Result: readOptional(r, (*reader).result), Answer: readOptional(r, (*reader).answer),
		Operator: readOptional(r, (*reader).operatorReply)}
	r.skip(more)
	if err := r.end(); err != nil {
		return Response{}, err
	}
	return s, nil
}

// code reads how a request ended. Of an end that only a newer release knows it is not known here whether anything changed.
func (r *reader) code() Code {
	c := Code(r.small())
	if c > NoPath {
		return Unknown
	}
	return c
}

func appendResult(p []byte, s *catalog.Result) []byte {
	fields := 3
	if s.Txn != nil {
		fields++
	}
	p = appendBool(appendArray(p, fields), s.OK)
	p = appendUint(appendString(p, s.Err), s.Index)
	if s.Txn != nil {
		p = appendTxnAnswer(p, s.Txn)
	}
	return p
}

func (r *reader) result() *catalog.Result {
	more := r.fields(3)
	s := &catalog.Result{OK: r.bool(), Err: r.string(), Index: r.uint()}
	if more > 0 {
		s.Txn = readOptional(r, (*reader).txnAnswer)
		more--
	}
	r.skip(more)
	return s
}
