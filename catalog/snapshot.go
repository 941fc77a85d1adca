package catalog

import (
	"encoding/binary"
	"fmt"
)

// SnapshotQuery reads the whole state, as it was at one moment, page by page (GET /v1/snapshot). It is answered with
// a *SnapshotPage by whoever keeps the state; Run does not know it.
type SnapshotQuery struct {
	// ID names the snapshot among those being read. Whoever reads chooses one that nobody else has.
	ID string
	// Cursor is Next of the page before; empty: a snapshot is taken now, and its first page returned.
	Cursor []byte
}

func (*SnapshotQuery) query() {}

// SnapshotPage is a part of a snapshot.
type SnapshotPage struct {
	// Index is that of the last command in the snapshot, at least that of every record. Term is the Raft term of it.
	Index, Term uint64
	// Records are encoded with AppendRecord, in order of their keys.
	Records []byte
	// Next is where the next page begins; empty: this is the last one.
	Next []byte
}

// The keys of all tables are in [FirstKey, LastKey).
const (
	FirstKey byte = 0x10
	LastKey  byte = 0x7f
)

// AppendRecord appends a key with its value to dst.
func AppendRecord(dst, key, value []byte) []byte {
	dst = append(binary.AppendUvarint(dst, uint64(len(key))), key...)
	return append(binary.AppendUvarint(dst, uint64(len(value))), value...)
}

// CutRecord splits off what AppendRecord wrote. The results alias p.
func CutRecord(p []byte) (key, value, rest []byte, ok bool) {
	if key, rest, ok = cutBytes(p); ok {
		value, rest, ok = cutBytes(rest)
	}
	return key, value, rest, ok
}

func cutBytes(p []byte) (field, rest []byte, ok bool) {
	n, size := binary.Uvarint(p)
	if size <= 0 || n > uint64(len(p)-size) {
		return nil, nil, false
	}
	return p[size : size+int(n)], p[size+int(n):], true
}

// CheckRecord tells why a record of a foreign state, none of whose indexes may be above maxIndex, cannot be taken over.
func CheckRecord(k, value []byte, maxIndex uint64) error {
	if len(k) == 0 || k[0] < FirstKey || k[0] >= LastKey {
		return fmt.Errorf("%w: key %q is in no table", ErrCorrupt, k)
	}
	index, err := recordIndex(k, value)
	if err != nil {
		return fmt.Errorf("%w: key %q", err, k)
	}
	if index > maxIndex {
		return fmt.Errorf("%w: key %q has index %d, which is above that of the whole, %d", ErrCorrupt, k, index, maxIndex)
	}
	return nil
}

// recordIndex decodes a record and returns the greatest index in it.
func recordIndex(k, value []byte) (uint64, error) {
	switch k[0] {
	case tableNodes:
		return indexOf(value, decodeNode, func(n *Node) RaftIndex { return n.RaftIndex })
	case tableServices:
		return indexOf(value, decodeService, func(s *NodeService) RaftIndex { return s.RaftIndex })
	case tableChecks:
		return indexOf(value, decodeCheck, func(c *HealthCheck) RaftIndex { return c.RaftIndex })
	case tableCoordinates:
		return indexOf(value, decodeCoordinate, func(c *Coordinate) RaftIndex { return c.RaftIndex })
	case tableConfig:
		return indexOf(value, decodeAutopilot, func(c *AutopilotConfig) RaftIndex { return c.RaftIndex })
	case tableKV:
		e, err := decodeEntry(string(k[1:]), value)
		return max(e.CreateIndex, e.ModifyIndex, e.LockIndex), err
	case tableIndexes:
		v, err := decodeIndex(value)
		return v.index, err
	case tableGraveStats:
		v, err := decodeGraveStats(value)
		return v.floor, err
	case tableGraves:
		if len(k) < len(graveIndexKey(0, 0))+1 {
			return 0, ErrCorrupt
		}
		return binary.BigEndian.Uint64(k[2:]), nil
	case tableTags:
		_, err := decodeCount(value)
		return 0, err
	case tableNodeIDs:
		if _, rest, ok := cut(string(value)); !ok || rest != "" {
			return 0, ErrCorrupt
		}
		return 0, nil
	case tableNodeServices:
		return 0, pointsTo(tableServices, value)
	case tableNodeChecks, tableStateChecks:
		return 0, pointsTo(tableChecks, value)
	}
	return 0, ErrVersion
}

func indexOf[T any](record []byte, decode func([]byte) (*T, error), of func(*T) RaftIndex) (uint64, error) {
	v, err := decode(record)
	if err != nil {
		return 0, err
	}
	i := of(v)
	return max(i.CreateIndex, i.ModifyIndex), nil
}

// pointsTo checks an entry of an index, whose value is a key of a table.
func pointsTo(table byte, value []byte) error {
	if len(value) < 2 || value[0] != table {
		return ErrCorrupt
	}
	return nil
}
