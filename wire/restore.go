package wire

import (
	"fmt"
	"slices"
)

// RestoreStep is a part of a restore.
type RestoreStep uint8

const (
	// RestoreBegin begins a restore in place of any other one.
	RestoreBegin RestoreStep = iota + 1
	// RestoreChunk adds records.
	RestoreChunk
	// RestoreEnd makes what was added the state.
	RestoreEnd
	// RestoreAbort gives the restore up.
	RestoreAbort
)

// Restore is a command in the log that replaces the catalog's state, step by step (docs/adr/0006). It is for the
// machine that keeps the catalog, not for the catalog. Each step may come several times and takes effect once.
type Restore struct {
	Step RestoreStep
	// ID names the restore, so that the steps of two do not mix.
	ID string
	// Seq is the number of a chunk, counted from 0; at the end, how many there were.
	Seq uint64
	// Data is a chunk's records (catalog.AppendRecord).
	Data []byte
	// Checksum is, at the end, the CRC-32C of the data of all chunks.
	Checksum uint32
	// Index is, at the end, the greatest index in the archive.
	Index uint64
}

// AppendRestore appends an encoded restore command to dst.
func AppendRestore(dst []byte, c *Restore) []byte {
	p := append(slices.Grow(dst, 64+len(c.ID)+len(c.Data)), Version)
	p = append(appendArray(p, 7), kindRestore)
	p = appendUint(p, uint64(c.Step))
	p = appendString(p, c.ID)
	p = appendUint(p, c.Seq)
	p = appendBytes(p, c.Data)
	p = appendUint(p, uint64(c.Checksum))
	return appendUint(p, c.Index)
}

// IsRestore tells whether a command of the log is a Restore.
func IsRestore(p []byte) bool {
	r := begin(p)
	r.fields(1)
	return r.small() == kindRestore && r.err == nil
}

// DecodeRestore decodes what AppendRestore wrote. The data aliases p.
func DecodeRestore(p []byte) (Restore, error) {
	r := begin(p)
	more := r.fields(7)
	if kind := r.small(); kind != kindRestore {
		r.fail(fmt.Sprintf("command of kind %d is no restore", kind))
	}
	c := Restore{Step: RestoreStep(r.small()), ID: r.string(), Seq: r.uint(), Data: r.bytes()}
	if sum := r.uint(); sum <= 1<<32-1 {
		c.Checksum = uint32(sum)
	} else {
		r.fail("checksum of more than 32 bits")
	}
	c.Index = r.uint()
	r.skip(more)
	if err := r.end(); err != nil {
		return Restore{}, err
	}
	return c, nil
}
