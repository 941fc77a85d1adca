package node

import (
	"time"

	"concord/catalog"
	"concord/internal/invariant"
	"concord/node/machine"
	"concord/raft"
	"concord/wire"
)

func (s *server) onApplied(d ApplyDone) {
	switch {
	case d.Task.Chunk != nil:
		s.onChunkWritten(d)
	case d.Task.Flush:
		s.onFlushed(d.Applied)
	default:
		s.onEntriesApplied(d)
	}
	s.maybeFlush()
}

func (s *server) onEntriesApplied(d ApplyDone) {
	entries := d.Task.Entries
	last := entries[len(entries)-1].Index
	invariant.Check(entries[0].Index == s.applied+1, "applied entry %d after %d", entries[0].Index, s.applied)
	s.applied = last
	s.raft.Applied(s.n.now, last)
	for i := range entries {
		s.resolve(&entries[i], &d.Outcome, i)
	}
	s.resolveChanges()
	s.watches.touched(d.Outcome.Topics)
	s.noteTopics(d.Outcome.Topics)
	if d.Outcome.Restored {
		s.onRestored()
	}
	s.releaseReads()
}

// onRestored reacts to an operator's restore: whoever watches anything is told, and what lives registers itself again.
func (s *server) onRestored() {
	s.n.log(Warn, "server", "the state was replaced by that of a snapshot")
	s.watches.all()
	s.noteTopics([]catalog.Topic{{Kind: catalog.TopicAutopilot}})
	s.reconcileSoon()
	s.n.local.ServerUp(s.n.now)
}

// resolve answers the proposal that became the entry, or that another one took the place of.
func (s *server) resolve(e *raft.Entry, out *machine.Outcome, i int) {
	c := s.pending[e.Index]
	if c == nil {
		return
	}
	term := s.terms[e.Index]
	delete(s.pending, e.Index)
	delete(s.terms, e.Index)
	if term != e.Term {
		s.n.route(c) // another leader's entry is there: ours was never committed
		return
	}
	result := out.Results[i]
	s.n.answer(c, &wire.Response{Code: wire.OK, Result: &result})
}

// onChunkWritten goes on with a snapshot being received. After the last chunk the log begins behind
// it, before Raft is told.
func (s *server) onChunkWritten(d ApplyDone) {
	w := *d.Task.Chunk
	if d.Err != nil {
		s.n.log(Warn, "raft", "failed to write a snapshot chunk", "error", d.Err)
	}
	if d.Err != nil || !w.Done {
		s.raft.ChunkWritten(s.n.now, w, d.Err)
		return
	}
	meta := w.Meta
	s.persist(PersistTask{Reset: &meta}, logWrite{then: func() {
		s.n.log(Info, "raft", "installed remote snapshot", "index", meta.Index, "term", meta.Term)
		s.applied, s.sinceSync = meta.Index, 0
		s.raft.ChunkWritten(s.n.now, w, nil)
		s.learnAddresses()
		s.watches.all()
		s.releaseReads()
	}})
}

// maybeFlush makes the state durable when enough was applied since the last time, so that the log
// can be compacted and a restart has little to replay.
func (s *server) maybeFlush() {
	if s.flushing || s.sinceSync < s.n.cfg.FlushBytes && !s.n.cfg.FaultPoints.Fire("node/early-flush") {
		return
	}
	s.flushing, s.sinceSync = true, 0
	s.n.env.Apply(ApplyTask{Flush: true})
}

// onFlushed compacts the log below what the state durably contains, some trailing entries apart.
func (s *server) onFlushed(a machine.Applied) {
	s.flushing = false
	st := s.raft.Status()
	keep := s.n.cfg.TrailingLogs
	if a.Index < st.FirstIndex+keep {
		return
	}
	index := s.neededFrom(st, a.Index-keep)
	if index < st.FirstIndex {
		return
	}
	if a.ConfigIndex > index {
		return // the configuration at that index is not known; the next flush will do it
	}
	meta := raft.SnapshotMeta{Index: index, Config: a.Config, ConfigIndex: a.ConfigIndex}
	if term, ok := s.raft.Term(index); ok {
		meta.Term = term
		s.compact(meta)
		return
	}
	// The entry is no longer cached: its term is on the disk.
	s.compacting = &meta
	s.n.env.Fetch(FetchTask{Log: &raft.LogRead{For: s.n.cfg.Raft.ID, Lo: index, Hi: index, MaxBytes: 1}})
}

const (
	// maxTrailing is how many times TrailingLogs are kept at most for followers that are on their way.
	maxTrailing = 64
	// catchUpContact is how long ago a follower may have been heard from to be waited for.
	catchUpContact = 30 * time.Second
)

// neededFrom is up to where the log may be dropped, at most limit, so that followers that are catching up find what they
// need: one that is sent a snapshot must not need another one when it has it.
func (s *server) neededFrom(st raft.Status, limit uint64) uint64 {
	index := limit
	for _, f := range st.Followers {
		if s.n.now-f.LastContact > catchUpContact {
			continue
		}
		has := f.Match
		if f.Snapshot != 0 {
			has = f.Snapshot
		}
		if has > 0 {
			index = min(index, has)
		}
	}
	if kept := maxTrailing * s.n.cfg.TrailingLogs; index+kept < limit {
		s.n.log(Warn, "raft", "a follower is catching up more slowly than the log grows; the log is not kept for it any longer", "behind", limit-index)
		return limit
	}
	return index
}

// compactFetched goes on with a compaction once the term of its last entry is read.
func (s *server) compactFetched(d FetchDone) {
	meta := s.compacting
	s.compacting = nil
	if meta != nil && d.Err == nil && len(d.Entries) == 1 && d.Entries[0].Index == meta.Index {
		meta.Term = d.Entries[0].Term
		s.compact(*meta)
	}
}

func (s *server) compact(meta raft.SnapshotMeta) {
	s.persist(PersistTask{Compact: &meta}, logWrite{then: func() { s.raft.Compacted(s.n.now, meta.Index+1) }})
}
