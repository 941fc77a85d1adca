package memstore

import (
	"bytes"

	"github.com/tidwall/btree"
)

// image is what a store contains at one moment. A copy costs the same whatever it contains: the tree is copied on
// write.
type image struct {
	keys  *btree.Map[string, []byte]
	bytes int
}

func newImage() image { return image{keys: new(btree.Map[string, []byte])} }

func (m image) copy() image { return image{keys: m.keys.Copy(), bytes: m.bytes} }

func (m image) get(key []byte) ([]byte, bool) {
	v, ok := m.keys.Get(string(key))
	if !ok {
		return nil, false
	}
	return append(make([]byte, 0, len(v)), v...), true
}

func (m image) scan(lo, hi []byte, fn func(key, value []byte) bool) {
	var key []byte // one buffer for all of them
	m.keys.Ascend(string(lo), func(k string, v []byte) bool {
		if hi != nil && k >= string(hi) {
			return false
		}
		key = append(key[:0], k...)
		return fn(key, v)
	})
}

func (m image) last(lo, hi []byte) (key, value []byte, ok bool) {
	found := func(k string, v []byte) bool {
		if hi != nil && k >= string(hi) {
			return true
		}
		if k >= string(lo) {
			key, value, ok = []byte(k), bytes.Clone(v), true
		}
		return false
	}
	if hi == nil {
		m.keys.Reverse(found)
	} else {
		m.keys.Descend(string(hi), found)
	}
	return key, value, ok
}

// write is one write of a batch.
type write struct {
	kind  kind
	key   string
	value []byte // of a set
	hi    string // of a range
}

type kind uint8

const (
	set kind = iota
	remove
	removeRange
)

// apply writes. The image keeps the value, which must not change any more.
func (m *image) apply(w write) {
	switch w.kind {
	case set:
		old, replaced := m.keys.Set(w.key, w.value)
		m.bytes += len(w.value)
		if replaced {
			m.bytes -= len(old)
		} else {
			m.bytes += len(w.key)
		}
	case remove:
		m.remove(w.key)
	case removeRange:
		var keys []string
		m.keys.Ascend(w.key, func(k string, _ []byte) bool {
			if k >= w.hi {
				return false
			}
			keys = append(keys, k)
			return true
		})
		for _, k := range keys {
			m.remove(k)
		}
	}
}

func (m *image) remove(key string) {
	if old, ok := m.keys.Delete(key); ok {
		m.bytes -= len(key) + len(old)
	}
}
