// Package wire encodes, decodes and validates everything that nodes send one another: a version byte and a
// MessagePack array of fields (https://github.com/msgpack/msgpack/blob/master/spec.md).
//
// Fields are only ever added at the end, so that a reader ignores those it does not know; another
// version is refused. No decoder panics, or allocates more than its input justifies. Byte slices that a
// decoder returns alias its input; strings are copies.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/vmihailenco/msgpack/v5"
)

// Version is the version of the format that this release speaks.
const Version = 1

// ErrMalformed is wrapped by the errors of all decoders for input that no encoder makes.
var ErrMalformed = errors.New("wire: malformed message")

// ErrVersion is wrapped by the errors of all decoders for input of another version.
var ErrVersion = errors.New("wire: message of another version: let all nodes run releases that know each other")

// The hot paths write MessagePack by hand; the codes are those of its specification.
const (
	codeNil     = 0xc0
	codeFalse   = 0xc2
	codeTrue    = 0xc3
	codeBin8    = 0xc4
	codeBin16   = 0xc5
	codeBin32   = 0xc6
	codeUint8   = 0xcc
	codeUint16  = 0xcd
	codeUint32  = 0xce
	codeUint64  = 0xcf
	codeInt64   = 0xd3
	codeStr8    = 0xd9
	codeStr16   = 0xda
	codeStr32   = 0xdb
	codeArray16 = 0xdc
	codeArray32 = 0xdd
)

func appendUint(p []byte, v uint64) []byte {
	switch {
	case v < 0x80:
		return append(p, byte(v))
	case v <= math.MaxUint8:
		return append(p, codeUint8, byte(v))
	case v <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(p, codeUint16), uint16(v))
	case v <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(p, codeUint32), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(p, codeUint64), v)
}

func appendInt(p []byte, v int64) []byte {
	if v >= 0 {
		return appendUint(p, uint64(v))
	}
	return binary.BigEndian.AppendUint64(append(p, codeInt64), uint64(v))
}

func appendBool(p []byte, v bool) []byte {
	if v {
		return append(p, codeTrue)
	}
	return append(p, codeFalse)
}

func appendString(p []byte, s string) []byte {
	switch n := len(s); {
	case n < 32:
		p = append(p, 0xa0|byte(n))
	case n <= math.MaxUint8:
		p = append(p, codeStr8, byte(n))
	case n <= math.MaxUint16:
		p = binary.BigEndian.AppendUint16(append(p, codeStr16), uint16(n))
	default:
		p = binary.BigEndian.AppendUint32(append(p, codeStr32), uint32(n))
	}
	return append(p, s...)
}

// appendBytes writes nil as nil, so that it stays apart from empty.
func appendBytes(p, b []byte) []byte {
	if b == nil {
		return append(p, codeNil)
	}
	switch n := len(b); {
	case n <= math.MaxUint8:
		p = append(p, codeBin8, byte(n))
	case n <= math.MaxUint16:
		p = binary.BigEndian.AppendUint16(append(p, codeBin16), uint16(n))
	default:
		p = binary.BigEndian.AppendUint32(append(p, codeBin32), uint32(n))
	}
	return append(p, b...)
}

func appendArray(p []byte, n int) []byte {
	switch {
	case n < 16:
		return append(p, 0x90|byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(p, codeArray16), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(p, codeArray32), uint32(n))
}

func appendStrings(p []byte, ss []string) []byte {
	p = appendArray(p, len(ss))
	for _, s := range ss {
		p = appendString(p, s)
	}
	return p
}

// reader reads MessagePack. The first error sticks, and every read after it returns zero.
type reader struct {
	p   []byte
	err error
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
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

// number reads a big-endian number of n bytes.
func (r *reader) number(n uint64) uint64 {
	var v uint64
	for _, b := range r.take(n) {
		v = v<<8 | uint64(b)
	}
	return v
}

func (r *reader) uint() uint64 {
	switch c := r.byte(); {
	case c < 0x80:
		return uint64(c)
	case c >= codeUint8 && c <= codeUint64:
		return r.number(1 << (c - codeUint8))
	default:
		r.fail("not an unsigned number")
		return 0
	}
}

func (r *reader) int() int64 {
	if len(r.p) > 0 && r.p[0] == codeInt64 {
		r.byte()
		return int64(r.number(8))
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

func (r *reader) string() string {
	switch c := r.byte(); {
	case c>>5 == 0xa0>>5:
		return string(r.take(uint64(c & 31)))
	case c >= codeStr8 && c <= codeStr32:
		return string(r.take(r.number(1 << (c - codeStr8))))
	default:
		r.fail("not a string")
		return ""
	}
}

func (r *reader) bytes() []byte {
	switch c := r.byte(); {
	case c == codeNil:
		return nil
	case c >= codeBin8 && c <= codeBin32:
		b := r.take(r.number(1 << (c - codeBin8)))
		if b == nil && r.err == nil {
			b = []byte{}
		}
		return b
	default:
		r.fail("not bytes")
		return nil
	}
}

// array reads the number of elements that follow, of which each takes at least a byte.
func (r *reader) array() int {
	var n uint64
	switch c := r.byte(); {
	case c>>4 == 0x90>>4:
		n = uint64(c & 15)
	case c == codeArray16 || c == codeArray32:
		n = r.number(2 << (c - codeArray16))
	default:
		r.fail("not an array")
	}
	if n > uint64(len(r.p)) {
		r.fail("an array longer than the message")
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

func (r *reader) strings() []string {
	n := r.array()
	out := make([]string, 0, min(n, 1024))
	for range n {
		out = append(out, r.string())
		if r.err != nil {
			return nil
		}
	}
	return out
}

// skip passes over n values of any kind.
func (r *reader) skip(n int) {
	for ; n > 0 && r.err == nil; n-- {
		d := msgpack.NewDecoder(&byteReader{r})
		if err := d.Skip(); err != nil {
			r.fail("an unknown field")
		}
	}
}

// byteReader lets the library read no more than it needs.
type byteReader struct{ r *reader }

func (b *byteReader) Read(p []byte) (int, error) {
	if len(b.r.p) == 0 {
		return 0, errors.New("truncated")
	}
	n := copy(p, b.r.p)
	b.r.p = b.r.p[n:]
	return n, nil
}

func (b *byteReader) ReadByte() (byte, error) {
	if len(b.r.p) == 0 {
		return 0, errors.New("truncated")
	}
	c := b.r.p[0]
	b.r.p = b.r.p[1:]
	return c, nil
}

func (b *byteReader) UnreadByte() error { return errors.New("wire: cannot unread") }

// end is the error of a message read whole.
func (r *reader) end() error {
	if r.err == nil && len(r.p) > 0 {
		r.fail("bytes after the end")
	}
	return r.err
}

// begin checks the version and returns a reader of what follows.
func begin(p []byte) *reader {
	r := &reader{p: p}
	if v := r.byte(); r.err == nil && v != Version {
		r.err, r.p = fmt.Errorf("%w: version %d, this release knows %d", ErrVersion, v, Version), nil
	}
	return r
}

// pack writes a value of the cold paths with the library, as one binary field.
func pack(p []byte, v any) []byte {
	b, err := marshal(v)
	if err != nil {
		panic(fmt.Sprintf("wire: cannot encode %T: %v", v, err)) // only for types that are no messages
	}
	return appendBytes(p, b)
}

// unpack reads what pack wrote into v.
func (r *reader) unpack(v any) {
	b := r.bytes()
	if r.err != nil {
		return
	}
	if err := msgpack.Unmarshal(b, v); err != nil {
		r.fail(err.Error())
	}
}
