// Package wire encodes, decodes and validates everything that nodes send one another: a version byte and a
// MessagePack array of fields (https://github.com/msgpack/msgpack/blob/master/spec.md).
//
// Fields are only ever added at the end, so that a reader ignores those it does not know; another
// version is refused. No decoder panics, or allocates more than a small multiple of its input. Byte slices that a
// decoder returns alias its input; strings are copies. The same message is always the same bytes.
package wire

import (
	"encoding/binary"
	"errors"
	"maps"
	"math"
	"slices"
)

// Version is the version of the format that this release speaks.
const Version = 1

// ErrMalformed is wrapped by the errors of all decoders for input that no encoder makes.
var ErrMalformed = errors.New("wire: malformed message")

// ErrVersion is wrapped by the errors of all decoders for input of another version.
var ErrVersion = errors.New("wire: message of another version: let all nodes run releases that know each other")

// The codes of MessagePack that stand for more than themselves. Small numbers, and the lengths of short strings, arrays
// and maps, are in the code.
const (
	codeMap     = 0x80 // to 0x8f
	codeArray   = 0x90 // to 0x9f
	codeStr     = 0xa0 // to 0xbf
	codeNil     = 0xc0
	codeFalse   = 0xc2
	codeTrue    = 0xc3
	codeBin8    = 0xc4
	codeBin16   = 0xc5
	codeBin32   = 0xc6
	codeExt8    = 0xc7
	codeExt32   = 0xc9
	codeFloat32 = 0xca
	codeFloat64 = 0xcb
	codeUint8   = 0xcc
	codeUint16  = 0xcd
	codeUint32  = 0xce
	codeUint64  = 0xcf
	codeInt8    = 0xd0
	codeInt64   = 0xd3
	codeFixExt1 = 0xd4
	codeFixExt  = 0xd8 // of 16 bytes, the longest
	codeStr8    = 0xd9
	codeStr16   = 0xda
	codeStr32   = 0xdb
	codeArray16 = 0xdc
	codeArray32 = 0xdd
	codeMap16   = 0xde
	codeMap32   = 0xdf
	codeNegFix  = 0xe0 // to 0xff: -32 to -1
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
		p = append(p, codeStr|byte(n))
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

func appendArray(p []byte, n int) []byte { return appendCount(p, n, codeArray, codeArray16) }

func appendCount(p []byte, n int, short, code16 byte) []byte {
	switch {
	case n < 16:
		return append(p, short|byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(p, code16), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(p, code16+1), uint32(n))
}

// appendList writes nil as nil, since JSON shows it otherwise than an empty list.
func appendList[T any](p []byte, list []T, one func([]byte, T) []byte) []byte {
	if list == nil {
		return append(p, codeNil)
	}
	p = appendArray(p, len(list))
	for _, v := range list {
		p = one(p, v)
	}
	return p
}

func appendStrings(p []byte, ss []string) []byte { return appendList(p, ss, appendString) }

// appendMap writes nil as nil, and the keys in order.
func appendMap[V any](p []byte, m map[string]V, one func([]byte, V) []byte) []byte {
	if m == nil {
		return append(p, codeNil)
	}
	p = appendCount(p, len(m), codeMap, codeMap16)
	var few [16]string // most maps are tags or metadata, whose keys then need no memory
	keys := slices.AppendSeq(few[:0], maps.Keys(m))
	slices.Sort(keys)
	for _, k := range keys {
		p = one(appendString(p, k), m[k])
	}
	return p
}

func appendStringMap(p []byte, m map[string]string) []byte { return appendMap(p, m, appendString) }

func appendOptional[T any](p []byte, v *T, one func([]byte, *T) []byte) []byte {
	if v == nil {
		return append(p, codeNil)
	}
	return one(p, v)
}
