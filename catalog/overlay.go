package catalog

import (
	"bytes"
	"slices"
)

// overlay is a Txn over another one, which it leaves as it is until commit. It makes a transaction atomic: of one that
// fails nothing is committed. However large a range it deletes, it remembers only its bounds.
type overlay struct {
	base    Txn
	deleted []keyRange // all that the base has in them is gone
	writes  []*write   // by key; they count over what is deleted and over the base
}

type keyRange struct{ lo, hi []byte }

func (r keyRange) has(key []byte) bool {
	return bytes.Compare(r.lo, key) <= 0 && bytes.Compare(key, r.hi) < 0
}

// write is the last write of a key: a value, or that it is gone.
type write struct {
	key, value []byte
	gone       bool
}

// find returns where the first write at or above key is, and whether it is of that key.
func (o *overlay) find(key []byte) (int, bool) {
	return slices.BinarySearchFunc(o.writes, key, func(w *write, key []byte) int { return bytes.Compare(w.key, key) })
}

func (o *overlay) put(w *write) error {
	at, found := o.find(w.key)
	if found {
		o.writes[at] = w
	} else {
		o.writes = slices.Insert(o.writes, at, w)
	}
	return nil
}

func (o *overlay) Set(key, value []byte) error {
	return o.put(&write{key: bytes.Clone(key), value: bytes.Clone(value)})
}

func (o *overlay) Delete(key []byte) error { return o.put(&write{key: bytes.Clone(key), gone: true}) }

func (o *overlay) DeleteRange(lo, hi []byte) error {
	if bytes.Compare(lo, hi) >= 0 {
		return nil
	}
	o.deleted = append(o.deleted, keyRange{bytes.Clone(lo), bytes.Clone(hi)})
	from, _ := o.find(lo)
	to, _ := o.find(hi)
	o.writes = slices.Delete(o.writes, from, to)
	return nil
}

// covered tells whether a key of the base is no more, a write of that key apart.
func (o *overlay) covered(key []byte) bool {
	return slices.ContainsFunc(o.deleted, func(r keyRange) bool { return r.has(key) })
}

func (o *overlay) Get(key []byte) ([]byte, bool, error) {
	if at, found := o.find(key); found {
		w := o.writes[at]
		return bytes.Clone(w.value), !w.gone, nil
	}
	if o.covered(key) {
		return nil, false, nil
	}
	return o.base.Get(key)
}

// Scan merges what is left of the base with the writes. A nil hi means: to the end.
func (o *overlay) Scan(lo, hi []byte, fn func(key, value []byte) bool) error {
	at, _ := o.find(lo)
	end := len(o.writes)
	if hi != nil {
		end, _ = o.find(hi)
	}
	var writes []*write
	if at < end {
		writes = o.writes[at:end]
	}
	stopped := false
	// before passes the writes on that come before a key, or all if there is no such key.
	before := func(key []byte) bool {
		for len(writes) > 0 && (key == nil || bytes.Compare(writes[0].key, key) < 0) {
			w := writes[0]
			writes = writes[1:]
			if !w.gone && !fn(w.key, w.value) {
				stopped = true
				return false
			}
		}
		return true
	}
	err := o.base.Scan(lo, hi, func(key, value []byte) bool {
		if !before(key) {
			return false
		}
		if len(writes) > 0 && bytes.Equal(writes[0].key, key) || o.covered(key) {
			return true
		}
		stopped = !fn(key, value)
		return !stopped
	})
	if err != nil || stopped {
		return err
	}
	before(nil)
	return nil
}

func (o *overlay) Last(lo, hi []byte) (key, value []byte, ok bool, err error) {
	from, _ := o.find(lo)
	at, _ := o.find(hi)
	for at--; at >= from && o.writes[at].gone; at-- {
	}
	if at >= from {
		lo = o.writes[at].key
	}
	if key, value, ok, err = o.lastOfBase(lo, hi); ok || err != nil {
		return key, value, ok, err
	}
	if at < from {
		return nil, nil, false, nil
	}
	w := o.writes[at]
	return bytes.Clone(w.key), bytes.Clone(w.value), true, nil
}

// lastOfBase returns the greatest key of the base in [lo, hi) that is still there and not written since.
func (o *overlay) lastOfBase(lo, hi []byte) (key, value []byte, ok bool, err error) {
	for {
		key, value, ok, err = o.base.Last(lo, hi)
		if !ok || err != nil {
			return nil, nil, false, err
		}
		_, written := o.find(key)
		if !written && !o.covered(key) {
			return key, value, true, nil
		}
		hi = key
		for _, r := range o.deleted {
			if r.has(key) && bytes.Compare(r.lo, hi) < 0 {
				hi = r.lo
			}
		}
	}
}

// commit makes in the base what was made here. The overlay must not be used after.
func (o *overlay) commit() error {
	for _, r := range o.deleted {
		if err := o.base.DeleteRange(r.lo, r.hi); err != nil {
			return err
		}
	}
	for _, w := range o.writes {
		if w.gone {
			if err := o.base.Delete(w.key); err != nil {
				return err
			}
			continue
		}
		if err := o.base.Set(w.key, w.value); err != nil {
			return err
		}
	}
	return nil
}
