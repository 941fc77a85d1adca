package memstore

import "bytes"

// Corrupt flips a bit of a value on the disk and returns its key, nil if there is nothing to corrupt. pick returns a number
// in [0, n). The disk must not be open.
func (d *Disk) Corrupt(pick func(n int) int) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.synced.keys.Len() == 0 {
		return nil
	}
	key, value, _ := d.synced.keys.GetAt(pick(d.synced.keys.Len()))
	if len(value) == 0 {
		return nil
	}
	value = bytes.Clone(value)
	value[pick(len(value))] ^= 1 << pick(8)
	d.synced.keys.Set(key, value)
	return []byte(key)
}
