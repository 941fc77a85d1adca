package wire

import (
	"net/netip"
	"slices"
	"time"

	"concord/swim"
)

// The fields of a gossip packet. Those at the end that are empty are left out, so that pings and acks, which are most of
// what a pool sends, are small; new fields go to the end.
const (
	packetType = iota
	packetSeq
	packetFrom
	packetUpdates
	packetCoordinate
	packetTarget
	packetClocks
	packetDigest
	packetAddr
	packetJoin
	packetMembers
	packetBuckets
	packetAnswer
	packetEvents
	packetQueries
)

// AppendPacket appends an encoded gossip packet to dst. Its address is not part of it: the network tells
// the receiver.
func AppendPacket(dst []byte, p *swim.Packet) []byte {
	n := packetFields(p)
	b := appendArray(append(slices.Grow(dst, p.Size()), Version), n)
	for field := range n {
		b = appendPacketField(b, p, field)
	}
	return b
}

// packetFields returns how many fields there are up to the last one that is not empty.
func packetFields(p *swim.Packet) int {
	m := &p.Message
	last := packetFrom
	for field, has := range [...]bool{
		packetUpdates: len(p.Updates) > 0, packetCoordinate: m.Coordinate != nil, packetTarget: m.Target != "",
		packetClocks: p.Clocks != swim.Clocks{}, packetDigest: m.Digest != swim.Digest{}, packetAddr: m.Addr.IsValid(), packetJoin: m.Join,
		packetMembers: len(m.Members) > 0, packetBuckets: len(m.Buckets) > 0, packetAnswer: m.Answer != nil,
		packetEvents: len(p.Events) > 0, packetQueries: len(p.Queries) > 0,
	} {
		if has {
			last = field
		}
	}
	return last + 1
}

