package ipc

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// ErrMalformed is what a connection ends with whose other side does not speak the protocol: larger values than
// allowed, deeper nesting, or bytes that are not MessagePack.
var ErrMalformed = errors.New("ipc: malformed message")

// maxDepth is how deeply lists and maps may be nested; the protocol needs four levels.
const maxDepth = 16

// readChunk is how much room is made at once for what was announced but may never come.
const readChunk = 4096

// readValue reads one MessagePack value of at most limit bytes and returns its bytes. The decoding library makes room for
// as many elements as a value announces. After readValue all of them are known to be there, so what a message can cost
// is proportional to its length.
func readValue(r *bufio.Reader, limit int) ([]byte, error) {
	v := valueReader{r: r, limit: limit}
	open := append(make([]uint64, 0, maxDepth), 1) // how many elements are still to come, by level
	for len(open) > 0 {
		top := len(open) - 1
		if open[top] == 0 {
			open = open[:top]
			continue
		}
		open[top]--
		elements, err := v.head()
		if err != nil {
			return nil, err
		}
		if elements > uint64(limit-len(v.buf)) {
			return nil, fmt.Errorf("%w: a list longer than a message may be", ErrMalformed)
		}
		if elements > 0 {
			if len(open) == maxDepth {
				return nil, fmt.Errorf("%w: nested more than %d levels deep", ErrMalformed, maxDepth)
			}
			open = append(open, elements)
		}
	}
	return v.buf, nil
}

type valueReader struct {
	r     *bufio.Reader
	buf   []byte
	limit int
}

// head reads a value, but of a list or map only the head; it returns how many elements follow that.
func (v *valueReader) head() (elements uint64, err error) {
	if err := v.take(1); err != nil {
		return 0, err
	}
	c := v.buf[len(v.buf)-1]
	switch {
	case c <= 0x7f || c >= 0xe0: // small numbers
		return 0, nil
	case c <= 0x8f:
		return 2 * uint64(c&0x0f), nil
	case c <= 0x9f:
		return uint64(c & 0x0f), nil
	case c <= 0xbf:
		return 0, v.take(uint64(c & 0x1f))
	case c == 0xc1:
		return 0, fmt.Errorf("%w: a code that MessagePack never uses", ErrMalformed)
	case c <= 0xc3: // nil, false, true
		return 0, nil
	case c >= 0xd4 && c <= 0xd8: // extensions of 1 to 16 bytes
		return 0, v.take(1<<(c-0xd4) + 1)
	case c >= 0xca && c <= 0xd3: // floats and numbers: 4, 8 and twice 1, 2, 4, 8 bytes
		sizes := [...]uint64{4, 8, 1, 2, 4, 8, 1, 2, 4, 8}
		return 0, v.take(sizes[c-0xca])
	}
	return v.long(c)
}

// long reads what follows the codes that have a length after them.
func (v *valueReader) long(c byte) (elements uint64, err error) {
	width, extra := 0, uint64(0)
	switch c {
	case 0xc4, 0xd9:
		width = 1
	case 0xc5, 0xda, 0xdc, 0xde:
		width = 2
	case 0xc6, 0xdb, 0xdd, 0xdf:
		width = 4
	case 0xc7, 0xc8, 0xc9: // extensions; their type is a byte more
		width, extra = 1<<(c-0xc7), 1
	}
	if err := v.take(uint64(width)); err != nil {
		return 0, err
	}
	n := uint64(0)
	for _, b := range v.buf[len(v.buf)-width:] {
		n = n<<8 | uint64(b)
	}
	switch c {
	case 0xdc, 0xdd:
		return n, nil
	case 0xde, 0xdf:
		return 2 * n, nil
	}
	return 0, v.take(n + extra)
}

// take reads n more bytes. Room for them is made as they come.
func (v *valueReader) take(n uint64) error {
	if n > uint64(v.limit-len(v.buf)) {
		return fmt.Errorf("%w: larger than %d bytes", ErrMalformed, v.limit)
	}
	for n > 0 {
		part := min(n, readChunk)
		start := len(v.buf)
		v.buf = append(v.buf, make([]byte, part)...)
		if _, err := io.ReadFull(v.r, v.buf[start:]); err != nil {
			if err == io.EOF && start > 0 {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		n -= part
	}
	return nil
}
