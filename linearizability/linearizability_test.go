package linearizability

import (
	"bytes"
	"errors"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func op(client int, kind Kind, key, value string, call, ret time.Duration, index uint64) Op {
	return Op{Client: client, Kind: kind, Key: key, Value: value, Call: call, Return: ret, Index: index, Outcome: Done}
}

func got(o Op, kv ...string) Op {
	o.Got = map[string]string{}
	for i := 0; i+1 < len(kv); i += 2 {
		o.Got[kv[i]] = kv[i+1]
	}
	return o
}

func cas(o Op, expect string, swapped bool) Op {
	o.Expect, o.Swapped = expect, swapped
	return o
}

func unknown(o Op) Op {
	o.Outcome, o.Index = Unknown, 0
	return o
}

// histories are checked by every tier. index tells the witness where a value was written.
var histories = []struct {
	name  string
	ops   []Op
	index map[string]uint64
	good  bool
}{
	{name: "write then read", good: true, ops: []Op{
		op(0, Put, "k", "1", 1, 2, 5), got(op(1, Get, "k", "", 3, 4, 5), "k", "1")}},
	{name: "stale read", ops: []Op{
		op(0, Put, "k", "1", 1, 2, 5), op(0, Put, "k", "2", 3, 4, 6), got(op(1, Get, "k", "", 5, 6, 5), "k", "1")}},
	{name: "concurrent read of the old value", good: true, ops: []Op{
		op(0, Put, "k", "1", 1, 2, 5), op(0, Put, "k", "2", 3, 6, 6), got(op(1, Get, "k", "", 4, 5, 5), "k", "1")}},
	{name: "lost update", ops: []Op{
		op(0, Put, "k", "1", 1, 2, 5), got(op(1, Get, "k", "", 3, 4, 6))}},
	{name: "swapped twice from the same value", ops: []Op{
		op(0, Put, "k", "1", 1, 2, 5), cas(op(0, CAS, "k", "2", 3, 4, 6), "1", true), cas(op(1, CAS, "k", "3", 5, 6, 7), "1", true)}},
	{name: "a swap that fails", good: true, ops: []Op{
		op(0, Put, "k", "1", 1, 2, 5), cas(op(0, CAS, "k", "2", 3, 4, 6), "9", false), got(op(1, Get, "k", "", 5, 6, 6), "k", "1")}},
	{name: "a swap that should not have failed", ops: []Op{
		op(0, Put, "k", "1", 1, 2, 5), cas(op(0, CAS, "k", "2", 3, 4, 6), "1", false)}},
	{name: "resurrected delete", ops: []Op{
		op(0, Put, "k", "1", 1, 2, 5), op(0, Delete, "k", "d", 3, 4, 6), got(op(1, Get, "k", "", 5, 6, 7), "k", "1")}},
	{name: "torn list", ops: []Op{
		op(0, Put, "p/a", "1", 1, 2, 5), op(0, Put, "p/b", "2", 3, 4, 6), op(0, DeleteTree, "p/", "d", 5, 6, 7),
		got(op(1, List, "p/", "", 7, 8, 7), "p/b", "2")}},
	{name: "list", good: true, ops: []Op{
		op(0, Put, "p/a", "1", 1, 2, 5), op(0, Put, "p/b", "2", 3, 4, 6), got(op(1, List, "p/", "", 5, 6, 6), "p/a", "1", "p/b", "2")}},
	{name: "unknown write that was seen", good: true, index: map[string]uint64{"2": 6}, ops: []Op{
		op(0, Put, "k", "1", 1, 2, 5), unknown(op(1, Put, "k", "2", 3, forever, 0)), got(op(0, Get, "k", "", 9, 10, 6), "k", "2")}},
	{name: "unknown write that was never seen", good: true, ops: []Op{
		op(0, Put, "k", "1", 1, 2, 5), unknown(op(1, Put, "k", "2", 3, forever, 0)), got(op(0, Get, "k", "", 9, 10, 5), "k", "1")}},
	{name: "unknown write seen before it began", index: map[string]uint64{"2": 4}, ops: []Op{
		got(op(0, Get, "k", "", 1, 2, 5), "k", "2"), unknown(op(1, Put, "k", "2", 3, forever, 0))}},
	{name: "unknown write seen and gone again", index: map[string]uint64{"2": 6}, ops: []Op{
		op(0, Put, "k", "1", 1, 2, 5), unknown(op(1, Put, "k", "2", 3, forever, 0)),
		got(op(0, Get, "k", "", 4, 5, 6), "k", "2"), got(op(0, Get, "k", "", 6, 7, 7), "k", "1")}},
}

func TestHistories(t *testing.T) {
	t.Parallel()
	for _, h := range histories {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			verdict := func(err error) {
				t.Helper()
				if h.good {
					require.NoError(t, err)
				} else {
					require.Error(t, err)
				}
			}
			verdict(Witness(h.ops, func(v string) uint64 { return h.index[v] }))
			verdict(Gated(h.ops, time.Minute))
			verdict(BlackBox(h.ops, 50, time.Minute))
		})
	}
}

