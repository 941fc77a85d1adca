package runner

import "concord/node"

// Reload finds out anew what is on the disk, after its contents were changed from outside of a node.
func (d *Disk) Reload() (err error) {
	d.found, err = node.Recover(d.Log, d.Machine)
	return err
}
