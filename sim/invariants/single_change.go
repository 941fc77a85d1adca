package invariants

import (
	"fmt"

	"concord/raft"
)

// SingleChange: two configurations that follow on one another differ by one voter, so that their majorities
// overlap (thesis section 4.1), and a leader changes the configuration only after it has committed an entry of its
// term (the erratum to it).
type SingleChange struct {
	index  uint64 // of the newest committed configuration
	config raft.Configuration
}

// Committed tells that a configuration is committed.
func (p *SingleChange) Committed(index uint64, c raft.Configuration) error {
	if index <= p.index {
		return nil
	}
	changed := 0
	for _, s := range c.Servers {
		if s.Suffrage == raft.Voter && !p.config.HasVoter(s.ID) {
			changed++
		}
	}
	for _, s := range p.config.Servers {
		if s.Suffrage == raft.Voter && !c.HasVoter(s.ID) {
			changed++
		}
	}
	first := p.index == 0
	old := p.config
	p.index, p.config = index, c
	if changed > 1 && !first {
		return fmt.Errorf("the configuration of entry %d changes %d voters at once: %v, before %v", index, changed, c, old)
	}
	return nil
}

// InForce tells which configuration a server uses, by the index of its entry, and which is the newest in its log (thesis section
// 4.1: it uses that, whether it is committed or not).
func (p *SingleChange) InForce(id raft.ID, uses, newest uint64) error {
	if uses != newest {
		return fmt.Errorf("%s uses the configuration of entry %d; the newest in its log is that of %d", id, uses, newest)
	}
	return nil
}

// Newest is the configuration committed last.
func (p *SingleChange) Newest() raft.Configuration { return p.config }

// Appended tells that a leader appends a configuration in its term, when it has committed up to commit, and its term
// began at the entry termStart, and the configuration before is that of the entry last.
func (p *SingleChange) Appended(id raft.ID, index, commit, termStart, last uint64) error {
	if commit < last {
		return fmt.Errorf("%s appends a configuration at %d, but that of %d is not committed, only up to %d", id, index, last, commit)
	}
	if commit < termStart {
		return fmt.Errorf("%s appends a configuration at %d, but has committed only up to %d, and its term began at %d", id, index, commit, termStart)
	}
	return nil
}
