// Package prng is Concord's own randomness: seeded, forkable and integer-only, so
// that one seed gives the same draws on every machine and in every Go release.
//
// The generator is SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom
// Number Generators", OOPSLA 2014). It is not for secrets.
package prng

import (
	"math/bits"
	"time"
)

const golden = 0x9e3779b97f4a7c15

// Rand is a stream of pseudo-random numbers. It is not safe for concurrent use;
// fork a stream for each entity instead of sharing one.
type Rand struct {
	seed  uint64
	state uint64
}

// New returns the stream of the given seed.
func New(seed uint64) *Rand { return &Rand{seed: seed, state: seed} }

// Fork returns the stream that belongs to label below this one's seed. It does not
// depend on how many numbers were drawn before, so that removing one consumer
// leaves every other stream as it was.
func (r *Rand) Fork(label string) *Rand {
	h := uint64(14695981039346656037) // FNV-1a
	for i := 0; i < len(label); i++ {
		h = (h ^ uint64(label[i])) * 1099511628211
	}
	return New(mix(r.seed ^ mix(h+golden)))
}

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Uint64 returns the next 64 bits.
func (r *Rand) Uint64() uint64 {
	r.state += golden
	return mix(r.state)
}

// Uint64N returns a number in [0, n), or 0 when n is 0.
func (r *Rand) Uint64N(n uint64) uint64 {
	hi, _ := bits.Mul64(r.Uint64(), n)
	return hi
}

// IntN returns a number in [0, n), or 0 when n is not positive.
func (r *Rand) IntN(n int) int {
	if n <= 0 {
		return 0
	}
	return int(r.Uint64N(uint64(n)))
}

// Duration returns a duration in [lo, hi), or lo when the range is empty.
func (r *Rand) Duration(lo, hi time.Duration) time.Duration {
	if hi <= lo {
		return lo
	}
	return lo + time.Duration(r.Uint64N(uint64(hi-lo)))
}

// Chance is true in num of den draws.
func (r *Rand) Chance(num, den uint64) bool { return r.Uint64N(den) < num }

// Shuffle permutes n elements with swap (Fisher-Yates).
func (r *Rand) Shuffle(n int, swap func(i, j int)) {
	for i := n - 1; i > 0; i-- {
		swap(i, r.IntN(i+1))
	}
}

// Read fills p with random bytes; it never fails.
func (r *Rand) Read(p []byte) (int, error) {
	for i := 0; i < len(p); i += 8 {
		v := r.Uint64()
		for j := i; j < len(p) && j < i+8; j++ {
			p[j] = byte(v)
			v >>= 8
		}
	}
	return len(p), nil
}
