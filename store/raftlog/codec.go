package raftlog

import (
	"encoding/binary"
	"hash/crc32"

	"concord/raft"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func entryKey(index uint64) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, 9), kindEntry), index)
}

// seal puts a checksum before a value.
func seal(p []byte) []byte {
	return append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(p)), crc32.Checksum(p, castagnoli)), p...)
}

func unseal(v []byte) ([]byte, bool) {
	if len(v) < 4 || binary.BigEndian.Uint32(v) != crc32.Checksum(v[4:], castagnoli) {
		return nil, false
	}
	return v[4:], true
}

// encodeEntry writes checksum, index, term, type, and data or configuration. The index is part of it so that an
// entry that got to the wrong place is noticed.
func encodeEntry(e *raft.Entry) []byte {
	p := make([]byte, 4, 4+17+len(e.Data))
	p = binary.BigEndian.AppendUint64(p, e.Index)
	p = binary.BigEndian.AppendUint64(p, e.Term)
	p = append(p, byte(e.Type))
	if e.Type == raft.EntryConfig {
		p = encodeConfig(p, e.Config)
	} else {
		p = append(p, e.Data...)
	}
	binary.BigEndian.PutUint32(p, crc32.Checksum(p[4:], castagnoli))
	return p
}

func decodeEntry(index uint64, v []byte) (raft.Entry, error) {
	p, ok := unseal(v)
	if !ok || len(p) < 17 || binary.BigEndian.Uint64(p) != index {
		return raft.Entry{}, &CorruptError{Index: index, What: "checksum"}
	}
	e := raft.Entry{Index: index, Term: binary.BigEndian.Uint64(p[8:]), Type: raft.EntryType(p[16])}
	body := p[17:]
	switch e.Type {
	case raft.EntryNoop:
	case raft.EntryCommand:
		e.Data = append([]byte{}, body...)
	case raft.EntryConfig:
		var c raft.Configuration
		if _, ok := decodeConfig(body, &c); !ok {
			return raft.Entry{}, &CorruptError{Index: index, What: "configuration"}
		}
		e.Config = &c
	default:
		return raft.Entry{}, &CorruptError{Index: index, What: "type"}
	}
	return e, nil
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
	n, size := binary.Uvarint(p)
	if size <= 0 || n > uint64(len(p)) {
		return nil, false
	}
	p = p[size:]
	for range n {
		var id, addr string
		if id, p, ok = cutString(p); !ok {
			return nil, false
		}
		if addr, p, ok = cutString(p); !ok || len(p) == 0 {
			return nil, false
		}
		c.Servers = append(c.Servers, raft.Server{ID: raft.ID(id), Address: addr, Suffrage: raft.Suffrage(p[0])})
		p = p[1:]
	}
	return p, true
}

func appendString(p []byte, s string) []byte {
	return append(binary.AppendUvarint(p, uint64(len(s))), s...)
}

func cutString(p []byte) (s string, rest []byte, ok bool) {
	n, size := binary.Uvarint(p)
	if size <= 0 || n > uint64(len(p)-size) {
		return "", nil, false
	}
	return string(p[size : size+int(n)]), p[size+int(n):], true
}
