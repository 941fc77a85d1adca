package raftlog

import "slices"

// window has something for each of the last entries of a log, those from first on.
type window[T any] struct {
	first uint64
	items []T
}

// put replaces what there is from an index on. What is missing before the index stays missing.
func (w *window[T]) put(index uint64, items ...T) {
	if index < w.first {
		w.first, w.items = index, w.items[:0]
	}
	w.items = append(w.items[:index-w.first], items...)
}

// begin drops what is before an index or behind another.
func (w *window[T]) begin(first, last uint64) {
	switch {
	case first > last:
		w.first, w.items = first, nil
	case first > w.first:
		w.items = slices.Clone(w.items[first-w.first:])
		w.first = first
	}
}
