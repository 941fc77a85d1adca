package linearizability

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// explained tries every order, and every choice of the operations without an outcome that took effect, in the most naive way,
// with a map of its own for the data.
func explained(left []Op, data map[string]string) bool {
	open := slices.IndexFunc(left, func(o Op) bool { return o.Outcome == Done }) >= 0
	if !open {
		return true
	}
	for i, o := range left {
		if slices.ContainsFunc(left, func(other Op) bool { return other.Return < o.Call }) {
			continue // something else has to come first
		}
		if next, ok := answer(o, data); ok && explained(slices.Delete(slices.Clone(left), i, i+1), next) {
			return true
		}
	}
	return false
}

func answer(o Op, data map[string]string) (map[string]string, bool) {
	next := map[string]string{}
	below := map[string]string{}
	for k, v := range data {
		next[k] = v
		if k == o.Key || o.Kind == List && strings.HasPrefix(k, o.Key) {
			below[k] = v
		}
		if o.Kind == Delete && k == o.Key || o.Kind == DeleteTree && strings.HasPrefix(k, o.Key) {
			delete(next, k)
		}
	}
	switch o.Kind {
	case Get, List:
		return next, sameMap(below, o.Got)
	case Put:
		next[o.Key] = o.Value
	case CAS:
		if data[o.Key] == o.Expect {
			next[o.Key] = o.Value
			return next, o.Outcome == Unknown || o.Swapped
		}
		return next, o.Outcome == Unknown || !o.Swapped
	}
	return next, true
}

// The black box accepts a history over all keys exactly if some completion explains it.
func TestBlackBoxAgainstEveryOrder(t *testing.T) {
	t.Parallel()
	accepted, rejected := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		h := &History{}
		values := []string{""}
		ends := [3]time.Duration{}
		for i := range rapid.IntRange(2, 7).Draw(t, "operations") {
			o := drawOp(t, i, values)
			if o.Kind == Put || o.Kind == CAS {
				values = append(values, o.Value)
			}
			o.Call = ends[o.Client] + rapid.Custom(func(t *rapid.T) time.Duration { return time.Duration(rapid.IntRange(1, 5).Draw(t, "pause")) }).Draw(t, "call")
			o.Return = o.Call + time.Duration(rapid.IntRange(1, 9).Draw(t, "took"))
			ends[o.Client] = o.Return
			h.Add(o)
		}
		ops := h.Ops()
		want := explained(ops, map[string]string{})
		err := check("all", blackBox, ops, time.Minute)
		if want {
			accepted++
			require.NoError(t, err, "%v", describeAll(ops))
			require.NoError(t, BlackBox(ops, len(ops), time.Minute), "%v", describeAll(ops))
		} else {
			rejected++
			require.Error(t, err, "%v", describeAll(ops))
			require.Error(t, BlackBox(ops, len(ops), time.Minute), "%v", describeAll(ops))
		}
	})
	require.Positive(t, accepted)
	require.Positive(t, rejected)
}

func drawOp(t *rapid.T, i int, values []string) Op {
	keys := []string{"p/a", "p/b"}
	o := Op{Client: rapid.IntRange(0, 2).Draw(t, "client"), Kind: rapid.SampledFrom([]Kind{Get, Get, List, Put, Put, CAS, Delete, DeleteTree}).Draw(t, "kind"),
		Key: rapid.SampledFrom(keys).Draw(t, "key"), Outcome: Done}
	value := rapid.SampledFrom(values)
	switch o.Kind {
	case List, DeleteTree:
		o.Key = "p/"
	case Put, CAS:
		o.Value = strconv.Itoa(i)
	}
	o.Expect = value.Draw(t, "expect")
	o.Swapped = rapid.Bool().Draw(t, "swapped")
	if o.Kind.Reads() {
		o.Got = map[string]string{}
		for _, k := range keys {
			if v := value.Draw(t, "got"); v != "" && strings.HasPrefix(k, o.Key) {
				o.Got[k] = v
			}
		}
	}
	if rapid.IntRange(0, 3).Draw(t, "answered") == 0 {
		o.Outcome = Unknown
		o.Client = 2 // whose later operations Porcupine takes for those of others
	}
	return o
}

func describeAll(ops []Op) string {
	var b strings.Builder
	for i := range ops {
		b.WriteString("\n" + ops[i].describe())
	}
	return b.String()
}

// A window that is cut must not blame an operation that what was cut off explains.
func TestACutWindowForgetsWhatWasUnderWay(t *testing.T) {
	t.Parallel()
	ops := []Op{
		op(0, Put, "a", "1", 1, 2, 0),
		got(op(1, Get, "b", "", 3, 9, 0), "b", "2"), // which is cut off
		op(2, Put, "b", "2", 4, 8, 0),
	}
	require.NoError(t, BlackBox(ops, 2, time.Minute))
	ops[1].Got["b"] = "3"
	require.Error(t, BlackBox(ops, 3, time.Minute))
}

func TestGroups(t *testing.T) {
	t.Parallel()
	ops := []Op{op(0, Put, "1/a", "1", 1, 2, 0), op(0, Put, "2/a", "2", 3, 4, 0), op(0, List, "1/", "", 5, 6, 0), op(0, Put, "c", "3", 7, 8, 0)}
	parts := Groups(ops)
	require.Len(t, parts, 3)
	require.Equal(t, "1/", parts[0].Prefix)
	require.Equal(t, []Op{ops[0], ops[2]}, parts[0].Ops)
	require.Equal(t, Group{Prefix: "", Ops: []Op{ops[3]}}, parts[2])
}
