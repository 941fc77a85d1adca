package recovery

import (
	"errors"
	"fmt"

	"concord/node/machine"
	"concord/raft"
	"concord/store/raftlog"
)

// ErrNothing says that the server never was part of a cluster, so that there is nothing to recover.
var ErrNothing = errors.New("recovery: this server has no raft log yet, so there is no cluster to recover: start it without peers.json, and let it join")

// termLeap is by how much a recovery raises the term. A majority of the new configuration may have no server in common
// with that which elected the last leaders, so it could give their terms away again. No server is this many
// terms behind another: with PreVote only a majority begins a term, and it does so in an election.
const termLeap = 1 << 20

// Replace makes config the membership configuration everywhere in the server's disks: in the state, and in each
// entry of the log that has one. It also raises the term, so that the next leader has one that nobody had before.
// Everything else stays as it is.
//
// No entry is added, and none of those that no leader is known to have committed is applied. Servers that are
// recovered with the same configuration hence still agree on every entry that has the same index and term (section
// 5.3, Log Matching), elect the one of them with the newest log (section 5.4.1), and settle what is uncommitted by
// Raft's own rules (docs/adr/0006).
//
// It may be repeated, so that a crash in the middle is mended by doing it again.
func Replace(l *raftlog.Log, m *machine.Machine, config raft.Configuration) error {
	if l.State().LastIndex == 0 {
		return ErrNothing
	}
	if err := m.ReplaceConfig(config); err != nil {
		return err
	}
	// The log now begins behind what the state durably contains, so that only few entries must be written again; a
	// follower that would need the others gets a snapshot.
	if err := l.CompactTo(m.Applied().Meta()); err != nil {
		return err
	}
	entries, err := rewritten(l, config)
	if err != nil {
		return err
	}
	w := l.Begin()
	if err := w.Add(&raft.HardState{Term: l.State().HardState.Term + termLeap}, entries); err != nil {
		return fmt.Errorf("recovery: %w", err)
	}
	return w.Commit()
}

// rewritten returns the entries of the log with the new configuration, from the first on that has one.
func rewritten(l *raftlog.Log, config raft.Configuration) ([]raft.Entry, error) {
	st := l.State()
	if st.FirstIndex > st.LastIndex {
		return nil, nil
	}
	entries, err := l.Entries(st.FirstIndex, st.LastIndex, int(^uint(0)>>1))
	if err != nil {
		return nil, err
	}
	from := len(entries)
	for i := range entries {
		if entries[i].Type == raft.EntryConfig {
			entries[i].Config = &config
			from = min(from, i)
		}
	}
	return entries[from:], nil
}
