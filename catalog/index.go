package catalog

import (
	"encoding/binary"
	"strings"
)

// Each topic but those of live KV entries has a record of when it last changed, and the index of an
// answer is the greatest of those that its query watches: it grows exactly when a watcher is woken.
// KV entries carry their own ModifyIndex; topics of KV have records only of what was deleted.
//
// The records of what exists no more, its graves, are needed as long as somebody may
// remember it. So that they are bounded, the oldest are forgotten when there are too many, and the floor of their class
// is raised to the index of the youngest forgotten. The floor is the index of whatever has no record:
// no index ever goes backwards.

const (
	// maxGraves is how many dead topics of a class are remembered at least.
	maxGraves = 4096
	// graveBatch is how many more there may be before the oldest are forgotten at one go.
	graveBatch = 256
)

// graves returns the statistics of a class of topics.
func (r *reader) graves(class TopicKind) graveStats {
	return lookup(r, key(tableGraveStats, string(rune(class))), decodeGraveStats)
}

// topicIndex returns the index a topic last changed at, at least 1.
func (r *reader) topicIndex(t Topic) uint64 {
	if record, ok := r.get(indexKey(t)); ok {
		return decoded(r, record, decodeIndex).index
	}
	return max(1, r.graves(graveClass(t.Kind)).floor)
}

// topicsIndex returns the greatest index of topics.
func (r *reader) topicsIndex(topics []Topic) uint64 {
	index := uint64(1)
	for _, t := range topics {
		index = max(index, r.topicIndex(t))
	}
	return index
}

// deletedIndex returns the index at which last the key name was deleted or, for a list,
// any key that begins with name; at least 1.
func (r *reader) deletedIndex(name string, list bool) uint64 {
	trees := r.treeIndex(name)
	if !list {
		return max(trees, r.topicIndex(Topic{Kind: TopicKV, Name: name}))
	}
	index := max(1, trees, r.graves(TopicKV).floor)
	return max(index, r.maxIndex(Topic{Kind: TopicKV, Name: name}), r.maxIndex(Topic{Kind: TopicKVTree, Name: name}))
}

// maxIndex returns the greatest index of the topics of a kind whose names begin with t's.
func (r *reader) maxIndex(t Topic) (index uint64) {
	r.scan(indexKey(t), func(_, record []byte) bool {
		index = max(index, decoded(r, record, decodeIndex).index)
		return true
	})
	return index
}

// treeIndex returns the index at which last a tree was deleted that name is in. It visits the deleted
// trees that sort just below each prefix of name in question, of which there are few.
func (r *reader) treeIndex(name string) (index uint64) {
	lo := indexKey(Topic{Kind: TopicKVTree})
	for {
		hi := append(indexKey(Topic{Kind: TopicKVTree, Name: name}), 0)
		k, record, ok := r.last(lo, hi)
		if !ok {
			return index
		}
		tree := string(k[len(lo):])
		common := commonPrefix(tree, name)
		if common == len(tree) {
			index = max(index, decoded(r, record, decodeIndex).index)
			if tree == "" {
				return index
			}
			common--
		}
		// No longer prefix of name has been deleted: it would sort between tree and name.
		name = name[:common]
	}
}

func commonPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// touch records that the topic changed now.
func (a *applier) touch(t Topic) {
	if a.live[t] {
		return
	}
	if _, again := a.live[t]; !again {
		a.topics = append(a.topics, t)
	}
	a.live[t] = true
	a.exhume(t)
	a.set(indexKey(t), encodeIndex(indexRecord{index: a.index}))
}

// exhume takes a topic off its class's graves, if it is there.
func (a *applier) exhume(t Topic) {
	old := lookup(&a.reader, indexKey(t), decodeIndex)
	if !old.dead {
		return
	}
	class := graveClass(t.Kind)
	stats := a.graves(class)
	stats.count--
	a.delete(graveKey(t, old.index))
	a.set(key(tableGraveStats, string(rune(class))), encodeGraveStats(stats))
}

// retire records that what the topic is about exists no more.
func (a *applier) retire(t Topic) {
	record, ok := a.get(indexKey(t))
	if !ok {
		return
	}
	last := decoded(&a.reader, record, decodeIndex)
	if last.dead {
		return
	}
	if _, touched := a.live[t]; touched {
		a.live[t] = false
	}
	a.bury(t, last.index)
}

// bury makes a grave of a topic that last changed at an index, and forgets the oldest if there are too many.
func (a *applier) bury(t Topic, at uint64) {
	a.exhume(t)
	class := graveClass(t.Kind)
	stats := a.graves(class)
	if at <= stats.floor {
		a.delete(indexKey(t))
		return
	}
	a.set(indexKey(t), encodeIndex(indexRecord{index: at, dead: true}))
	a.set(graveKey(t, at), nil)
	stats.count++
	if stats.count >= a.maxGraves+a.graveBatch {
		a.forget(class, &stats)
	}
	a.set(key(tableGraveStats, string(rune(class))), encodeGraveStats(stats))
}

// forget removes about graveBatch of the oldest graves of a class, all of an index or none, and
// raises the floor. What was forgotten before is skipped by beginning above the floor.
func (a *applier) forget(class TopicKind, stats *graveStats) {
	lo := graveIndexKey(class, stats.floor+1)
	var dead [][]byte
	a.scanRange(lo, graveIndexKey(class+1, 0), func(k, _ []byte) bool {
		at := binary.BigEndian.Uint64(k[2:])
		if uint64(len(dead)) >= a.graveBatch && at != stats.floor {
			return false
		}
		stats.floor = at
		dead = append(dead, append([]byte{tableIndexes}, k[10:]...))
		return true
	})
	for _, k := range dead {
		a.delete(k)
	}
	a.deleteRange(lo, graveIndexKey(class, stats.floor+1))
	stats.count -= uint64(len(dead))
}

// Topics whose names have no case.

func topicNode(node string) Topic { return Topic{Kind: TopicNode, Name: strings.ToLower(node)} }

func topicNodeChecks(node string) Topic {
	return Topic{Kind: TopicNodeChecks, Name: strings.ToLower(node)}
}

func topicService(service string) Topic {
	return Topic{Kind: TopicService, Name: strings.ToLower(service)}
}

func topicServiceChecks(service string) Topic {
	return Topic{Kind: TopicServiceChecks, Name: strings.ToLower(service)}
}

func topicServiceHealth(service string) Topic {
	return Topic{Kind: TopicServiceHealth, Name: strings.ToLower(service)}
}

// topicChecks is about the checks in a state. All states but Consul's share the topic of all
// checks, so that there are only so many.
func topicChecks(state string) Topic {
	switch state {
	case HealthPassing, HealthWarning, HealthCritical:
		return Topic{Kind: TopicChecks, Name: state}
	default:
		return Topic{Kind: TopicChecks}
	}
}
