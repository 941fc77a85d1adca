package wire

import (
	"encoding/binary"
	"fmt"
	"math"
)

// reader reads MessagePack. The first error sticks, and every read after it returns zero.
type reader struct {
	p   []byte
	err error
}

// begin checks the version and returns a reader of what follows.
func begin(p []byte) *reader {
	r := &reader{p: p}
	if v := r.byte(); r.err == nil && v != Version {
		r.err, r.p = fmt.Errorf("%w: version %d, this release knows %d", ErrVersion, v, Version), nil
	}
	return r
}

// end is the error of a message read whole.
func (r *reader) end() error {
	if r.err == nil && len(r.p) > 0 {
		r.fail("bytes after the end")
	}
	return r.err
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrMalformed, what)
		r.p = nil
	}
}

func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.p)) {
		r.fail("truncated")
		return nil
	}
	out := r.p[:n:n]
	r.p = r.p[n:]
	return out
}

func (r *reader) byte() byte {
	if len(r.p) == 0 {
		r.fail("truncated")
		return 0
	}
	c := r.p[0]
	r.p = r.p[1:]
	return c
}

// number reads a big-endian number of 1, 2, 4 or 8 bytes.
func (r *reader) number(n uint64) uint64 {
	b := r.take(n)
	switch len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.BigEndian.Uint16(b))
	case 4:
		return uint64(binary.BigEndian.Uint32(b))
	case 8:
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) uint() uint64 {
	switch c := r.byte(); {
	case c < codeMap:
		return uint64(c)
	case c >= codeUint8 && c <= codeUint64:
		return r.number(1 << (c - codeUint8))
	}
	r.fail("not an unsigned number")
	return 0
}

// small reads a number that fits a byte.
func (r *reader) small() uint8 {
	v := r.uint()
	if v > math.MaxUint8 {
		r.fail("number out of range")
		return 0
	}
	return uint8(v)
}

// medium reads a number that fits four bytes.
func (r *reader) medium() uint32 {
	v := r.uint()
	if v > math.MaxUint32 {
		r.fail("number out of range")
		return 0
	}
	return uint32(v)
}

func (r *reader) int() int64 {
	if len(r.p) > 0 {
		switch c := r.p[0]; {
		case c >= codeNegFix:
			r.p = r.p[1:]
			return int64(int8(c))
		case c >= codeInt8 && c <= codeInt64:
			r.p = r.p[1:]
			bits := 8 << (c - codeInt8)
			return int64(r.number(uint64(bits/8))<<(64-bits)) >> (64 - bits) // extends the sign
		}
	}
	v := r.uint()
	if v > math.MaxInt64 {
		r.fail("number out of range")
		return 0
	}
	return int64(v)
}

func (r *reader) bool() bool {
	switch r.byte() {
	case codeTrue:
		return true
	case codeFalse:
	default:
		r.fail("not a boolean")
	}
	return false
}

func (r *reader) string() string { return string(r.text()) }

// same reads a string that is likely to be the one given, whose memory it then shares.
func (r *reader) same(likely string) string {
	b := r.text()
	if string(b) == likely {
		return likely
	}
	return string(b)
}

// text reads a string without copying it.
func (r *reader) text() []byte {
	switch c := r.byte(); {
	case c&0xe0 == codeStr:
		return r.take(uint64(c & 31))
	case c >= codeStr8 && c <= codeStr32:
		return r.take(r.number(1 << (c - codeStr8)))
	}
	r.fail("not a string")
	return nil
}

func (r *reader) bytes() []byte {
	switch c := r.byte(); {
	case c == codeNil:
		return nil
	case c >= codeBin8 && c <= codeBin32:
		return r.take(r.number(1 << (c - codeBin8)))
	}
	r.fail("not bytes")
	return nil
}

// array reads the number of elements that follow, of which each takes at least a byte.
func (r *reader) array() int { return r.count(codeArray, codeArray16, 1) }

