package wire

import (
	"net/netip"
	"slices"
	"time"

	"concord/swim"
)

// AppendPacket appends an encoded gossip packet to dst. Its address is not part of it: the network tells
// the receiver.
func AppendPacket(dst []byte, p *swim.Packet) []byte {
	m := &p.Message
	b := appendArray(append(slices.Grow(dst, p.Size()), Version), 9)
	b = appendUint(b, uint64(m.Type))
	b = appendUint(b, m.Seq)
	b = appendString(b, m.Target)
	b = appendAddr(b, m.Addr)
	b = appendString(b, m.From)
	b = appendBool(b, m.Join)
	b = appendUpdates(b, m.Members)
	b = appendBytes(b, m.User)
	return appendUpdates(b, p.Updates)
}

// appendAddr leaves the zone out: it means nothing on another machine.
func appendAddr(b []byte, a netip.AddrPort) []byte {
	if !a.IsValid() {
		return append(b, codeNil)
	}
	start := len(b) + 2
	a = netip.AddrPortFrom(a.Addr().WithZone(""), a.Port())
	b, _ = a.AppendBinary(append(b, codeBin8, 0)) // never fails for a valid address
	b[start-1] = byte(len(b) - start)
	return b
}

func appendUpdates(b []byte, us []swim.Update) []byte {
	b = appendArray(b, len(us))
	for i := range us {
		u := &us[i]
		b = appendArray(b, 9)
		b = appendUint(b, uint64(u.State))
		b = appendString(b, u.Name)
		b = appendString(b, u.ID)
		b = appendAddr(b, u.Addr)
		b = appendUint(b, u.Incarnation)
		b = appendTags(b, u.Tags)
		b = appendString(b, u.From)
		b = appendBool(b, u.Prune)
		b = appendInt(b, int64(u.Age))
	}
	return b
}

// appendTags writes no tags as an empty map, nil or not: gossip does not tell one from the other.
func appendTags(b []byte, tags map[string]string) []byte {
	if len(tags) == 0 {
		return append(b, codeMap)
	}
	return appendStringMap(b, tags)
}

// DecodePacket decodes what AppendPacket wrote. User aliases data.
func DecodePacket(data []byte) (swim.Packet, error) {
	r := begin(data)
	more := r.fields(9)
	var p swim.Packet
	m := &p.Message
	m.Type = swim.MessageType(r.small())
	m.Seq = r.uint()
	m.Target = r.string()
	m.Addr = r.addr()
	m.From = r.string()
	m.Join = r.bool()
	m.Members = r.updates()
	m.User = r.bytes()
	p.Updates = r.updates()
	r.skip(more)
	if err := r.end(); err != nil {
		return swim.Packet{}, err
	}
	return p, nil
}

func (r *reader) addr() (a netip.AddrPort) {
	b := r.bytes()
	if b == nil {
		return a
	}
	if err := a.UnmarshalBinary(b); err != nil {
		r.fail("not an address")
	}
	return a
}

func (r *reader) updates() []swim.Update {
	n := r.array()
	if n == 0 {
		return nil
	}
	out := make([]swim.Update, 0, min(n, len(r.p)/9+1)) // an update takes at least nine bytes
	for range n {
		more := r.fields(9)
		u := swim.Update{State: swim.State(r.small()), Name: r.string(), ID: r.string(), Addr: r.addr(), Incarnation: r.uint()}
		u.Tags = r.tags()
		u.From = r.string()
		u.Prune = r.bool()
		u.Age = time.Duration(r.int())
		r.skip(more)
		if r.err != nil {
			return nil
		}
		out = append(out, u)
	}
	return out
}

func (r *reader) tags() map[string]string {
	if tags := r.stringMap(); len(tags) > 0 {
		return tags
	}
	return nil
}
