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
	told  uint64  // incarnation whose tags claim.Tags are
	since time.Duration
	watch *watch // nil while alive
	pos   int32  // in its list
	list  listID
}

func (m *member) isGone() bool { return m.list != live }

// table holds the other members: by name, and in lists from which random ones can be drawn in
// constant time.
type table struct {
	byName map[string]*member
	lists  [lists][]*member
	cursor int       // of the probes' round in lists[live]: what is before it was probed
	sorted []*member // by name; nil when outdated
}

func newTable() table { return table{byName: make(map[string]*member)} }

func (t *table) len() int { return len(t.byName) }

// add takes in a new member. It goes to a random place of the list, as SWIM section 4.3 wants for
// the round of probes: who joins is probed neither always first nor always last.
func (t *table) add(m *member, to listID, rng *prng.Rand) {
	t.byName[m.claim.Name] = m
	t.sorted = nil
	t.insert(m, to, rng)
}

// move puts the member into another list.
func (t *table) move(m *member, to listID, rng *prng.Rand) {
	if m.list == to {
		return
	}
	t.unlink(m)
	t.insert(m, to, rng)
}

// remove forgets the member.
func (t *table) remove(m *member) {
	t.unlink(m)
	delete(t.byName, m.claim.Name)
	t.sorted = nil
}

func (t *table) insert(m *member, to listID, rng *prng.Rand) {
	l := append(t.lists[to], m)
	last := len(l) - 1
	m.list, m.pos = to, int32(last)
	t.lists[to] = l
	t.swap(to, rng.IntN(last+1), last)
}

func (t *table) swap(list listID, i, j int) {
	l := t.lists[list]
	l[i], l[j] = l[j], l[i]
	l[i].pos, l[j].pos = int32(i), int32(j)
}

// unlink takes the member out of its list. Among the live ones it keeps apart who was probed in this
// round and who was not, so that nobody is left out of a round.
func (t *table) unlink(m *member) {
	hole := int(m.pos)
	if m.list == live && hole < t.cursor {
		t.cursor--
		t.swap(live, hole, t.cursor)
		hole = t.cursor
	}
	last := len(t.lists[m.list]) - 1
	t.swap(m.list, hole, last)
	t.lists[m.list][last] = nil
	t.lists[m.list] = t.lists[m.list][:last]
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
	return l[t.cursor-1]
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
	return t.lists[from][i]
}

// ordered returns all members by name. The slice is kept until membership changes.
func (t *table) ordered() []*member {
	if t.sorted == nil {
		t.sorted = make([]*member, 0, len(t.byName))
		for _, l := range t.lists {
			t.sorted = append(t.sorted, l...)
		}
		slices.SortFunc(t.sorted, func(a, b *member) int { return strings.Compare(a.claim.Name, b.claim.Name) })
	}
	return t.sorted
}
