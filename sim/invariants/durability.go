package invariants

import "fmt"

// Durability: an acknowledged write is on the disks of a majority (design, "Rules that hold
// everywhere", 2).
type Durability struct{}

// Acknowledged tells that the write at an index was acknowledged while so many of the voters had it on disk.
func (Durability) Acknowledged(index uint64, onDisk, voters int) error {
	if onDisk <= voters/2 {
		return fmt.Errorf("the write at index %d was acknowledged with %d of %d voters having it on disk", index, onDisk, voters)
	}
	return nil
}
