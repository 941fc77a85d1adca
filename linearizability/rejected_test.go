package linearizability

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// tier is one way to check a history.
type tier uint8

const (
	witness tier = 1 << iota
	gated
	blackBoxTier
	observed // ModifyIndex and X-Consul-Index, and Gated with what they tell

	everyTier = witness | gated | blackBoxTier | observed
)

var tierNames = map[tier]string{witness: "witness", gated: "gated", blackBoxTier: "black box", observed: "observed"}

// verdict lets one tier judge a history as it would be recorded for it.
func (t tier) verdict(ops []Op, index map[string]uint64) error {
	h := &History{}
	for _, o := range ops {
		h.Add(o)
	}
	ops = h.Ops()
	switch t {
	case witness:
		return Witness(ops, func(v string) uint64 { return index[v] })
	case gated:
		return Gated(ops, time.Minute)
	case blackBoxTier:
		return BlackBox(ops, 50, time.Minute)
	}
	for i := range ops { // over HTTP, no answer tells the index that it was served at
		ops[i].Index = 0
	}
	ops, err := Observed(ops)
	return errors.Join(err, Gated(ops, time.Minute))
}

// judge requires that the tiers in sees reject the history and that all others accept it.
func judge(t *testing.T, ops []Op, index map[string]uint64, sees tier) {
	t.Helper()
	for k := witness; k <= observed; k <<= 1 {
		err := k.verdict(ops, index)
		if sees&k != 0 {
			require.Error(t, err, "%s", tierNames[k])
		} else {
			require.NoError(t, err, "%s", tierNames[k])
		}
	}
}

// at adds what an answer over HTTP tells: its X-Consul-Index, and the ModifyIndex of each key.
func at(o Op, query uint64, modified map[string]uint64) Op {
	o.QueryIndex, o.Modified = query, modified
	return o
}

