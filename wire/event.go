package wire

import "concord/agent/userevent"

// AppendEvent appends an encoded user event of a datacenter to dst: the payload of the gossip event that carries it. The Lamport
// time is gossip's.
func AppendEvent(dst []byte, e *userevent.Event) []byte { return appendEvent(append(dst, Version), e) }

// DecodeEvent decodes what AppendEvent wrote. The payload aliases data.
func DecodeEvent(data []byte) (userevent.Event, error) {
	r := begin(data)
	e := r.event()
	if err := r.end(); err != nil {
		return userevent.Event{}, err
	}
	return *e, nil
}

func appendEvent(b []byte, e *userevent.Event) []byte {
	b = appendArray(b, 7)
	b = appendString(b, e.ID)
	b = appendString(b, e.Name)
	b = appendBytes(b, e.Payload)
	b = appendString(b, e.NodeFilter)
	b = appendString(b, e.ServiceFilter)
	b = appendString(b, e.TagFilter)
	return appendInt(b, int64(e.Version))
}

func (r *reader) event() *userevent.Event {
	more := r.fields(7)
	e := &userevent.Event{ID: r.string(), Name: r.string(), Payload: r.bytes(), NodeFilter: r.string(), ServiceFilter: r.string(),
		TagFilter: r.string(), Version: int(r.int())}
	r.skip(more)
	return e
}
