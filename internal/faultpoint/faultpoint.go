// Package faultpoint marks places in the code where a rare but allowed thing may be done in place of the common one: a
// smaller batch, an earlier timeout, a detour. The simulator makes them happen often, so that what would take years to
// meet is met in seconds (FoundationDB's "buggify"). In the product no point fires.
package faultpoint

// Points tells whether the point with the given name is to fire. Nil: none ever does.
type Points func(name string) bool

// Fire tells whether the point fires.
func (p Points) Fire(name string) bool { return p != nil && p(name) }
