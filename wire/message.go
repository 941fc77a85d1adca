package wire

import (
	"time"

	"concord/catalog"
)

// AppendRequest appends an encoded request to dst.
func AppendRequest(dst []byte, q *Request) []byte {
	p := appendArray(append(dst, Version), 6)
	p = appendUint(p, q.ID)
	p = appendUint(p, uint64(q.Hops))
	p = appendInt(p, int64(q.Timeout))
	p = appendBytes(p, q.Command)
	if q.Read == nil {
		p = append(p, codeNil)
	} else {
		p = appendArray(p, 4)
		p = appendQuery(p, q.Read.Query)
		p = appendUint(p, uint64(q.Read.Consistency))
		p = appendUint(p, q.Read.MinIndex)
		p = appendInt(p, int64(q.Read.Wait))
	}
	if q.Operator == nil {
		return append(p, codeNil)
	}
	p = appendArray(p, 4)
	p = appendUint(p, uint64(q.Operator.Kind))
	p = appendString(p, q.Operator.ID)
	p = appendString(p, q.Operator.Address)
	return appendStrings(p, q.Operator.Set)
}

// DecodeRequest decodes what AppendRequest wrote. The command aliases p.
func DecodeRequest(p []byte) (Request, error) {
	r := begin(p)
	more := r.fields(6)
	q := Request{ID: r.uint(), Hops: r.small(), Timeout: time.Duration(r.int()), Command: r.bytes()}
	if !r.isNil() {
		inner := r.fields(4)
		q.Read = &Read{Query: r.query(), Consistency: Consistency(r.small()), MinIndex: r.uint(), Wait: time.Duration(r.int())}
		if q.Read.Consistency > Stale {
			r.fail("unknown consistency")
		}
		r.skip(inner)
	}
	if !r.isNil() {
		inner := r.fields(4)
		q.Operator = &Operator{Kind: OperatorKind(r.small()), ID: r.string(), Address: r.string(), Set: r.strings()}
		r.skip(inner)
	}
	r.skip(more)
	if err := r.end(); err != nil {
		return Request{}, err
	}
	return q, nil
}

// isNil reads a nil if there is one.
func (r *reader) isNil() bool {
	if len(r.p) > 0 && r.p[0] == codeNil {
		r.p = r.p[1:]
		return true
	}
	return false
}

// AppendResponse appends an encoded response to dst.
func AppendResponse(dst []byte, s *Response) []byte {
	p := appendArray(append(dst, Version), 11)
	p = appendUint(p, s.ID)
	p = appendUint(p, uint64(s.Code))
	p = appendString(p, s.Err)
	p = appendString(p, s.Leader)
	p = appendUint(p, uint64(s.Consistency))
	p = appendBool(p, s.KnownLeader)
	p = appendUint(p, s.Applied)
	p = appendInt(p, int64(s.LastContact))
	if s.Result == nil {
		p = append(p, codeNil)
	} else {
		p = appendArray(p, 3)
		p = appendBool(p, s.Result.OK)
		p = appendString(p, s.Result.Err)
		p = appendUint(p, s.Result.Index)
	}
	if s.Answer == nil {
		p = append(p, codeNil)
	} else {
		p = appendAnswer(p, s.Answer)
	}
	if s.Operator == nil {
		return append(p, codeNil)
	}
	return pack(p, s.Operator)
}

// DecodeResponse decodes what AppendResponse wrote.
func DecodeResponse(p []byte) (Response, error) {
	r := begin(p)
	more := r.fields(11)
	s := Response{ID: r.uint(), Code: Code(r.small()), Err: r.string(), Leader: r.string(), Consistency: Consistency(r.small()),
		KnownLeader: r.bool(), Applied: r.uint(), LastContact: time.Duration(r.int())}
	if s.Consistency > Stale {
		r.fail("unknown consistency")
	}
	if !r.isNil() {
		inner := r.fields(3)
		s.Result = &catalog.Result{OK: r.bool(), Err: r.string(), Index: r.uint()}
		r.skip(inner)
	}
	if !r.isNil() {
		s.Answer = r.answer()
	}
	if !r.isNil() {
		s.Operator = unpackInto(r, &OperatorReply{})
	}
	r.skip(more)
	if err := r.end(); err != nil {
		return Response{}, err
	}
	return s, nil
}
