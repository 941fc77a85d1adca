package linearizability

import (
	"testing"
	"time"
)

// pending is an operation that nobody got an answer to.
func pending(client int, kind Kind, key, value string, call time.Duration) Op {
	return unknown(op(client, kind, key, value, call, forever, 0))
}

func failed(o Op) Op {
	o.Outcome = Failed
	return o
}

// Histories with operations without an outcome are accepted exactly when some completion explains them. index is where the log has
// those that took effect; what it does not have never did.
var undecided = []struct {
	name  string
	sees  tier // who rejects it
	index map[string]uint64
	ops   []Op
}{
	{name: "a put, seen later", index: map[string]uint64{"2": 6}, ops: []Op{
		op(0, Put, "k", "1", 1, 2, 5), pending(1, Put, "k", "2", 3), got(op(0, Get, "k", "", 9, 10, 6), "k", "2")}},
	{name: "a put, never seen", ops: []Op{
		op(0, Put, "k", "1", 1, 2, 5), pending(1, Put, "k", "2", 3), got(op(0, Get, "k", "", 9, 10, 5), "k", "1")}},
	{name: "a put that takes effect long after its client gave up", index: map[string]uint64{"2": 8}, ops: []Op{
		op(0, Put, "k", "1", 1, 2, 5), pending(1, Put, "k", "2", 3), got(op(0, Get, "k", "", 9, 10, 5), "k", "1"),
		op(0, Put, "k", "3", 11, 12, 7), got(op(0, Get, "k", "", 13, 14, 7), "k", "3"), got(op(0, Get, "k", "", 15, 16, 8), "k", "2")}},
	{name: "a put, seen before it began", sees: everyTier, index: map[string]uint64{"2": 4}, ops: []Op{
		got(op(0, Get, "k", "", 1, 2, 5), "k", "2"), pending(1, Put, "k", "2", 3)}},
	{name: "a put, seen, and gone again without a delete", sees: everyTier, index: map[string]uint64{"2": 6}, ops: []Op{
		op(0, Put, "k", "1", 1, 2, 5), pending(1, Put, "k", "2", 3),
		got(op(0, Get, "k", "", 4, 5, 6), "k", "2"), got(op(0, Get, "k", "", 6, 7, 7), "k", "1")}},
	{name: "a put, seen, overwritten, and back again", sees: everyTier, index: map[string]uint64{"2": 6}, ops: []Op{
		pending(1, Put, "k", "2", 1), got(op(0, Get, "k", "", 4, 5, 6), "k", "2"),
		op(0, Put, "k", "3", 6, 7, 7), got(op(0, Get, "k", "", 8, 9, 7), "k", "2")}},
	{name: "a put, seen as something else", sees: everyTier, index: map[string]uint64{"2": 6}, ops: []Op{
		pending(1, Put, "k", "2", 1), got(op(0, Get, "k", "", 4, 5, 6), "k", "9")}},
	{name: "a swap that fits, seen", index: map[string]uint64{"2": 6}, ops: []Op{
		op(0, Put, "k", "1", 1, 2, 5), cas(pending(1, CAS, "k", "2", 3), "1", false), got(op(0, Get, "k", "", 9, 10, 6), "k", "2")}},
	{name: "a swap that fits, never seen", ops: []Op{
		op(0, Put, "k", "1", 1, 2, 5), cas(pending(1, CAS, "k", "2", 3), "1", false), got(op(0, Get, "k", "", 9, 10, 5), "k", "1")}},
	{name: "a swap that does not fit, without effect", index: map[string]uint64{"2": 6}, ops: []Op{
		op(0, Put, "k", "1", 1, 2, 5), cas(pending(1, CAS, "k", "2", 3), "7", false), got(op(0, Get, "k", "", 9, 10, 6), "k", "1")}},
	{name: "a swap that cannot have fitted, seen", sees: everyTier, index: map[string]uint64{"2": 6}, ops: []Op{
		op(0, Put, "k", "1", 1, 2, 5), cas(pending(1, CAS, "k", "2", 3), "7", false), got(op(0, Get, "k", "", 9, 10, 6), "k", "2")}},
	{name: "a swap without an outcome explains why the next from the same value fails", index: map[string]uint64{"2": 6}, ops: []Op{
		op(0, Put, "k", "1", 1, 2, 5), cas(pending(1, CAS, "k", "2", 3), "1", false), cas(op(0, CAS, "k", "3", 4, 5, 7), "1", false)}},
	{name: "two swaps from one value without an outcome, both seen", sees: everyTier, index: map[string]uint64{"2": 6, "3": 7}, ops: []Op{
		op(0, Put, "k", "1", 1, 2, 5), cas(pending(1, CAS, "k", "2", 3), "1", false), cas(pending(2, CAS, "k", "3", 3), "1", false),
		got(op(0, Get, "k", "", 4, 5, 6), "k", "2"), got(op(0, Get, "k", "", 6, 7, 7), "k", "3")}},
	{name: "a delete, seen", index: map[string]uint64{"d": 6}, ops: []Op{
		op(0, Put, "k", "1", 1, 2, 5), pending(1, Delete, "k", "d", 3), got(op(0, Get, "k", "", 9, 10, 6))}},
	{name: "a delete, never seen", ops: []Op{
		op(0, Put, "k", "1", 1, 2, 5), pending(1, Delete, "k", "d", 3), got(op(0, Get, "k", "", 9, 10, 5), "k", "1")}},
	{name: "one delete, and gone twice", sees: everyTier, index: map[string]uint64{"d": 6}, ops: []Op{
		op(0, Put, "k", "1", 1, 2, 5), pending(1, Delete, "k", "d", 3), got(op(0, Get, "k", "", 4, 5, 6)),
		op(0, Put, "k", "2", 6, 7, 7), got(op(0, Get, "k", "", 8, 9, 8))}},
	{name: "a delete of another key", sees: everyTier, index: map[string]uint64{"d": 6}, ops: []Op{
		op(0, Put, "k", "1", 1, 2, 5), pending(1, Delete, "l", "d", 3), got(op(0, Get, "k", "", 4, 5, 6))}},
	{name: "a delete-tree, seen whole", index: map[string]uint64{"d": 7}, ops: []Op{
		op(0, Put, "p/a", "1", 1, 2, 5), op(0, Put, "p/b", "2", 3, 4, 6), pending(1, DeleteTree, "p/", "d", 5),
		got(op(0, List, "p/", "", 6, 7, 6), "p/a", "1", "p/b", "2"), got(op(0, List, "p/", "", 8, 9, 7))}},
	{name: "a delete-tree, never seen", ops: []Op{
		op(0, Put, "p/a", "1", 1, 2, 5), op(0, Put, "p/b", "2", 3, 4, 6), pending(1, DeleteTree, "p/", "d", 5),
		got(op(0, List, "p/", "", 6, 7, 6), "p/a", "1", "p/b", "2")}},
	{name: "a delete-tree, seen in half", sees: everyTier, index: map[string]uint64{"d": 7}, ops: []Op{
		op(0, Put, "p/a", "1", 1, 2, 5), op(0, Put, "p/b", "2", 3, 4, 6), pending(1, DeleteTree, "p/", "d", 5),
		got(op(0, List, "p/", "", 6, 7, 7), "p/b", "2")}},
	{name: "a delete-tree, seen, and all back again", sees: everyTier, index: map[string]uint64{"d": 6}, ops: []Op{
		op(0, Put, "p/a", "1", 1, 2, 5), pending(1, DeleteTree, "p/", "d", 3),
		got(op(0, List, "p/", "", 4, 5, 6)), got(op(0, List, "p/", "", 6, 7, 6), "p/a", "1")}},
	{name: "a read without an answer says nothing", ops: []Op{
		op(0, Put, "k", "1", 1, 2, 5), pending(1, Get, "k", "", 3), got(op(0, Get, "k", "", 4, 5, 5), "k", "1")}},
	{name: "a put that certainly failed, seen", sees: everyTier, ops: []Op{
		failed(op(0, Put, "k", "1", 1, 2, 0)), got(op(0, Get, "k", "", 3, 4, 5), "k", "1")}},
}

func TestUnknownOutcomes(t *testing.T) {
	t.Parallel()
	for _, h := range undecided {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			judge(t, h.ops, h.index, h.sees)
		})
	}
}
