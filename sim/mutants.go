package sim

import (
	"slices"

	"concord/node"
	"concord/raft"
	"concord/wire"
)

// Mutants are bugs that a run can plant in a host's world, to prove that the checkers notice. They exist only
// here: nothing of them is in the product.
var Mutants = map[string]string{
	"ack-before-fsync": "log writes are reported durable before they are",
	"lease-ignored":    "every read is served by whoever is asked",
	"apply-skipped":    "one server leaves out a committed command now and then",
}

func (h *Host) has(mutant string) bool { return h.w.Options.Mutant == mutant }

// mutateRequest changes what is asked for.
func (h *Host) mutateRequest(req *wire.Request) *wire.Request {
	if h.has("lease-ignored") && req.Read != nil {
		read := *req.Read
		read.Consistency = wire.Stale
		return &wire.Request{Read: &read}
	}
	return req
}

// mutateApply changes what is applied.
func (h *Host) mutateApply(t node.ApplyTask) node.ApplyTask {
	if !h.has("apply-skipped") || h.index != 0 {
		return t
	}
	t.Entries = slices.Clone(t.Entries)
	for i := range t.Entries {
		if t.Entries[i].Index%16 == 0 {
			t.Entries[i].Type, t.Entries[i].Data = raft.EntryNoop, nil
		}
	}
	return t
}
