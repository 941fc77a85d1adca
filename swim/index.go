package swim

import "math/bits"

// index finds members by name: an open-addressing hash table of slots with linear probing. A member costs it six to ten
// bytes, where a map of strings would take fifty.
type index struct {
	// entries are 0 if free, else a slot plus one in the low slotBits, with some bits of the name's hash above.
	entries []uint32
	used    int
	seed    uint64 // makes the order of probing unknown to who chooses names
}

const (
	slotBits = 24
	slotMask = 1<<slotBits - 1
	// maxSlots bounds Config.MaxMembers.
	maxSlots = slotMask
)

// names tells the name that the member in a slot has.
type names interface{ nameOf(slot int32) string }

func (x *index) hash(name string) uint64 { return hashString(x.seed, name) }

// find returns the slot of the named member, or -1.
func (x *index) find(name string, of names) int32 {
	if x.used == 0 {
		return -1
	}
	h := x.hash(name)
	for at := x.home(h); x.entries[at] != 0; at = x.after(at) {
		if e := x.entries[at]; e&^slotMask == tagOf(h) && of.nameOf(slotOf(e)) == name {
			return slotOf(e)
		}
	}
	return -1
}

// add takes in a name that it does not have.
func (x *index) add(name string, slot int32, of names) {
	x.used++
	x.reserve(x.used, of)
	x.put(x.hash(name), slot)
}

// reserve makes room for so many names: a quarter of the table stays free.
func (x *index) reserve(count int, of names) {
	if 4*count <= 3*len(x.entries) {
		return
	}
	old := x.entries
	x.entries = make([]uint32, max(16, 1<<bits.Len(uint(count*4/3))))
	for _, e := range old {
		if e != 0 {
			x.put(x.hash(of.nameOf(slotOf(e))), slotOf(e))
		}
	}
}

func (x *index) put(h uint64, slot int32) {
	at := x.home(h)
	for x.entries[at] != 0 {
		at = x.after(at)
	}
	x.entries[at] = tagOf(h) | uint32(slot+1)
}

// remove forgets a name that is in the slot, and closes the gap: each entry stays reachable from its home.
func (x *index) remove(name string, slot int32, of names) {
	hole := x.home(x.hash(name))
	for slotOf(x.entries[hole]) != slot {
		hole = x.after(hole)
	}
	for at := x.after(hole); x.entries[at] != 0; at = x.after(at) {
		home := x.home(x.hash(of.nameOf(slotOf(x.entries[at]))))
		if x.distance(home, at) >= x.distance(hole, at) {
			x.entries[hole], hole = x.entries[at], at
		}
	}
	x.entries[hole] = 0
	x.used--
}

func (x *index) home(h uint64) int { return int(h) & (len(x.entries) - 1) }

func (x *index) after(at int) int { return (at + 1) & (len(x.entries) - 1) }

// distance is how far to is behind from, going round.
func (x *index) distance(from, to int) int { return (to - from) & (len(x.entries) - 1) }

func slotOf(e uint32) int32 { return int32(e&slotMask) - 1 }

func tagOf(h uint64) uint32 { return uint32(h>>32) &^ slotMask }
