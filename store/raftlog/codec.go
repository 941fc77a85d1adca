package raftlog

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"concord/raft"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func entryKey(index uint64) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, 9), kindEntry), index)
}

// recordVersion is the format of a record. A reader refuses what it does not know.
const recordVersion = 1

const sealBytes = 5

// seal puts a checksum and the format's version before a payload. The checksum covers the key, too, so that a record
// that got to the wrong place is noticed.
func seal(key, payload []byte) []byte {
	v := append(append(make([]byte, 4, sealBytes+len(payload)), recordVersion), payload...)
	binary.BigEndian.PutUint32(v, checksum(key, v[4:]))
	return v
}

func checksum(key, p []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, p)
}

// unseal returns the payload, which shares memory with v, or what is wrong with it.
func unseal(key, v []byte) (payload []byte, reason string) {
	switch {
	case len(v) < sealBytes:
		return nil, "cut off"
	case binary.BigEndian.Uint32(v) != checksum(key, v[4:]):
		return nil, "damaged (wrong checksum)"
	case v[4] != recordVersion:
		return nil, fmt.Sprintf("in format %d, which this release does not know", v[4])
	}
	return v[sealBytes:], ""
}

// encodeEntry writes term, type, and data or configuration; the index is in the key.
func encodeEntry(e *raft.Entry) []byte {
	p := binary.BigEndian.AppendUint64(make([]byte, 0, 9+len(e.Data)), e.Term)
	p = append(p, byte(e.Type))
	if e.Type == raft.EntryConfig {
		return encodeConfig(p, e.Config)
	}
	return append(p, e.Data...)
}

// openEntry reads what is stored at key, an entry's. Data shares memory with v.
func openEntry(key, v []byte) (raft.Entry, error) {
	index := binary.BigEndian.Uint64(key[1:])
	p, reason := unseal(key, v)
	if reason != "" {
		return raft.Entry{}, &CorruptError{Index: index, Reason: reason}
	}
	e := raft.Entry{Index: index}
	if reason = decodeEntry(p, &e); reason != "" {
		return raft.Entry{}, &CorruptError{Index: index, Reason: reason}
	}
	return e, nil
}

// decodeEntry returns what is wrong with p.
func decodeEntry(p []byte, e *raft.Entry) (reason string) {
	if len(p) < 9 {
		return "cut off"
	}
	body := p[9:]
	e.Term, e.Type = binary.BigEndian.Uint64(p), raft.EntryType(p[8])
	switch e.Type {
	case raft.EntryNoop:
		if len(body) > 0 {
			return "a noop with a body"
		}
	case raft.EntryCommand:
		e.Data = body
	case raft.EntryConfig:
		var c raft.Configuration
		if rest, ok := decodeConfig(body, &c); !ok || len(rest) > 0 {
			return "not a configuration"
		}
		e.Config = &c
	default:
		return fmt.Sprintf("of type %d, which this release does not know", e.Type)
	}
	return ""
}

func encodeHard(p []byte, h *raft.HardState) []byte {
	return appendString(binary.BigEndian.AppendUint64(p, h.Term), string(h.VotedFor))
}

func decodeHard(p []byte, h *raft.HardState) bool {
	if len(p) < 8 {
		return false
	}
	vote, rest, ok := cutString(p[8:])
	h.Term, h.VotedFor = binary.BigEndian.Uint64(p), raft.ID(vote)
	return ok && len(rest) == 0
}

func encodeMeta(p []byte, m *raft.SnapshotMeta) []byte {
	p = binary.BigEndian.AppendUint64(p, m.Index)
	p = binary.BigEndian.AppendUint64(p, m.Term)
	p = binary.BigEndian.AppendUint64(p, m.ConfigIndex)
	return encodeConfig(p, &m.Config)
}

func decodeMeta(p []byte, m *raft.SnapshotMeta) bool {
	if len(p) < 24 {
		return false
	}
	m.Index, m.Term, m.ConfigIndex = binary.BigEndian.Uint64(p), binary.BigEndian.Uint64(p[8:]), binary.BigEndian.Uint64(p[16:])
	rest, ok := decodeConfig(p[24:], &m.Config)
	return ok && len(rest) == 0
}

func encodeConfig(p []byte, c *raft.Configuration) []byte {
	p = binary.AppendUvarint(p, uint64(len(c.Servers)))
	for _, s := range c.Servers {
		p = append(appendString(appendString(p, string(s.ID)), s.Address), byte(s.Suffrage))
	}
	return p
}

func decodeConfig(p []byte, c *raft.Configuration) (rest []byte, ok bool) {
	n, p, ok := cutUvarint(p)
	if !ok || n > uint64(len(p)) {
		return nil, false
	}
	for range n {
		var s raft.Server
		var id string
		if id, p, ok = cutString(p); !ok {
			return nil, false
		}
		if s.Address, p, ok = cutString(p); !ok || len(p) == 0 {
			return nil, false
		}
		s.ID, s.Suffrage = raft.ID(id), raft.Suffrage(p[0])
		if s.Suffrage != raft.Voter && s.Suffrage != raft.Nonvoter {
			return nil, false
		}
		c.Servers = append(c.Servers, s)
		p = p[1:]
	}
	return p, true
}

func appendString(p []byte, s string) []byte {
	return append(binary.AppendUvarint(p, uint64(len(s))), s...)
}

func cutString(p []byte) (s string, rest []byte, ok bool) {
	n, p, ok := cutUvarint(p)
	if !ok || n > uint64(len(p)) {
		return "", nil, false
	}
	return string(p[:n]), p[n:], true
}

// cutUvarint takes numbers in their only form: what is read is written again as it was.
func cutUvarint(p []byte) (n uint64, rest []byte, ok bool) {
	n, size := binary.Uvarint(p)
	if size <= 0 || size > 1 && p[size-1] == 0 {
		return 0, nil, false
	}
	return n, p[size:], true
}
