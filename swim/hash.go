package swim

import "encoding/binary"

// Hashes of what members are called and of what is known of them. They need be fast and well spread, not secret: who
// can make claims in a pool can do worse than to collide.

// hashString mixes a string into hash h, eight bytes at a time.
func hashString(h uint64, s string) uint64 {
	for ; len(s) >= 8; s = s[8:] {
		h = hashUint(h, binary.LittleEndian.Uint64([]byte(s[:8])))
	}
	rest := uint64(len(s)) << 56 // so that fields that follow one another are not taken for others
	for i := range len(s) {
		rest |= uint64(s[i]) << (8 * i)
	}
	return hashUint(h, rest)
}

// hashUint mixes a number into hash h, as splitmix64 does.
func hashUint(h, v uint64) uint64 {
	h = (h ^ v) + 0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
