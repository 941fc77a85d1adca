package wire

import (
	"fmt"

	"concord/catalog"
)

// queryKind is what is known of one kind of query: how it is made, and how its answer's value is read.
type queryKind struct {
	make   func() catalog.Query
	answer func(*reader) any
}

// queryKinds by number. A number is never given another meaning.
var queryKinds = map[uint8]queryKind{
	1:  {func() catalog.Query { return &catalog.NodesQuery{} }, value[[]*catalog.Node]},
	2:  {func() catalog.Query { return &catalog.ServicesQuery{} }, value[map[string][]string]},
	3:  {func() catalog.Query { return &catalog.ServiceNodesQuery{} }, value[[]*catalog.ServiceNode]},
	4:  {func() catalog.Query { return &catalog.NodeServicesQuery{} }, value[*catalog.NodeServices]},
	5:  {func() catalog.Query { return &catalog.NodeChecksQuery{} }, value[[]*catalog.HealthCheck]},
	6:  {func() catalog.Query { return &catalog.ServiceChecksQuery{} }, value[[]*catalog.HealthCheck]},
	7:  {func() catalog.Query { return &catalog.StateChecksQuery{} }, value[[]*catalog.HealthCheck]},
	8:  {func() catalog.Query { return &catalog.HealthServiceQuery{} }, value[[]*catalog.CheckServiceNode]},
	9:  {func() catalog.Query { return &catalog.KVGetQuery{} }, (*reader).entryValue},
	10: {func() catalog.Query { return &catalog.KVListQuery{} }, value[[]*catalog.DirEntry]},
	11: {func() catalog.Query { return &catalog.KVKeysQuery{} }, value[[]string]},
	12: {func() catalog.Query { return &catalog.AutopilotQuery{} }, value[*catalog.AutopilotConfig]},
}

// value reads an answer's value of a type that the library decodes.
func value[T any](r *reader) any {
	var v T
	r.unpack(&v)
	return v
}

func kindOf(q catalog.Query) uint8 {
	switch q.(type) {
	case *catalog.NodesQuery:
		return 1
	case *catalog.ServicesQuery:
		return 2
	case *catalog.ServiceNodesQuery:
		return 3
	case *catalog.NodeServicesQuery:
		return 4
	case *catalog.NodeChecksQuery:
		return 5
	case *catalog.ServiceChecksQuery:
		return 6
	case *catalog.StateChecksQuery:
		return 7
	case *catalog.HealthServiceQuery:
		return 8
	case *catalog.KVGetQuery:
		return 9
	case *catalog.KVListQuery:
		return 10
	case *catalog.KVKeysQuery:
		return 11
	case *catalog.AutopilotQuery:
		return 12
	}
	panic(fmt.Sprintf("wire: %T is no query", q))
}

// appendQuery writes the kind and the fields, of which the hot queries have but one.
func appendQuery(p []byte, q catalog.Query) []byte {
	p = append(appendArray(p, 2), kindOf(q))
	if kv, ok := q.(*catalog.KVGetQuery); ok {
		return appendString(p, kv.Key)
	}
	return pack(p, q)
}

func (r *reader) query() catalog.Query {
	more := r.fields(2)
	kind, ok := queryKinds[r.small()]
	if !ok {
		r.fail("unknown query")
		return nil
	}
	q := kind.make()
	if kv, ok := q.(*catalog.KVGetQuery); ok {
		kv.Key = r.string()
	} else {
		r.unpack(q)
	}
	r.skip(more)
	return q
}

// appendAnswer writes the kind of the query it answers, index and value.
func appendAnswer(p []byte, a *catalog.Answer) []byte {
	p = appendArray(p, 3)
	p = append(p, answerKind(a.Value))
	p = appendUint(p, a.Index)
	if e, ok := a.Value.(*catalog.DirEntry); ok {
		return appendEntryValue(p, e)
	}
	return pack(p, a.Value)
}

// answerKind is a kind of query that has values of this type.
func answerKind(v any) uint8 {
	switch v.(type) {
	case []*catalog.Node:
		return 1
	case map[string][]string:
		return 2
	case []*catalog.ServiceNode:
		return 3
	case *catalog.NodeServices:
		return 4
	case []*catalog.HealthCheck:
		return 5
	case []*catalog.CheckServiceNode:
		return 8
	case *catalog.DirEntry:
		return 9
	case []*catalog.DirEntry:
		return 10
	case []string:
		return 11
	case *catalog.AutopilotConfig:
		return 12
	}
	panic(fmt.Sprintf("wire: %T is no answer", v))
}

func (r *reader) answer() *catalog.Answer {
	more := r.fields(3)
	kind, ok := queryKinds[r.small()]
	a := &catalog.Answer{Index: r.uint()}
	if !ok {
		r.fail("unknown answer")
		return nil
	}
	a.Value = kind.answer(r)
	r.skip(more)
	return a
}

func appendEntryValue(p []byte, e *catalog.DirEntry) []byte {
	if e == nil {
		return appendArray(p, 0)
	}
	p = appendArray(p, 7)
	p = appendUint(p, e.LockIndex)
	p = appendString(p, e.Key)
	p = appendUint(p, e.Flags)
	p = appendBytes(p, e.Value)
	p = appendString(p, e.Session)
	p = appendUint(p, e.CreateIndex)
	return appendUint(p, e.ModifyIndex)
}

func (r *reader) entryValue() any {
	n := r.array()
	if n == 0 {
		return (*catalog.DirEntry)(nil)
	}
	if n < 7 {
		r.fail("a field is missing")
	}
	e := &catalog.DirEntry{LockIndex: r.uint(), Key: r.string(), Flags: r.uint(), Value: r.bytes(), Session: r.string()}
	e.CreateIndex, e.ModifyIndex = r.uint(), r.uint()
	r.skip(n - 7)
	return e
}
