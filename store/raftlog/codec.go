package raftlog

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"concord/raft"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A group of the log is the version of its format, and items: what kind, how long, and what.
const version = 1

// Kinds of items.
const (
	kindHard     = 'h'
	kindBegin    = 's' // where the log begins and ends
	kindPromise  = 'p'
	kindIdentity = 'i'
	kindEntry    = 'e' // drops what was at its index and behind it
)

const itemHeader = 5

// appendItem appends an item, of which what is appended by write.
func appendItem(p []byte, kind byte, write func([]byte) []byte) []byte {
	at := len(p)
	p = write(append(p, kind, 0, 0, 0, 0))
	binary.BigEndian.PutUint32(p[at+1:], uint32(len(p)-at-itemHeader))
	return p
}

// items calls each with the items of a group and their offsets in it, until one returns an error.
func items(group []byte, each func(kind byte, at int, p []byte) error) error {
	if len(group) == 0 || group[0] != version {
		return &CorruptError{Reason: fmt.Sprintf("a part is in format %x, which this release does not know", group[:min(1, len(group))])}
	}
	for at := 1; at < len(group); {
		p := group[at:]
		if len(p) < itemHeader || uint64(binary.BigEndian.Uint32(p[1:])) > uint64(len(p)-itemHeader) {
			return &CorruptError{Reason: "a part is cut off"}
		}
		kind, n := p[0], int(binary.BigEndian.Uint32(p[1:]))
		at += itemHeader
		if err := each(kind, at, group[at:at+n:at+n]); err != nil {
			return err
		}
		at += n
	}
	return nil
}

// entryHeader is the checksum of what follows, index, term and type. Data or configuration is behind it. An entry is read on its
// own, so it has a checksum besides its group's.
const entryHeader = 4 + 8 + 8 + 1

func encodeEntry(p []byte, e *raft.Entry) []byte {
	at := len(p)
	p = binary.BigEndian.AppendUint64(append(p, 0, 0, 0, 0), e.Index)
	p = append(binary.BigEndian.AppendUint64(p, e.Term), byte(e.Type))
	if e.Type == raft.EntryConfig {
		p = encodeConfig(p, e.Config)
	} else {
		p = append(p, e.Data...)
	}
	binary.BigEndian.PutUint32(p[at:], crc32.Checksum(p[at+4:], castagnoli))
	return p
}

// decodeEntry returns what is wrong with p. Data shares memory with it.
func decodeEntry(p []byte, e *raft.Entry) (reason string) {
	if len(p) < entryHeader {
		return "cut off"
	}
	if binary.BigEndian.Uint32(p) != crc32.Checksum(p[4:], castagnoli) {
		return "damaged (wrong checksum)"
	}
	body := p[entryHeader:]
	e.Index, e.Term, e.Type = binary.BigEndian.Uint64(p[4:]), binary.BigEndian.Uint64(p[12:]), raft.EntryType(p[20])
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

// encodeBegin writes where the log begins, behind a snapshot, and the index of its last entry.
func encodeBegin(p []byte, m *raft.SnapshotMeta, last uint64) []byte {
	return encodeMeta(binary.BigEndian.AppendUint64(p, last), m)
}

func decodeBegin(p []byte, m *raft.SnapshotMeta) (last uint64, ok bool) {
	if len(p) < 8 {
		return 0, false
	}
	return binary.BigEndian.Uint64(p), decodeMeta(p[8:], m)
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
