package catalog

import (
	"slices"
	"strings"
)

// Watches is the index from topics to those that watch them. Its zero value is empty and ready for use.
type Watches struct {
	byTopic map[Topic]map[uint64]struct{}
	byID    map[uint64][]Topic
	// prefixes counts the watched topics that are prefixes by their length: a key is looked up
	// once per length, however many prefixes are watched.
	prefixes map[int]int
}

// Add makes id a watcher of topics, beside those that it watches.
func (w *Watches) Add(id uint64, topics []Topic) {
	if w.byTopic == nil {
		w.byTopic = make(map[Topic]map[uint64]struct{})
		w.byID = make(map[uint64][]Topic)
		w.prefixes = make(map[int]int)
	}
	for _, t := range topics {
		ids := w.byTopic[t]
		if ids == nil {
			ids = make(map[uint64]struct{}, 1)
			w.byTopic[t] = ids
			if t.Prefix {
				w.prefixes[len(t.Name)]++
			}
		}
		if _, again := ids[id]; !again {
			ids[id] = struct{}{}
			w.byID[id] = append(w.byID[id], t)
		}
	}
}

// Remove ends all that id watches.
func (w *Watches) Remove(id uint64) {
	for _, t := range w.byID[id] {
		ids := w.byTopic[t]
		delete(ids, id)
		if len(ids) > 0 {
			continue
		}
		delete(w.byTopic, t)
		if t.Prefix {
			if w.prefixes[len(t.Name)]--; w.prefixes[len(t.Name)] == 0 {
				delete(w.prefixes, len(t.Name))
			}
		}
	}
	delete(w.byID, id)
}

// Len is the number of watchers.
func (w *Watches) Len() int { return len(w.byID) }

// Touched returns the watchers of the touched topics, each once, in ascending order.
func (w *Watches) Touched(topics []Topic) []uint64 {
	if len(w.byID) == 0 {
		return nil
	}
	var ids []uint64
	for _, t := range topics {
		switch t.Kind {
		case TopicKV:
			ids = w.appendIDs(ids, t)
			for length := range w.prefixes {
				if length <= len(t.Name) {
					ids = w.appendIDs(ids, Topic{Kind: TopicKV, Name: t.Name[:length], Prefix: true})
				}
			}
		case TopicKVTree:
			ids = w.appendTree(ids, t.Name)
		default:
			ids = w.appendIDs(ids, t)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// appendTree appends the watchers of what a deleted tree concerns: keys and prefixes in it, and
// prefixes that it is in. It visits all topics; trees are seldom deleted.
func (w *Watches) appendTree(ids []uint64, tree string) []uint64 {
	for t := range w.byTopic {
		if t.Kind != TopicKV {
			continue
		}
		if strings.HasPrefix(t.Name, tree) || t.Prefix && strings.HasPrefix(tree, t.Name) {
			ids = w.appendIDs(ids, t)
		}
	}
	return ids
}

// appendIDs appends the watchers of exactly this topic, in no order.
func (w *Watches) appendIDs(ids []uint64, t Topic) []uint64 {
	for id := range w.byTopic[t] {
		ids = append(ids, id)
	}
	return ids
}
