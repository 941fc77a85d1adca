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

// Replace makes config the membership configuration everywhere in the server's disks: in the state, and in each
// entry of the log that has one. Everything else stays as it is.
//
// No entry is added, and none of those that no leader is known to have committed is applied. Servers that are
// recovered with the same configuration hence still agree on every entry that has the same index and term (section
// 5.3, Log Matching), elect the one of them with the newest log (section 5.4.1), and settle what is uncommitted by
// Raft's own rules. An entry made here would break this: two servers cannot know of a term that is unused
// on both.
//
// It may be repeated, so that a crash in the middle is mended by doing it again.
func Replace(l *raftlog.Log, m *machine.Machine, config raft.Configuration) error {
	if l.State().LastIndex == 0 {
		return ErrNothing
	}
	if err := m.ReplaceConfig(config); err != nil {
		return err
	}
	first, err := dropApplied(l, m.Applied())
	if err != nil {
		return err
	}
	return rewrite(l, first, config)
}

// dropApplied lets the log begin behind what the state durably contains, and returns the first index that is left.
// So only few entries must be written again; a follower that would need the others gets a snapshot.
func dropApplied(l *raftlog.Log, a machine.Applied) (first uint64, err error) {
	if err := l.CompactTo(a.Meta()); err != nil {
		return 0, err
	}
	return l.State().FirstIndex, nil
}

// rewrite replaces the configurations among the entries from first on.
func rewrite(l *raftlog.Log, first uint64, config raft.Configuration) error {
	last := l.State().LastIndex
	if first > last {
		return nil
	}
	entries, err := l.Entries(first, last, int(^uint(0)>>1))
	if err != nil {
		return err
	}
	from := -1
	for i := range entries {
		if entries[i].Type == raft.EntryConfig {
			entries[i].Config = &config
			if from < 0 {
				from = i
			}
		}
	}
	if from < 0 {
		return nil
	}
	w := l.Begin()
	if err := w.Add(nil, entries[from:]); err != nil {
		return fmt.Errorf("recovery: %w", err)
	}
	return w.Commit()
}
