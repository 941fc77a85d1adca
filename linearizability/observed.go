package linearizability

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Observed checks a history whose reads tell ModifyIndex and X-Consul-Index, as Consul's HTTP API does, for what
// these promise, and returns the operations with the indexes of those writes that a read has shown. A write that was shown
// did take effect, at the index that its value has; so Gated, which is given the result, need not guess where to put it.
//
// The promises: a value has one ModifyIndex, wherever it is shown; writes that followed each other in time have increasing indexes; no
// answer shows a later change than its X-Consul-Index says, nor do two with the same one for the same question show different data; and
// for the same question it never goes back in time.
func Observed(ops []Op) ([]Op, error) {
	index, err := shown(ops)
	if err != nil {
		return nil, err
	}
	out := slices.Clone(ops)
	var placed []Op
	for i := range out {
		op := &out[i]
		if op.Kind != Put && op.Kind != CAS {
			continue
		}
		if op.Index = index[version{op.Key, op.Value}]; op.Index != 0 {
			placed = append(placed, *op)
		}
	}
	if err := realTime(placed); err != nil {
		return nil, fmt.Errorf("observed: ModifyIndex goes back: %w", err)
	}
	return out, questions(ops)
}

// version is a value that a key had.
type version struct{ key, value string }

// shown is the index of each value that a read has shown.
func shown(ops []Op) (map[version]uint64, error) {
	index := map[version]uint64{}
	for i := range ops {
		op := &ops[i]
		for _, key := range slices.Sorted(maps.Keys(op.Modified)) {
			at, v := op.Modified[key], version{key, op.Got[key]}
			if was, ok := index[v]; ok && was != at {
				return nil, fmt.Errorf("observed: %s shows ModifyIndex %d, but another read showed %d for the same value of %s", op.describe(), at, was, key)
			}
			if op.QueryIndex != 0 && at > op.QueryIndex {
				return nil, fmt.Errorf("observed: %s shows ModifyIndex %d, but X-Consul-Index %d", op.describe(), at, op.QueryIndex)
			}
			index[v] = at
		}
	}
	return index, nil
}

// questions checks X-Consul-Index among the reads that asked the same.
func questions(ops []Op) error {
	type question struct {
		kind Kind
		key  string
	}
	asked := map[question][]Op{}
	var order []question
	for _, op := range ops {
		if op.QueryIndex == 0 {
			continue
		}
		q := question{op.Kind, op.Key}
		if asked[q] == nil {
			order = append(order, q)
		}
		asked[q] = append(asked[q], op)
	}
	slices.SortFunc(order, func(a, b question) int { return cmp.Or(strings.Compare(a.key, b.key), cmp.Compare(a.kind, b.kind)) })
	for _, q := range order {
		if err := sameIndexSameAnswer(asked[q]); err != nil {
			return err
		}
		if err := indexGoesOn(asked[q]); err != nil {
			return err
		}
	}
	return nil
}

func sameIndexSameAnswer(reads []Op) error {
	first := map[uint64]*Op{}
	for i := range reads {
		r := &reads[i]
		f := first[r.QueryIndex]
		if f == nil {
			first[r.QueryIndex] = r
			continue
		}
		if !maps.Equal(f.Got, r.Got) || !maps.Equal(f.Modified, r.Modified) {
			return fmt.Errorf("observed: both with X-Consul-Index %d: %s and %s", r.QueryIndex, f.describe(), r.describe())
		}
	}
	return nil
}

func indexGoesOn(reads []Op) error {
	placed := slices.Clone(reads)
	for i := range placed {
		placed[i].Index = placed[i].QueryIndex
	}
	if err := realTime(placed); err != nil {
		return fmt.Errorf("observed: X-Consul-Index goes back: %w", err)
	}
	return nil
}

// Group is the part of a history that is about keys with a prefix.
type Group struct {
	Prefix string
	Ops    []Op
}

// Groups parts a history at the first slash of its keys. No operation may reach over more than one prefix. What
// holds of each group, whose keys no other touches, holds of the whole.
func Groups(ops []Op) []Group {
	at := map[string]int{}
	var out []Group
	for _, op := range ops {
		prefix := op.Key[:strings.IndexByte(op.Key, '/')+1]
		i, ok := at[prefix]
		if !ok {
			i = len(out)
			at[prefix] = i
			out = append(out, Group{Prefix: prefix})
		}
		out[i].Ops = append(out[i].Ops, op)
	}
	return out
}
