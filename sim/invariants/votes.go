package invariants

import (
	"fmt"

	"concord/raft"
)

// Votes: a server votes for at most one candidate in a term, and its term never falls, whatever happens to it in between
// (figure 2: both are persistent). Only a server that lost its disk may begin anew.
type Votes struct {
	terms map[raft.ID]uint64
	votes map[ballot]raft.ID
	wiped map[raft.ID]bool
}

type ballot struct {
	voter raft.ID
	term  uint64
}

// Written tells that a server writes a hard state to its disk.
func (p *Votes) Written(id raft.ID, hs raft.HardState) error {
	if p.terms == nil {
		p.terms, p.votes, p.wiped = map[raft.ID]uint64{}, map[ballot]raft.ID{}, map[raft.ID]bool{}
	}
	if was := p.terms[id]; hs.Term < was {
		return fmt.Errorf("the term of %s falls from %d to %d", id, was, hs.Term)
	}
	p.terms[id] = hs.Term
	b := ballot{id, hs.Term}
	if was := p.votes[b]; was != "" && was != hs.VotedFor && !(hs.VotedFor == "" && p.wiped[id]) {
		return fmt.Errorf("%s votes for %q in term %d, before for %q", id, hs.VotedFor, hs.Term, was)
	}
	if hs.VotedFor != "" {
		p.votes[b] = hs.VotedFor
	}
	return nil
}

// Wiped tells that a server has lost its disk. Its term begins anew; but it may not vote again where it has forgotten its
// vote.
func (p *Votes) Wiped(id raft.ID) {
	delete(p.terms, id)
	if p.wiped != nil {
		p.wiped[id] = true
	}
}
