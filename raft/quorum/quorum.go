// Package quorum is the mathematics of majorities.
package quorum

import "cmp"

// Size returns how many of n voters are a majority.
func Size(n int) int { return n/2 + 1 }

// Reached returns the greatest value that a majority of the voters have reached, given
// one value per voter, and the zero value if there is no voter. It sorts values in place.
//
// With match indexes it is the commit rule of section 5.3, with times of contact
// the check of a leader's quorum, with read rounds the confirmation of section 6.4 of the thesis.
func Reached[T cmp.Ordered](values []T) T {
	if len(values) == 0 {
		var zero T
		return zero
	}
	// Insertion sort, descending: a handful of voters, no allocation.
	for i := 1; i < len(values); i++ {
		for j := i; j > 0 && values[j] > values[j-1]; j-- {
			values[j], values[j-1] = values[j-1], values[j]
		}
	}
	return values[Size(len(values))-1]
}

// Result is the state of an election.
type Result uint8

const (
	// Pending: votes that decide are missing.
	Pending Result = iota + 1
	// Won: a majority granted.
	Won
	// Lost: a majority can no longer grant.
	Lost
)

// String returns the result's name.
func (r Result) String() string {
	switch r {
	case Pending:
		return "pending"
	case Won:
		return "won"
	case Lost:
		return "lost"
	default:
		return "unknown"
	}
}

// Count decides an election among n voters. Without voters nobody wins.
func Count(n, granted, rejected int) Result {
	switch {
	case n > 0 && granted >= Size(n):
		return Won
	case n == 0 || n-rejected < Size(n):
		return Lost
	default:
		return Pending
	}
}
