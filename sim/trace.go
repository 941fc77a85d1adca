package sim

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// trace is a 128-bit hash of everything that happens: equal for two runs if they did the same. It takes words
// of eight bytes, for it sees every message of a run.
type trace struct{ a, b uint64 }

func newTrace() trace { return trace{0x243f6a8885a308d3, 0x13198a2e03707344} }

func (t *trace) word(w uint64) {
	hi, lo := bits.Mul64(t.a^w, 0x9e3779b97f4a7c15)
	t.a = hi ^ lo ^ t.b
	t.b = bits.RotateLeft64(t.b^w, 23) * 0xd6e8feb86659fd93
}

func (t *trace) bytes(p []byte) {
	t.word(uint64(len(p)))
	for ; len(p) >= 8; p = p[8:] {
		t.word(binary.LittleEndian.Uint64(p))
	}
	var tail uint64
	for i, c := range p {
		tail |= uint64(c) << (8 * i)
	}
	t.word(tail)
}

func (t *trace) text(s string) {
	t.word(uint64(len(s)))
	for len(s) > 0 {
		var w uint64
		n := min(8, len(s))
		for i := range n {
			w |= uint64(s[i]) << (8 * i)
		}
		t.word(w)
		s = s[n:]
	}
}

// String returns the hash in hexadecimal.
func (t *trace) String() string { return fmt.Sprintf("%016x%016x", t.a, t.b) }
