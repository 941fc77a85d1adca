package invariants

import "fmt"

// CommitQuorum: what a leader takes for committed is on the disks of a majority of the voters of its configuration, itself
// included (figure 2; section 5.4.2 for why only entries of its own term count).
type CommitQuorum struct{}

// Committed tells that a leader took an entry of its own term for committed while so many voters had it on disk.
func (CommitQuorum) Committed(leader string, index uint64, onDisk, voters int) error {
	if onDisk <= voters/2 {
		return fmt.Errorf("%s takes entry %d for committed, which %d of %d voters have on disk", leader, index, onDisk, voters)
	}
	return nil
}
