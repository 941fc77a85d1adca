// Package trace tells whether two runs of a simulator did the same.
package trace

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// Hash is a 128-bit hash of everything that happens: equal for two runs if they did the same. It takes words
// of eight bytes, for it sees every message of a run.
type Hash struct{ a, b uint64 }

// New returns the hash of nothing.
func New() Hash { return Hash{0x243f6a8885a308d3, 0x13198a2e03707344} }

// Word adds eight bytes.
func (t *Hash) Word(w uint64) {
	hi, lo := bits.Mul64(t.a^w, 0x9e3779b97f4a7c15)
	t.a = hi ^ lo ^ t.b
	t.b = bits.RotateLeft64(t.b^w, 23) * 0xd6e8feb86659fd93
}

// Bytes adds bytes and how many they are.
func (t *Hash) Bytes(p []byte) {
	t.Word(uint64(len(p)))
	for ; len(p) >= 8; p = p[8:] {
		t.Word(binary.LittleEndian.Uint64(p))
	}
	var tail uint64
	for i, c := range p {
		tail |= uint64(c) << (8 * i)
	}
	t.Word(tail)
}

// Text adds a string and its length.
func (t *Hash) Text(s string) {
	t.Word(uint64(len(s)))
	for len(s) > 0 {
		var w uint64
		n := min(8, len(s))
		for i := range n {
			w |= uint64(s[i]) << (8 * i)
		}
		t.Word(w)
		s = s[n:]
	}
}

// String returns the hash in hexadecimal.
func (t *Hash) String() string { return fmt.Sprintf("%016x%016x", t.a, t.b) }
