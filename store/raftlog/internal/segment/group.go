// Package segment keeps groups of bytes, each durable as a whole, in numbered files that are written from beginning to
// end by one goroutine and synced by it. What the groups mean is for package raftlog to know.
//
// A group is its length, the checksum of its bytes, the checksum of these two and of where the group is, and its bytes.
// As the place is part of it, nothing that an earlier life of a file left behind, and nothing that got to the wrong
// place, is ever taken for a group.
package segment

import (
	"encoding/binary"
	"hash/crc32"
)

// HeaderBytes is how much room a group needs before its bytes.
const HeaderBytes = 12

// maxGroup is how many bytes a group may have.
const maxGroup = 1 << 30

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal fills in the header of the group p, which is to be written at offset at of a segment.
func seal(p []byte, segment uint64, at int64) {
	body := p[HeaderBytes:]
	binary.BigEndian.PutUint32(p, uint32(len(body)))
	binary.BigEndian.PutUint32(p[4:], crc32.Checksum(body, castagnoli))
	binary.BigEndian.PutUint32(p[8:], placed(p[:8], segment, at))
}

// placed is the checksum of the first part of a header and of where it is.
func placed(header []byte, segment uint64, at int64) uint32 {
	var place [16]byte
	binary.BigEndian.PutUint64(place[:], segment)
	binary.BigEndian.PutUint64(place[8:], uint64(at))
	return crc32.Update(crc32.Checksum(place[:], castagnoli), castagnoli, header)
}

// headed tells whether a group for which there is room begins at offset at of a segment's bytes, whole or not.
func headed(data []byte, segment uint64, at int64) bool {
	p := data[at:]
	if len(p) < HeaderBytes {
		return false
	}
	if n := binary.BigEndian.Uint32(p); n == 0 || uint64(n) > uint64(len(p)-HeaderBytes) {
		return false // without the work of a checksum
	}
	return binary.BigEndian.Uint32(p[8:]) == placed(p[:8], segment, at)
}

// unseal returns the bytes of the group at an offset, which share memory with data, nil if there is none that is whole.
func unseal(data []byte, segment uint64, at int64) []byte {
	if !headed(data, segment, at) {
		return nil
	}
	p := data[at:]
	n, body := binary.BigEndian.Uint32(p), p[HeaderBytes:]
	if crc32.Checksum(body[:n], castagnoli) != binary.BigEndian.Uint32(p[4:]) {
		return nil
	}
	return body[:n:n]
}

// scan calls each with the groups of a segment and the offsets of their bytes, and returns where the last of them begins
// and ends. The segment is damaged, instead of ending there, if a group begins further on: it was written when all before
// it was durable.
func scan(data []byte, segment uint64, each func(at int64, body []byte) error) (last, end int64, damaged bool, err error) {
	for {
		body := unseal(data, segment, end)
		if body == nil {
			return last, end, headedAfter(data, segment, end), nil
		}
		if err := each(end+HeaderBytes, body); err != nil {
			return last, end, false, err
		}
		last, end = end, end+HeaderBytes+int64(len(body))
	}
}

func headedAfter(data []byte, segment uint64, at int64) bool {
	for at++; at+HeaderBytes <= int64(len(data)); at++ {
		if headed(data, segment, at) {
			return true
		}
	}
	return false
}
