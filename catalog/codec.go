package catalog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// ErrCorrupt says that a record of the state cannot be read. The state must be replaced: from the
// log, or by a snapshot of another server.
var ErrCorrupt = errors.New("catalog: corrupt record in the state store; let this server rebuild it from a snapshot of another")

// ErrVersion says that a record was written by a newer version.
var ErrVersion = errors.New("catalog: record of an unknown version in the state store; start a version at least as new as the one that wrote it")

// codecVersion is the first byte of each record. A record of this version is followed by its indexes
// and its fields in a fixed order; what follows those was added later and is ignored.
const codecVersion = 1

// appendHead appends what every record but those of the KV store begins with.
func appendHead(b []byte, i RaftIndex) []byte {
	b = append(b, codecVersion)
	b = binary.AppendUvarint(b, i.CreateIndex)
	return binary.AppendUvarint(b, i.ModifyIndex)
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// appendLen appends the length of a list or map, one more than it is, so that 0 stands for nil:
// the API shows nil as null.
func appendLen(b []byte, n int, isNil bool) []byte {
	if isNil {
		return append(b, 0)
	}
	return binary.AppendUvarint(b, uint64(n)+1)
}

func appendStrings(b []byte, list []string) []byte {
	b = appendLen(b, len(list), list == nil)
	for _, s := range list {
		b = appendString(b, s)
	}
	return b
}

// appendMap appends m in the order of its keys: equal maps have equal encodings.
func appendMap[V any](b []byte, m map[string]V, value func([]byte, V) []byte) []byte {
	b = appendLen(b, len(m), m == nil)
	if len(m) == 0 {
		return b
	}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		b = value(appendString(b, k), m[k])
	}
	return b
}

func appendServiceAddress(b []byte, a ServiceAddress) []byte {
	return binary.AppendVarint(appendString(b, a.Address), int64(a.Port))
}

// decoder reads a record from a string: the strings it returns share the record's memory. After
// bad input everything it returns is zero and bad is set.
type decoder struct {
	s   string
	bad bool
}

// newDecoder checks the version of a record and returns a decoder of what follows.
func newDecoder(record []byte) (*decoder, error) {
	if err := checkVersion(record); err != nil {
		return nil, err
	}
	return &decoder{s: string(record[1:])}, nil
}

func checkVersion(record []byte) error {
	if len(record) == 0 {
		return fmt.Errorf("%w: it is empty", ErrCorrupt)
	}
	if record[0] != codecVersion {
		return fmt.Errorf("%w: version %d", ErrVersion, record[0])
	}
	return nil
}

// done returns err, or the error that decoding met.
func (d *decoder) done(what string) error {
	if d.bad {
		return fmt.Errorf("%w: %s", ErrCorrupt, what)
	}
	return nil
}

func (d *decoder) fail() {
	d.bad = true
	d.s = ""
}

func (d *decoder) uvarint() uint64 {
	var v uint64
	for i := 0; i < len(d.s) && i < binary.MaxVarintLen64; i++ {
		c := d.s[i]
		if i == binary.MaxVarintLen64-1 && c > 1 {
			break
		}
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			d.s = d.s[i+1:]
			return v
		}
	}
	d.fail()
	return 0
}

func (d *decoder) varint() int64 {
	u := d.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

func (d *decoder) bool() bool { return d.uvarint() != 0 }

func (d *decoder) string() string {
	n := d.uvarint()
	if n > uint64(len(d.s)) {
		d.fail()
		return ""
	}
	s := d.s[:n]
	d.s = d.s[n:]
	return s
}

// length returns the length of a list or map whose elements take at least one byte each.
func (d *decoder) length() (n int, isNil bool) {
	v := d.uvarint()
	if v == 0 {
		return 0, true
	}
	if v-1 > uint64(len(d.s)) {
		d.fail()
		return 0, true
	}
	return int(v - 1), false
}

func (d *decoder) strings() []string {
	n, isNil := d.length()
	if isNil {
		return nil
	}
	list := make([]string, n)
	for i := range list {
		list[i] = d.string()
	}
	return list
}

func (d *decoder) head() RaftIndex {
	return RaftIndex{CreateIndex: d.uvarint(), ModifyIndex: d.uvarint()}
}

func decodeMap[V any](d *decoder, value func() V) map[string]V {
	n, isNil := d.length()
	if isNil {
		return nil
	}
	m := make(map[string]V, n)
	for range n {
		k := d.string()
		m[k] = value()
	}
	return m
}

func (d *decoder) serviceAddress() ServiceAddress {
	return ServiceAddress{Address: d.string(), Port: int(d.varint())}
}

// sameBody tells whether two records agree in all but their indexes.
func sameBody(a, b []byte) bool { return bytes.Equal(body(a), body(b)) }

// body returns a well-formed record without version and indexes.
func body(record []byte) []byte {
	rest := record[min(1, len(record)):]
	for range 2 {
		_, n := binary.Uvarint(rest)
		rest = rest[max(n, 0):]
	}
	return rest
}
