package catalog

import (
	"bytes"
	"fmt"
)

// entry returns the entry of a key of the KV store.
func (r *reader) entry(name string) (e DirEntry, ok bool) {
	record, ok := r.get(key(tableKV, name))
	if !ok {
		return e, false
	}
	e, err := decodeEntry(name, record)
	if err != nil {
		r.fail(fmt.Errorf("%w: KV entry %q", err, name))
		return DirEntry{}, false
	}
	return e, true
}

// kvWrite returns whether the command's condition held, and why it was refused.
func (a *applier) kvWrite(c *KVWrite) (ok bool, refusal string) {
	if c.Op == KVDeleteTree {
		a.kvDeleteTree(c.Key)
		return true, ""
	}
	old, exists := a.entry(c.Key)
	switch c.Op {
	case KVCAS:
		if exists != (c.Index != 0) || old.ModifyIndex != c.Index {
			return false, ""
		}
		a.kvSet(c, &old, exists)
	case KVSet:
		a.kvSet(c, &old, exists)
	case KVDeleteCAS:
		// That a key which is not there was deleted is so, whatever index was expected.
		if exists && old.ModifyIndex != c.Index {
			return false, ""
		}
		a.kvDelete(c.Key, exists)
	case KVDelete:
		a.kvDelete(c.Key, exists)
	case KVLock:
		// No session exists yet that could hold a lock.
		return false, fmt.Sprintf("invalid session %q", c.Session)
	case KVUnlock:
		return false, "" // nor one that holds it
	}
	return true, ""
}

// kvSet sets an entry. The lock that is held on it stays.
func (a *applier) kvSet(c *KVWrite, old *DirEntry, exists bool) {
	if exists && old.Flags == c.Flags && bytes.Equal(old.Value, c.Value) {
		return
	}
	e := DirEntry{
		Flags:     c.Flags,
		Value:     c.Value,
		LockIndex: old.LockIndex,
		Session:   old.Session,
		RaftIndex: RaftIndex{CreateIndex: a.index, ModifyIndex: a.index},
	}
	if exists {
		e.CreateIndex = old.CreateIndex
	}
	record := make([]byte, 0, kvHeadSize+len(e.Session)+len(e.Value))
	a.set(key(tableKV, c.Key), appendEntry(record, &e))
	a.topics = append(a.topics, Topic{Kind: TopicKV, Name: c.Key})
}

func (a *applier) kvDelete(name string, exists bool) {
	if !exists {
		return
	}
	a.delete(key(tableKV, name))
	t := Topic{Kind: TopicKV, Name: name}
	a.bury(t, a.index)
	a.topics = append(a.topics, t)
}

// kvDeleteTree deletes all keys with a prefix. However many there are, it leaves one grave.
func (a *applier) kvDeleteTree(prefix string) {
	lo := key(tableKV, prefix)
	if !a.exists(lo) {
		return
	}
	a.deleteRange(lo, prefixEnd(lo))
	t := Topic{Kind: TopicKVTree, Name: prefix}
	a.bury(t, a.index)
	a.topics = append(a.topics, t)
}

func (r *reader) kvGet(q *KVGetQuery) Answer {
	e, ok := r.entry(q.Key)
	if !ok {
		return Answer{Value: (*DirEntry)(nil), Index: r.deletedIndex(q.Key, false)}
	}
	return Answer{Value: &e, Index: e.ModifyIndex}
}

func (r *reader) kvList(q *KVListQuery) Answer {
	list := []*DirEntry{}
	index := r.deletedIndex(q.Prefix, true)
	r.scan(key(tableKV, q.Prefix), func(k, record []byte) bool {
		e, err := decodeEntry(string(k[1:]), bytes.Clone(record))
		if err != nil {
			r.fail(fmt.Errorf("%w: KV entry %q", err, k[1:]))
			return false
		}
		index = max(index, e.ModifyIndex)
		list = append(list, &e)
		return true
	})
	return Answer{Value: list, Index: index}
}

func (r *reader) kvKeys(q *KVKeysQuery) Answer {
	list := []string{}
	index := r.deletedIndex(q.Prefix, true)
	separator := []byte(q.Separator)
	var last string // the last name cut at a separator
	r.scan(key(tableKV, q.Prefix), func(k, record []byte) bool {
		modified, err := entryModifyIndex(record)
		if err != nil {
			r.fail(fmt.Errorf("%w: KV entry %q", err, k[1:]))
			return false
		}
		index = max(index, modified)
		name := k[1:]
		if last != "" && bytes.HasPrefix(name, []byte(last)) {
			return true
		}
		if len(separator) > 0 {
			if i := bytes.Index(name[len(q.Prefix):], separator); i >= 0 {
				last = string(name[:len(q.Prefix)+i+len(separator)])
				list = append(list, last)
				return true
			}
		}
		list = append(list, string(name))
		return true
	})
	return Answer{Value: list, Index: index}
}