func appendPacketField(b []byte, p *swim.Packet, field int) []byte {
	m := &p.Message
	switch field {
	case packetType:
		return appendUint(b, uint64(m.Type))
	case packetSeq:
		return appendUint(b, m.Seq)
	case packetFrom:
		return appendString(b, m.From)
	case packetUpdates:
		return appendUpdates(b, p.Updates)
	case packetCoordinate:
		return appendBytes(b, m.Coordinate)
	case packetTarget:
		return appendString(b, m.Target)
	case packetDigest:
		return appendUint(appendUint(appendUint(appendArray(b, 3), m.Digest.Members), m.Digest.Events), m.Digest.EventsFrom)
	case packetAddr:
		return appendAddr(b, m.Addr)
	case packetJoin:
		return appendBool(b, m.Join)
	case packetMembers:
		return appendUpdates(b, m.Members)
	case packetBuckets:
		return appendBuckets(b, m.Buckets)
	case packetClocks:
		return appendUint(appendUint(appendArray(b, 2), p.Clocks.Event), p.Clocks.Query)
	case packetAnswer:
		return appendOptional(b, m.Answer, appendReply)
	case packetEvents:
		return appendFew(b, p.Events, appendUserEvent)
	case packetQueries:
		return appendFew(b, p.Queries, appendQueryCast)
	}
	return b
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

func appendUpdates(b []byte, us []*swim.Update) []byte {
	b = appendArray(b, len(us))
	for _, u := range us {
		b = appendUpdate(b, u)
	}
	return b
}

func appendUpdate(b []byte, u *swim.Update) []byte {
	b = appendArray(b, 9)
	b = appendUint(b, uint64(u.State))
	b = appendString(b, u.Name)
	b = appendString(b, u.ID)
	b = appendAddr(b, u.Addr)
	b = appendUint(b, u.Incarnation)
	b = appendStringMap(b, u.Tags)
	b = appendString(b, u.From)
	b = appendBool(b, u.Prune)
	return appendInt(b, int64(u.Age))
}

func appendBuckets(b []byte, buckets []uint64) []byte {
	b = appendArray(b, len(buckets))
	for _, sum := range buckets {
		b = appendUint(b, sum)
	}
	return b
}

// Claims lets equal claims that are decoded be one: where a process has many members, each of them would else hold a copy
// of what all know. It is not safe for concurrent use. A nil *Claims shares nothing.
type Claims struct {
	byBytes map[string]*swim.Update
	max     int
}

// NewClaims remembers up to max claims; then it begins anew.
func NewClaims(max int) *Claims { return &Claims{byBytes: make(map[string]*swim.Update), max: max} }

func (c *Claims) keep(encoded []byte, u *swim.Update) {
	if c == nil {
		return
	}
	if len(c.byBytes) >= c.max {
		clear(c.byBytes)
	}
	c.byBytes[string(encoded)] = u
}

// DecodePacket decodes what AppendPacket wrote. Payloads and Coordinate alias data.
func DecodePacket(data []byte) (swim.Packet, error) { return DecodePacketSharing(data, nil) }

// DecodePacketSharing is DecodePacket that takes claims which were decoded before from those.
func DecodePacketSharing(data []byte, claims *Claims) (swim.Packet, error) {
	r := begin(data)
	var p swim.Packet
	for field := range packetFrom + 1 + r.fields(packetFrom+1) {
		r.packetField(&p, field, claims)
	}
	if err := r.end(); err != nil {
		return swim.Packet{}, err
	}
	return p, nil
}

func (r *reader) packetField(p *swim.Packet, field int, claims *Claims) {
	m := &p.Message
	switch field {
	case packetType:
		m.Type = swim.MessageType(r.small())
	case packetSeq:
		m.Seq = r.uint()
	case packetFrom:
		m.From = r.string()
	case packetUpdates:
		p.Updates = r.updates(claims)
	case packetCoordinate:
		m.Coordinate = r.bytes()
	case packetTarget:
		m.Target = r.string()
	case packetDigest:
		more := r.fields(3)
		m.Digest = swim.Digest{Members: r.uint(), Events: r.uint(), EventsFrom: r.uint()}
		r.skip(more)
	case packetAddr:
		m.Addr = r.addr()
	case packetJoin:
		m.Join = r.bool()
	case packetMembers:
		m.Members = r.updates(claims)
	case packetBuckets:
		m.Buckets = readFew(r, 1, (*reader).uint)
	case packetClocks:
		more := r.fields(2)
		p.Clocks = swim.Clocks{Event: r.uint(), Query: r.uint()}
		r.skip(more)
	case packetAnswer:
		m.Answer = readOptional(r, (*reader).reply)
	case packetEvents:
		p.Events = readFew(r, 8, (*reader).userEvent)
	case packetQueries:
		p.Queries = readFew(r, 11, (*reader).queryCast)
	default:
		r.skip(1)
	}
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

func (r *reader) updates(claims *Claims) []*swim.Update {
	n := r.array()
	if n == 0 {
		return nil
	}
	out := make([]*swim.Update, 0, min(n, len(r.p)/9+1)) // an update takes at least nine bytes
	for range n {
		u := r.update(claims)
		if r.err != nil {
			return nil
		}
		out = append(out, u)
	}
	return out
}

func (r *reader) update(claims *Claims) *swim.Update {
	start := r.p
	if claims != nil {
		if r.skip(1); r.err != nil {
			return nil
		}
		encoded := start[:len(start)-len(r.p)]
		if u := claims.byBytes[string(encoded)]; u != nil {
			return u
		}
		r.p = start
	}
	more := r.fields(9)
	u := &swim.Update{State: swim.State(r.small()), Name: r.string(), ID: r.string(), Addr: r.addr(), Incarnation: r.uint()}
	u.Tags = r.stringMap()
	u.From = r.same(u.Name)
	u.Prune = r.bool()
	u.Age = time.Duration(r.int())
	if r.skip(more); r.err == nil {
		claims.keep(start[:len(start)-len(r.p)], u)
	}
	return u
}
