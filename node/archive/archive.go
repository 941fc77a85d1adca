// Package archive saves the catalog's state of a running cluster into a file and restores it from one
// (https://developer.hashicorp.com/consul/api-docs/snapshot). The file is laid out like Consul's, a compressed tar of
// meta.json, state.bin and SHA256SUMS, but the state is Concord's own: neither can restore what the other saved, and both
// refuse it before anything is changed.
package archive

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
)

// Version is the version of archives.
const Version = "concord-1"

var (
	// ErrForeign says that an archive is of Consul or of another version of Concord.
	ErrForeign = errors.New("the snapshot was not made by this version of Concord")
	// ErrCorrupt says that an archive is damaged.
	ErrCorrupt = errors.New("failed checking integrity of snapshot")
)

// Meta describes an archive. The version is text where Consul's is a number, so that Consul refuses the file.
type Meta struct {
	Version string
	ID      string
	// Index is at least that of everything in the state; Term is the Raft term it was reached in.
	Index uint64
	Term  uint64
	// Size is that of the state in bytes, before compression.
	Size int64
}

// Names of the parts, in their order.
const (
	metaName  = "meta.json"
	stateName = "state.bin"
	sumsName  = "SHA256SUMS"
)

// The state begins with a magic word and its version. Blocks follow, each its length (uvarint), its records
// (catalog.AppendRecord) in order of their keys, and their CRC-32C; a block of length 0, without a checksum, is the end.
const stateMagic = "CONCORD\x01"

// Bounds of what is read into memory. A block is at most 512 KiB or a single record.
const (
	maxMeta  = 1 << 20
	maxBlock = 16 << 20
	maxTail  = 64 << 10 // what a tar file may be padded with
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sums is the text of SHA256SUMS.
func sums(meta, state [sha256.Size]byte) string {
	return fmt.Sprintf("%x  %s\n%x  %s\n", meta, metaName, state, stateName)
}