// The witness alone notices answers that contradict their indexes.
func TestWitnessRealTime(t *testing.T) {
	t.Parallel()
	ops := []Op{op(0, Put, "a", "1", 1, 2, 9), op(1, Put, "b", "2", 3, 4, 8)}
	require.ErrorContains(t, Witness(ops, nil), "index 8")
	require.Error(t, Gated(ops, time.Minute))
	require.NoError(t, BlackBox(ops, 50, time.Minute), "without indexes nothing is wrong with it")
}

func TestSearchTooLongIsAFailure(t *testing.T) {
	t.Parallel()
	var ops []Op
	for i := range 40 { // all concurrent, and the read fits none
		ops = append(ops, op(i, Put, "k", string(rune('a'+i)), 1, 100, 0))
	}
	ops = append(ops, got(op(99, Get, "k", "", 1, 100, 0), "k", "never"))
	require.Error(t, BlackBox(ops, 0, 50*time.Millisecond))
}

func TestWindowsBeginWithAnEmptyStore(t *testing.T) {
	t.Parallel()
	var ops []Op
	at := time.Duration(0)
	add := func(o Op) { at += 10; o.Call, o.Return = at, at+5; ops = append(ops, o) }
	for range 3 {
		add(op(0, DeleteTree, "", "d", 0, 0, 0))
		for range 4 {
			add(op(0, Put, "k", "v", 0, 0, 0))
		}
	}
	parts := windows(ops, 5)
	require.Len(t, parts, 3)
	for _, p := range parts {
		require.Equal(t, DeleteTree, p[0].Kind)
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	h := &History{}
	for _, o := range histories[0].ops {
		h.Add(o)
	}
	h.Add(unknown(op(7, Put, "k", "lost", 3, 0, 0)))
	for _, verdict := range []error{nil, errors.New("stale <read>")} {
		var b bytes.Buffer
		r := Report{Title: "seed 1", Replay: "go test", Verdict: verdict, History: h,
			Spans: []Span{{Lane: "server-0", Kind: "leader", Text: "term 2", Start: 1, End: 5}}}
		require.NoError(t, r.WriteHTML(&b))
		require.True(t, bytes.Contains(b.Bytes(), []byte("server-0")), "the lane is missing")
		require.Equal(t, verdict != nil, bytes.Contains(b.Bytes(), []byte("stale &lt;read&gt;")))
		require.False(t, regexp.MustCompile(`(src|href)=("|&#34;)http`).Match(b.Bytes()), "the page must need nothing from elsewhere")
	}
}

// TestTxn: a transaction takes effect as a whole or not at all.
func TestTxn(t *testing.T) {
	t.Parallel()
	txn := Op{Client: 1, Kind: Txn, Key: "a", Value: "v1", Also: []string{"b"}, Call: 1, Return: 2, Outcome: Done, Swapped: true}
	list := func(got map[string]string) Op {
		return Op{Client: 2, Kind: List, Call: 3, Return: 4, Outcome: Done, Got: got}
	}
	both, half, none := map[string]string{"a": "v1", "b": "v1"}, map[string]string{"b": "v1"}, map[string]string(nil)
	failed, unknown := txn, txn
	failed.Swapped = false
	unknown.Outcome, unknown.Return, unknown.Swapped = Unknown, forever, false
	for name, c := range map[string]struct {
		ops []Op
		ok  bool
	}{
		"all of it":               {[]Op{txn, list(both)}, true},
		"half of it":              {[]Op{txn, list(half)}, false},
		"lost":                    {[]Op{txn, list(none)}, false},
		"failed without a reason": {[]Op{failed, list(none)}, false},
		"unknown, happened":       {[]Op{unknown, list(both)}, true},
		"unknown, did not happen": {[]Op{unknown, list(none)}, true},
		"unknown, happened half":  {[]Op{unknown, list(half)}, false},
	} {
		require.Equal(t, c.ok, BlackBox(c.ops, 100, time.Minute) == nil, name)
	}
}
