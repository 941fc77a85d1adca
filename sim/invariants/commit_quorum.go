package invariants

import "fmt"

// CommitQuorum: what a leader takes for committed is on the disks of a majority of the voters of its configuration, itself
// included (figure 2; section 5.4.2 for why only entries of its own term count).
type CommitQuorum struct{}

// OwnTerm tells that a leader of a term has raised its commit index to an entry of entryTerm: it may count only entries of its
// own term, and commits those before with them (figure 8).
func (CommitQuorum) OwnTerm(leader string, index, entryTerm, term uint64) error {
	if entryTerm != term {
		return fmt.Errorf("%s, which leads in term %d, has committed up to entry %d of term %d by counting", leader, term, index, entryTerm)
	}
	return nil
}

// Committed tells that a leader took an entry of its own term for committed while so many voters had it on disk.
func (CommitQuorum) Committed(leader string, index uint64, onDisk, voters int) error {
	if onDisk <= voters/2 {
		return fmt.Errorf("%s takes entry %d for committed, which %d of %d voters have on disk", leader, index, onDisk, voters)
	}
	return nil
}
