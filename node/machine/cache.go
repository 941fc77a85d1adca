package machine

import (
	"sync"

	"concord/catalog"
	"concord/wire"
)

// cache keeps the answers of queries about services and nodes until something that they tell of changes, so that the
// same lookup is evaluated once however often it is made. KV entries are not kept: reading one is as fast.
//
// A cached answer is always that of the state as it is. While entries are being applied nothing is taken
// from the cache or put into it: otherwise one reader could see a change, and a later one not.
type cache struct {
	mu       sync.RWMutex
	applying bool
	applied  uint64 // index of the state
	version  uint64 // changes whenever an evaluation under way may be of an old state
	entries  map[string]*cached
	byID     map[uint64]string
	watches  catalog.Watches
	last     uint64
	weight   int
}

type cached struct {
	id     uint64
	answer catalog.Answer
	weight int
}

// maxWeight bounds what is kept, in instances, nodes and checks; about a kilobyte each.
const maxWeight = 32768

// cacheKey names a query; empty: it is not kept.
func cacheKey(q catalog.Query) string {
	switch q.(type) {
	case *catalog.NearQuery: // its order changes with every coordinate
		return ""
	case *catalog.KVGetQuery, *catalog.KVListQuery, *catalog.KVKeysQuery, *catalog.TxnQuery, *catalog.AutopilotQuery:
		return ""
	}
	return string(wire.AppendRequest(nil, &wire.Request{Read: &wire.Read{Query: q}}))
}

// get returns a kept answer, with the index of the state, or else the version to put one with.
func (c *cache) get(key string) (a catalog.Answer, applied, version uint64, ok bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if e := c.entries[key]; e != nil && !c.applying {
		return e.answer, c.applied, 0, true
	}
	return a, 0, c.version, false
}

// put keeps an answer, unless something was applied since its evaluation began.
func (c *cache) put(key string, version uint64, q catalog.Query, a catalog.Answer) {
	w := weight(a.Value)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.applying || c.version != version || w > maxWeight || c.entries[key] != nil {
		return
	}
	if c.entries == nil || c.weight+w > maxWeight {
		c.entries, c.byID, c.watches, c.weight = map[string]*cached{}, map[uint64]string{}, catalog.Watches{}, 0
	}
	c.last++
	c.entries[key], c.byID[c.last] = &cached{c.last, a, w}, key
	c.weight += w
	c.watches.Add(c.last, catalog.Topics(q))
}

// begin closes the cache before the state changes.
func (c *cache) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.applying = true
	c.version++
}

// end opens it again after the topics were touched.
func (c *cache) end(applied uint64, topics []catalog.Topic) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.applying, c.applied = false, applied
	c.version++ // an evaluation that began meanwhile may have seen the state before
	if len(c.entries) == 0 {
		return
	}
	for _, id := range c.watches.Touched(topics) {
		key := c.byID[id]
		c.weight -= c.entries[key].weight
		c.watches.Remove(id)
		delete(c.entries, key)
		delete(c.byID, id)
	}
}

// clear forgets everything: the state was replaced.
func (c *cache) clear(applied uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.version++
	c.applying, c.applied, c.entries, c.weight = false, applied, nil, 0
}

// weight is about how large an answer is.
func weight(v any) int {
	switch v := v.(type) {
	case []*catalog.CheckServiceNode:
		return 1 + 3*len(v)
	case []*catalog.ServiceNode:
		return 1 + len(v)
	case []*catalog.Node:
		return 1 + len(v)
	case []*catalog.HealthCheck:
		return 1 + len(v)
	case []*catalog.Coordinate:
		return 1 + len(v)
	case map[string][]string:
		return 1 + len(v)
	case *catalog.NodeServices:
		if v != nil {
			return 1 + len(v.Services)
		}
	}
	return 1
}
