package wire

import (
	"time"

	"concord/swim"
)

func appendFew[T any](b []byte, list []T, one func([]byte, *T) []byte) []byte {
	b = appendArray(b, len(list))
	for i := range list {
		b = one(b, &list[i])
	}
	return b
}

func appendUserEvent(b []byte, e *swim.UserEvent) []byte {
	b = appendArray(b, 8)
	b = appendUint(b, e.LTime)
	b = appendString(b, e.Name)
	b = appendBytes(b, e.Payload)
	b = appendBool(b, e.Coalesce)
	b = appendString(b, e.From)
	b = appendUint(b, uint64(e.Number))
	b = appendUint(b, e.Prev)
	return appendInt(b, int64(e.Age))
}

func appendQueryCast(b []byte, c *swim.QueryCast) []byte {
	b = appendArray(b, 11)
	b = appendString(b, c.ID.From)
	b = appendUint(b, c.ID.LTime)
	b = appendUint(b, uint64(c.ID.Number))
	b = appendAddr(b, c.Addr)
	b = appendString(b, c.Name)
	b = appendBytes(b, c.Payload)
	b = appendStrings(b, c.Nodes)
	b = appendStringMap(b, c.Tags)
	b = appendBool(b, c.Ack)
	b = appendInt(b, int64(c.Relay))
	return appendInt(b, int64(c.Timeout))
}

func appendReply(b []byte, a *swim.Answer) []byte {
	b = appendArray(b, 4)
	b = appendUint(b, a.LTime)
	b = appendUint(b, uint64(a.Number))
	b = appendBool(b, a.Ack)
	return appendBytes(b, a.Payload)
}

// readFew reads a list of elements that take at least so many bytes each; an empty one is nil.
func readFew[T any](r *reader, least int, one func(*reader) T) []T {
	if list := readList(r, least, one); len(list) > 0 {
		return list
	}
	return nil
}

func (r *reader) userEvent() swim.UserEvent {
	more := r.fields(8)
	e := swim.UserEvent{LTime: r.uint(), Name: r.string(), Payload: r.bytes(), Coalesce: r.bool(), From: r.string(), Number: r.medium(),
		Prev: r.uint(), Age: time.Duration(r.int())}
	r.skip(more)
	return e
}

func (r *reader) queryCast() swim.QueryCast {
	more := r.fields(11)
	c := swim.QueryCast{ID: swim.QueryID{From: r.string(), LTime: r.uint(), Number: r.medium()}, Addr: r.addr()}
	c.Name, c.Payload = r.string(), r.bytes()
	c.Nodes, c.Tags, c.Ack = r.strings(), r.stringMap(), r.bool()
	c.Relay, c.Timeout = int(r.int()), time.Duration(r.int())
	r.skip(more)
	return c
}

func (r *reader) reply() *swim.Answer {
	more := r.fields(4)
	a := &swim.Answer{LTime: r.uint(), Number: r.medium(), Ack: r.bool(), Payload: r.bytes()}
	r.skip(more)
	return a
}