func (r *reader) count(short, code16 byte, least uint64) int {
	var n uint64
	switch c := r.byte(); {
	case c&0xf0 == short:
		n = uint64(c & 15)
	case c == code16 || c == code16+1:
		n = r.number(2 << (c - code16))
	default:
		r.fail("not a list or map where one belongs")
	}
	if n*least > uint64(len(r.p)) {
		r.fail("a list longer than the message")
		return 0
	}
	return int(n)
}

// fields begins an array of at least the known fields and returns how many more there are.
func (r *reader) fields(known int) (more int) {
	n := r.array()
	if n < known {
		r.fail("a field is missing")
		return 0
	}
	return n - known
}

// isNil reads a nil if there is one.
func (r *reader) isNil() bool {
	if len(r.p) > 0 && r.p[0] == codeNil {
		r.p = r.p[1:]
		return true
	}
	return false
}

// readList reads what appendList wrote, of elements that take at least so many bytes each: more than the rest of the
// message can have are not made room for.
func readList[T any](r *reader, least int, one func(*reader) T) []T {
	if r.isNil() {
		return nil
	}
	n := r.count(codeArray, codeArray16, uint64(least))
	list := make([]T, 0, n)
	for range n {
		list = append(list, one(r))
		if r.err != nil {
			return nil
		}
	}
	return list
}

func (r *reader) strings() []string { return readList(r, 1, (*reader).string) }

// readMap reads what appendMap wrote. A key that comes twice counts once. Most maps are small; large ones grow with what is
// there.
func readMap[V any](r *reader, one func(*reader) V) map[string]V {
	if r.isNil() {
		return nil
	}
	n := r.count(codeMap, codeMap16, 2)
	m := make(map[string]V, min(n, 64))
	for range n {
		k := r.string()
		m[k] = one(r)
		if r.err != nil {
			return nil
		}
	}
	return m
}

func (r *reader) stringMap() map[string]string { return readMap(r, (*reader).string) }

func readOptional[T any](r *reader, one func(*reader) *T) *T {
	if r.isNil() {
		return nil
	}
	return one(r)
}

// skip passes over n values of any kind. It does not recurse: values may be nested as deeply as the message is long.
func (r *reader) skip(n int) {
	for left := uint64(n); left > 0 && r.err == nil; {
		left += r.skipHead() - 1
		if left > uint64(len(r.p)) {
			r.fail("truncated")
		}
	}
}

// skipHead passes over a value, but for the elements of a list or map, whose number it returns.
func (r *reader) skipHead() (elements uint64) {
	switch c := r.byte(); {
	case c < codeMap, c >= codeNegFix, c == codeNil, c == codeFalse, c == codeTrue:
	case c < codeArray:
		return 2 * uint64(c&15)
	case c < codeStr:
		return uint64(c & 15)
	case c < codeNil:
		r.take(uint64(c & 31))
	case c >= codeBin8 && c <= codeBin32:
		r.take(r.number(1 << (c - codeBin8)))
	case c >= codeExt8 && c <= codeExt32:
		r.take(r.number(1<<(c-codeExt8)) + 1) // its type
	case c == codeFloat32 || c == codeFloat64:
		r.take(4 << (c - codeFloat32))
	case c >= codeUint8 && c <= codeUint64:
		r.take(1 << (c - codeUint8))
	case c >= codeInt8 && c <= codeInt64:
		r.take(1 << (c - codeInt8))
	case c >= codeFixExt1 && c <= codeFixExt:
		r.take(1<<(c-codeFixExt1) + 1)
	case c >= codeStr8 && c <= codeStr32:
		r.take(r.number(1 << (c - codeStr8)))
	case c == codeArray16 || c == codeArray32:
		return r.number(2 << (c - codeArray16))
	case c == codeMap16 || c == codeMap32:
		return 2 * r.number(2<<(c-codeMap16))
	default:
		r.fail("a code that MessagePack never uses")
	}
	return 0
}