// Histories that no single copy of the data can have made. Indexes are those that a server which believes in what it
// does would give.
var impossible = []struct {
	name string
	sees tier // who can see it
	ops  []Op
}{
	{"stale read", everyTier, []Op{
		op(0, Put, "k", "1", 1, 2, 5), op(0, Put, "k", "2", 3, 4, 6), got(op(1, Get, "k", "", 5, 6, 6), "k", "1")}},
	{"stale read that admits it", everyTier, []Op{
		op(0, Put, "k", "1", 1, 2, 5), op(0, Put, "k", "2", 3, 4, 6), got(op(1, Get, "k", "", 5, 6, 5), "k", "1")}},
	{"read of a value before it was written", everyTier, []Op{
		got(op(1, Get, "k", "", 1, 2, 5), "k", "1"), op(0, Put, "k", "1", 3, 4, 5)}},
	{"read of a value that nobody wrote", everyTier, []Op{
		op(0, Put, "k", "1", 1, 2, 5), got(op(1, Get, "k", "", 3, 4, 6), "k", "7")}},
	{"read of a value of another key", everyTier, []Op{
		op(0, Put, "k", "1", 1, 2, 5), got(op(1, Get, "l", "", 3, 4, 6), "l", "1")}},
	{"lost update", everyTier, []Op{
		op(0, Put, "k", "1", 1, 2, 5), got(op(1, Get, "k", "", 3, 4, 6))}},
	{"one of two concurrent updates lost, and read", everyTier, []Op{
		op(0, Put, "k", "1", 1, 4, 5), op(1, Put, "k", "2", 2, 5, 6),
		got(op(0, Get, "k", "", 6, 7, 7), "k", "1"), got(op(1, Get, "k", "", 8, 9, 7), "k", "2")}},
	{"swapped twice from the same value", everyTier, []Op{
		op(0, Put, "k", "1", 1, 2, 5), cas(op(0, CAS, "k", "2", 3, 4, 6), "1", true), cas(op(1, CAS, "k", "3", 5, 6, 7), "1", true)}},
	{"created twice, at the same time", everyTier, []Op{
		cas(op(0, CAS, "k", "1", 1, 9, 5), "", true), cas(op(1, CAS, "k", "2", 1, 9, 6), "", true)}},
	{"swapped from a value that is gone", everyTier, []Op{
		op(0, Put, "k", "1", 1, 2, 5), op(0, Delete, "k", "d", 3, 4, 6), cas(op(1, CAS, "k", "3", 5, 6, 7), "1", true)}},
	{"not swapped, yet written", everyTier, []Op{
		op(0, Put, "k", "1", 1, 2, 5), cas(op(0, CAS, "k", "2", 3, 4, 6), "9", false), got(op(1, Get, "k", "", 5, 6, 6), "k", "2")}},
	{"not swapped without a reason", everyTier, []Op{
		op(0, Put, "k", "1", 1, 2, 5), cas(op(0, CAS, "k", "2", 3, 4, 6), "1", false)}},
	{"resurrected delete", everyTier, []Op{
		op(0, Put, "k", "1", 1, 2, 5), op(0, Delete, "k", "d", 3, 4, 6), got(op(1, Get, "k", "", 5, 6, 7), "k", "1")}},
	{"resurrected after it was seen to be gone", everyTier, []Op{
		op(0, Put, "k", "1", 1, 2, 5), op(0, Delete, "k", "d", 3, 9, 6),
		got(op(1, Get, "k", "", 4, 5, 6)), got(op(1, Get, "k", "", 6, 7, 7), "k", "1")}},
	{"resurrected delete-tree", everyTier, []Op{
		op(0, Put, "p/a", "1", 1, 2, 5), op(0, DeleteTree, "p/", "d", 3, 4, 6), got(op(1, Get, "p/a", "", 5, 6, 7), "p/a", "1")}},
	{"a delete-tree that leaves one key", everyTier, []Op{
		op(0, Put, "p/a", "1", 1, 2, 5), op(0, Put, "p/b", "2", 3, 4, 6), op(0, DeleteTree, "p/", "d", 5, 6, 7),
		got(op(1, List, "p/", "", 7, 8, 7), "p/b", "2")}},
	{"a delete-tree that takes a key from beside the tree", everyTier, []Op{
		op(0, Put, "q", "1", 1, 2, 5), op(0, DeleteTree, "p/", "d", 3, 4, 6), got(op(1, Get, "q", "", 5, 6, 6))}},
	{"torn recurse: the later of two writes without the earlier", everyTier, []Op{
		op(0, Put, "p/a", "1", 1, 2, 5), op(0, Put, "p/b", "2", 3, 4, 6), got(op(1, List, "p/", "", 1, 9, 6), "p/b", "2")}},
	{"torn recurse: half of a delete-tree", everyTier, []Op{
		op(0, Put, "p/a", "1", 1, 2, 5), op(0, Put, "p/b", "2", 3, 4, 6), op(0, DeleteTree, "p/", "d", 5, 9, 7),
		got(op(1, List, "p/", "", 6, 8, 7), "p/b", "2")}},
	{"two recurses that disagree on which write came first", everyTier, []Op{
		op(0, Put, "p/a", "1", 1, 9, 5), op(1, Put, "p/b", "2", 1, 9, 6),
		got(op(2, List, "p/", "", 2, 3, 5), "p/a", "1"), got(op(3, List, "p/", "", 2, 3, 6), "p/b", "2")}},
	{"one client's reads go back, during one write", everyTier, []Op{
		op(0, Put, "k", "1", 1, 2, 5), op(0, Put, "k", "2", 3, 20, 6),
		got(op(1, Get, "k", "", 5, 6, 6), "k", "2"), got(op(1, Get, "k", "", 7, 8, 6), "k", "1")}},
	{"another client reads the older value later", everyTier, []Op{
		op(0, Put, "k", "1", 1, 2, 5), op(0, Put, "k", "2", 3, 20, 6),
		got(op(1, Get, "k", "", 5, 6, 6), "k", "2"), got(op(2, Get, "k", "", 7, 8, 5), "k", "1")}},
	{"two keys, written one after the other, read the other way round", everyTier, []Op{
		op(0, Put, "a", "1", 1, 2, 5), op(0, Put, "b", "1", 3, 20, 6),
		got(op(1, Get, "b", "", 5, 6, 6), "b", "1"), got(op(1, Get, "a", "", 7, 8, 6))}},
	{"a write that ended before another began has the greater index", witness | gated, []Op{
		op(0, Put, "a", "1", 1, 2, 9), op(1, Put, "b", "2", 3, 4, 8)}},
	{"two writes at one index", witness | gated, []Op{
		op(0, Put, "a", "1", 1, 2, 5), op(1, Put, "b", "2", 3, 4, 5)}},
	{"ModifyIndex goes back from one write to the next", observed, []Op{
		op(0, Put, "a", "1", 1, 2, 5), op(1, Put, "b", "2", 3, 4, 6),
		at(got(op(2, List, "", "", 5, 6, 6), "a", "1", "b", "2"), 9, map[string]uint64{"a": 9, "b": 8})}},
	{"ModifyIndex contradicts the order that the data shows", observed, []Op{
		op(0, Put, "k", "1", 1, 20, 5), op(1, Put, "k", "2", 1, 20, 6),
		at(got(op(2, Get, "k", "", 2, 3, 5), "k", "1"), 9, map[string]uint64{"k": 9}),
		at(got(op(2, Get, "k", "", 4, 5, 6), "k", "2"), 9, map[string]uint64{"k": 8})}},
	{"one value with two values of ModifyIndex", observed, []Op{
		op(0, Put, "k", "1", 1, 2, 5),
		at(got(op(1, Get, "k", "", 3, 4, 5), "k", "1"), 5, map[string]uint64{"k": 5}),
		at(got(op(1, List, "", "", 5, 6, 5), "k", "1"), 6, map[string]uint64{"k": 6})}},
	{"X-Consul-Index is behind what is shown", observed, []Op{
		op(0, Put, "k", "1", 1, 2, 5), at(got(op(1, Get, "k", "", 3, 4, 5), "k", "1"), 4, map[string]uint64{"k": 5})}},
	{"X-Consul-Index goes back", observed, []Op{
		at(got(op(1, Get, "k", "", 1, 2, 5)), 5, nil), at(got(op(2, Get, "k", "", 3, 4, 5)), 4, nil)}},
	{"X-Consul-Index stays although the data changes: a watcher would miss it", observed, []Op{
		at(got(op(1, Get, "k", "", 1, 2, 4)), 5, nil), op(0, Put, "k", "1", 3, 4, 5),
		at(got(op(1, Get, "k", "", 5, 6, 5), "k", "1"), 5, map[string]uint64{"k": 5})}},
}

func TestImpossibleHistoriesAreRejected(t *testing.T) {
	t.Parallel()
	for _, h := range impossible {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			judge(t, h.ops, nil, h.sees)
		})
	}
}
