//go:build !expensive_invariants

package invariant

// Expensive tells whether scans that cost more than the step they check are on
// (build tag expensive_invariants).
const Expensive = false
