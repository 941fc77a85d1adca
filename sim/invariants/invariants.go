// Package invariants has the properties that hold in every run, one file each. Each is told what the
// nodes do, as it happens, and returns an error at the first event that breaks it.
package invariants

import (
	"fmt"
	"hash/fnv"

	"concord/raft"
)

// fingerprint identifies what an entry carries.
func fingerprint(e *raft.Entry) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d/", e.Type)
	h.Write(e.Data)
	if e.Config != nil {
		fmt.Fprintf(h, "%v", *e.Config)
	}
	return h.Sum64()
}

// slot is a place in a log: by the Log Matching property its entry is the same wherever it is.
type slot struct{ index, term uint64 }
