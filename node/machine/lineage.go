package machine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"concord/catalog"
	"concord/store"
)

// lineage says where in the store the catalog is, and how its indexes count. Only restores change it; the zero value
// is that of a state which none ever replaced (docs/adr/0006).
type lineage struct {
	// upper: the catalog's keys have the top bit of their first byte set. The other half is free for a restore.
	upper bool
	// offset is added to a Raft index to get the catalog's: a restored state may be of greater indexes than this log.
	offset uint64
	// floor is the catalog's index of the last restore, or 0. No answer has a lower one: everything changed then.
	floor uint64
}

// topBit of the first byte tells the halves of the catalog's keys apart.
const topBit = 0x80

// index is the catalog's index of a Raft index.
func (l lineage) index(raftIndex uint64) uint64 { return raftIndex + l.offset }

// bounds are those of all keys in a half.
func bounds(upper bool) (lo, hi []byte) {
	if upper {
		return []byte{catalog.FirstKey | topBit}, []byte{catalog.LastKey | topBit}
	}
	return []byte{catalog.FirstKey}, []byte{catalog.LastKey}
}

// view is the catalog's state in a store.
func (l lineage) view(r store.Reader) catalog.View {
	if l.upper {
		return upperView{r}
	}
	return r
}

// txn is the catalog's state in a batch.
func (l lineage) txn(b store.Batch) catalog.Txn {
	if l.upper {
		return upperTxn{upperView{b}, b}
	}
	return b
}

// inHalf is a key of the catalog's as it is in a half, a copy.
func inHalf(key []byte, upper bool) []byte {
	key = bytes.Clone(key)
	if upper && len(key) > 0 {
		key[0] |= topBit
	}
	return key
}

// outOfHalf is inHalf undone in place.
func outOfHalf(key []byte) []byte {
	if len(key) > 0 {
		key[0] &^= topBit
	}
	return key
}

// upperView is the upper half of a store as the catalog sees it.
type upperView struct{ r store.Reader }

func (v upperView) Get(key []byte) ([]byte, bool, error) { return v.r.Get(inHalf(key, true)) }

func (v upperView) Scan(lo, hi []byte, fn func(key, value []byte) bool) error {
	var seen []byte
	return v.r.Scan(inHalf(lo, true), inHalf(hi, true), func(k, value []byte) bool {
		seen = append(seen[:0], k...) // the store's own must not be changed
		return fn(outOfHalf(seen), value)
	})
}

func (v upperView) Last(lo, hi []byte) (key, value []byte, ok bool, err error) {
	key, value, ok, err = v.r.Last(inHalf(lo, true), inHalf(hi, true))
	return outOfHalf(key), value, ok, err
}

// upperTxn is the upper half of a batch.
type upperTxn struct {
	upperView
	b store.Batch
}

func (t upperTxn) Set(key, value []byte) error { return t.b.Set(inHalf(key, true), value) }
func (t upperTxn) Delete(key []byte) error     { return t.b.Delete(inHalf(key, true)) }
func (t upperTxn) DeleteRange(lo, hi []byte) error {
	return t.b.DeleteRange(inHalf(lo, true), inHalf(hi, true))
}

// The record of what is applied has the index, the term and, once there was a restore, the lineage.
const (
	appliedSize = 16
	lineageSize = 17
)

func encodeApplied(a Applied, l lineage) []byte {
	p := binary.BigEndian.AppendUint64(make([]byte, 0, appliedSize+lineageSize), a.Index)
	p = binary.BigEndian.AppendUint64(p, a.Term)
	if l == (lineage{}) {
		return p
	}
	half := byte(0)
	if l.upper {
		half = 1
	}
	p = binary.BigEndian.AppendUint64(append(p, half), l.offset)
	return binary.BigEndian.AppendUint64(p, l.floor)
}

// readIndex reads what is applied, but for the configuration.
func readIndex(r store.Reader) (a Applied, l lineage, err error) {
	p, ok, err := r.Get(keyApplied)
	if err != nil || !ok {
		return a, l, err
	}
	if len(p) != appliedSize && len(p) != appliedSize+lineageSize {
		return a, l, fmt.Errorf("state: the applied index is %d bytes long: the state store is corrupt, or of a newer version", len(p))
	}
	a.Index, a.Term = binary.BigEndian.Uint64(p), binary.BigEndian.Uint64(p[8:])
	if p = p[appliedSize:]; len(p) == 0 {
		return a, l, nil
	}
	if p[0] > 1 {
		return a, l, errors.New("state: the applied index is unreadable: the state store is corrupt, or of a newer version")
	}
	l.upper, l.offset, l.floor = p[0] == 1, binary.BigEndian.Uint64(p[1:]), binary.BigEndian.Uint64(p[9:])
	return a, l, nil
}
