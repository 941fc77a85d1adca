package swim

// rank orders the states that may be claimed of one incarnation: who has left did so after whatever
// was suspected of it, a confirmed failure outlasts the suspicion, and a suspicion outlasts the
// claim it doubts. A departure that is to be forgotten at once ends every other one.
func rank(u *Update) int {
	if u.State == StateLeft && u.Prune {
		return int(StateLeft) + 1
	}
	return int(u.State)
}

// precedes tells whether claim a overrides claim b about the same name. It is the only place that
// knows the precedence of claims.
//
// SWIM section 4.2 lets {Suspect, inc=i} override {Suspect, inc=j} for i > j and {Alive, inc=j} for
// i >= j; {Alive, inc=i} override either for i > j; and {Confirm} override both whatever the
// incarnation. Here a confirm overrides incarnations up to its own only, so that a member that
// restarts is believed again (docs/divergence.md). What results is a strict total order by
// incarnation, owner and rank: merging is commutative, associative and idempotent, and all members
// that heard the same claims believe the same, in whatever order they came.
//
// The owner's ID comes between so that two nodes fighting over one name do not mix their claims: of
// one incarnation, all that is said of the greater ID overrides all that is said of the smaller.
func precedes(a, b *Update) bool {
	if a.Incarnation != b.Incarnation {
		return a.Incarnation > b.Incarnation
	}
	if a.ID != b.ID {
		return a.ID > b.ID
	}
	return rank(a) > rank(b)
}

// tellsTags tells whether the claim brings the tags of its incarnation: gossiped suspicions and
// failures do without, to stay small.
func tellsTags(u *Update) bool { return u.State == StateAlive || u.Tags != nil }
