package invariants

import (
	"fmt"

	"concord/raft"
)

// LeaderCompleteness: if an entry is committed in a given term, it is present in the logs of the leaders of
// all higher terms (section 5.4).
type LeaderCompleteness struct {
	committed []uint64 // term of the committed entry at each index, 0 unknown
}

// Committed tells that an entry is committed.
func (p *LeaderCompleteness) Committed(index, term uint64) {
	for uint64(len(p.committed)) <= index {
		p.committed = append(p.committed, 0)
	}
	p.committed[index] = term
}

// Term is the term of the committed entry at index, 0 if none is known.
func (p *LeaderCompleteness) Term(index uint64) uint64 {
	if index >= uint64(len(p.committed)) {
		return 0
	}
	return p.committed[index]
}

// Newest is the last entry known to be committed.
func (p *LeaderCompleteness) Newest() (index, term uint64) {
	if len(p.committed) == 0 {
		return 0, 0
	}
	return uint64(len(p.committed) - 1), p.committed[len(p.committed)-1]
}

// Elected tells that a server leads in a term, with the log that termAt describes: the term of
// its entry at an index, false if it has none there. Below first the log was compacted.
func (p *LeaderCompleteness) Elected(id raft.ID, term, first uint64, termAt func(uint64) (uint64, bool)) error {
	for index := max(first, 1); index < uint64(len(p.committed)); index++ {
		want := p.committed[index]
		if want == 0 || want >= term {
			continue
		}
		if has, ok := termAt(index); !ok || has != want {
			return fmt.Errorf("%s leads in term %d without entry %d, which was committed in term %d", id, term, index, want)
		}
	}
	return nil
}
