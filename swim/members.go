package swim

import (
	"slices"
	"strings"
	"time"

	"concord/internal/prng"
)

// listID names the list that a member is in.
type listID uint8

const (
	live   listID = iota // alive or suspect: probed, gossiped to
	recent               // dead or left for less than GossipToTheDead: gossiped to
	gone                 // dead or left for longer: remembered
	lists
)

// member is what is remembered of another member. There may be many thousands of them in each of
// many thousands of simulated nodes, so it is small; what only few need is in the watch.
type member struct {
	claim *Update // the one that precedes all others heard; never modified, only replaced
	watch *watch  // nil while alive
	pos   int32   // in its list
	list  listID
}

func (m *member) isGone() bool { return m.list != live }

// told returns the incarnation whose tags are known.
func (m *member) told() uint64 {
	if m.watch == nil {
		return m.claim.Incarnation
	}
	return m.watch.told
}

// age returns for how long a member is gone.
func (m *member) age(now time.Duration) time.Duration { return now - m.watch.since }

// table holds the other members: in slots, by name, and in lists from which random ones can be drawn in
// constant time.
type table struct {
	chunks []*[chunkSize]member // the slots
	free   []int32              // slots that were in use
	names  index
	lists  [lists][]int32 // slots
	cursor int            // of the probes' round in lists[live]: what is before it was probed
	sorted []int32        // slots by name; nil when outdated
}

// chunkSize is how many slots are made room for at once. They never move, so members are known by pointers.
const chunkSize = 64

func newTable(seed uint64) table { return table{names: index{seed: seed}} }

func (t *table) len() int { return t.names.used }

func (t *table) member(slot int32) *member { return &t.chunks[slot/chunkSize][slot%chunkSize] }

func (t *table) nameOf(slot int32) string { return t.member(slot).claim.Name }

// get returns the named member, or nil.
func (t *table) get(name string) *member {
	if slot := t.names.find(name, t); slot >= 0 {
		return t.member(slot)
	}
	return nil
}

// add takes in a new member. It goes to a random place of the list, as SWIM section 4.3 wants for
// the round of probes: who joins is probed neither always first nor always last.
func (t *table) add(claim *Update, to listID, rng *prng.Rand) *member {
	slot := t.room()
	m := t.member(slot)
	m.claim = claim
	t.names.add(claim.Name, slot, t)
	t.sorted = nil
	t.insert(slot, to, rng)
	return m
}

// reserve makes room for so many more live members at once.
func (t *table) reserve(more int) {
	t.names.reserve(t.len()+more, t)
	t.lists[live] = slices.Grow(t.lists[live], more)
}

// room returns a free slot.
func (t *table) room() int32 {
	if last := len(t.free) - 1; last >= 0 {
		slot := t.free[last]
		t.free = t.free[:last]
		return slot
	}
	slot := int32(t.len())
	if int(slot/chunkSize) == len(t.chunks) {
		t.chunks = append(t.chunks, new([chunkSize]member))
	}
	return slot
}

// move puts the member into another list.
func (t *table) move(m *member, to listID, rng *prng.Rand) {
	if m.list != to {
		t.insert(t.unlink(m), to, rng)
	}
}

// remove forgets the member. Its slot will be another's.
func (t *table) remove(m *member) {
	slot := t.unlink(m)
	t.names.remove(m.claim.Name, slot, t)
	*m = member{}
	t.free = append(t.free, slot)
	t.sorted = nil
}

func (t *table) insert(slot int32, to listID, rng *prng.Rand) {
	t.lists[to] = append(t.lists[to], slot)
	last := len(t.lists[to]) - 1
	t.member(slot).list = to
	t.swap(to, rng.IntN(last+1), last)
}

func (t *table) swap(list listID, i, j int) {
	l := t.lists[list]
	l[i], l[j] = l[j], l[i]
	t.member(l[i]).pos, t.member(l[j]).pos = int32(i), int32(j)
}

// unlink takes the member out of its list and returns its slot. Among the live ones it keeps apart who was probed in
// this round and who was not, so that nobody is left out of a round.
func (t *table) unlink(m *member) int32 {
	hole := int(m.pos)
	if m.list == live && hole < t.cursor {
		t.cursor--
		t.swap(live, hole, t.cursor)
		hole = t.cursor
	}
	l := t.lists[m.list]
	last := len(l) - 1
	t.swap(m.list, hole, last)
	t.lists[m.list] = l[:last]
	return l[last]
}

// next returns the next member to probe, or nil. At the end of a round the order is drawn anew: "the
// failure detection protocol at member Mi works by maintaining a list (intuitively, an array) of the
// known elements of the current membership list, and selecting ping targets not randomly from this
// list, but in a round-robin fashion" (SWIM section 4.3).
func (t *table) next(rng *prng.Rand) *member {
	l := t.lists[live]
	if len(l) == 0 {
		return nil
	}
	if t.cursor >= len(l) {
		rng.Shuffle(len(l), func(i, j int) { t.swap(live, i, j) })
		t.cursor = 0
	}
	t.cursor++
	return t.member(l[t.cursor-1])
}

// pick appends up to k distinct random members of the lists from..to to dst, without those in skip.
func (t *table) pick(dst []*member, k int, from, to listID, skip *member, rng *prng.Rand) []*member {
	total := 0
	for l := from; l <= to; l++ {
		total += len(t.lists[l])
	}
	if total == 0 {
		return dst
	}
	// A few draws more than wanted find k distinct ones nearly always in a large pool; in a small one
	// they go through the members in turn from a random one on, so none is drawn twice.
	start, step := rng.IntN(total), 1
	random := total > 4*(k+1)
	first := len(dst)
	for i := 0; i < total && i < 4*(k+1) && len(dst)-first < k; i++ {
		at := start + i*step
		if random {
			at = rng.IntN(total)
		}
		m := t.at(at%total, from)
		if m != skip && !slices.Contains(dst[first:], m) {
			dst = append(dst, m)
		}
	}
	return dst
}

// at returns member i of the concatenated lists that start with from.
func (t *table) at(i int, from listID) *member {
	for i >= len(t.lists[from]) {
		i -= len(t.lists[from])
		from++
	}
	return t.member(t.lists[from][i])
}

// ordered returns the slots of all members by name. The slice is kept until membership changes.
func (t *table) ordered() []int32 {
	if t.sorted == nil {
		t.sorted = make([]int32, 0, t.len())
		for _, l := range t.lists {
			t.sorted = append(t.sorted, l...)
		}
		slices.SortFunc(t.sorted, func(a, b int32) int { return strings.Compare(t.nameOf(a), t.nameOf(b)) })
	}
	return t.sorted
}
