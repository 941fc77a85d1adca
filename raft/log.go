package raft

import "concord/internal/invariant"

// raftLog is the log as the core sees it: the newest part in memory, the rest on the
// driver's disk.
//
//	  on disk only      |            in memory                    |
//	first ......... base | base+1 ... applied ... committed ... last |
//	                                    stable, written: somewhere in between
//
// Only entries that are applied, and so committed, and on disk leave memory. Everything
// below the commit index is known to match every later leader's log (section 5.3, Log Matching, and 5.4, Leader
// Completeness), so terms further down are never needed by a follower; a leader reads them back.
type raftLog struct {
	first     uint64 // lowest index on disk, one behind the end if there is none
	startTerm uint64 // term of the entry at first-1; 0: not known

	base, baseTerm uint64 // the entry before the first one in memory
	entries        []Entry
	bytes          int // of entries
	cacheBytes     int

	committed uint64
	applying  uint64 // handed out to be applied
	applied   uint64
	written   uint64 // handed out to be written
	stable    uint64 // on disk
}

func newLog(st InitialState, cacheBytes int) raftLog {
	l := raftLog{
		first: max(st.FirstIndex, 1), base: st.Applied, baseTerm: st.AppliedTerm, cacheBytes: cacheBytes,
		committed: st.Applied, applying: st.Applied, applied: st.Applied,
	}
	if st.Snapshot.Index+1 == l.first {
		l.startTerm = st.Snapshot.Term
	}
	l.append(st.Entries...)
	l.written, l.stable = l.last(), l.last()
	return l
}

func entrySize(e *Entry) int { return len(e.Data) + entryOverhead }

func (l *raftLog) last() uint64 { return l.base + uint64(len(l.entries)) }

func (l *raftLog) lastTerm() uint64 {
	if k := len(l.entries); k > 0 {
		return l.entries[k-1].Term
	}
	return l.baseTerm
}

// term returns the term of the entry at index, if it is still known in memory.
func (l *raftLog) term(index uint64) (uint64, bool) {
	switch {
	case index == 0:
		return 0, true
	case index > l.last():
		return 0, false
	case index > l.base:
		return l.entries[index-l.base-1].Term, true
	case index == l.base:
		return l.baseTerm, true
	case index+1 == l.first && l.startTerm != 0:
		return l.startTerm, true
	default:
		return 0, false
	}
}

// slice returns the entries in [lo, hi), which must be in memory. They are never
// changed afterwards.
func (l *raftLog) slice(lo, hi uint64) []Entry {
	if lo >= hi {
		return nil
	}
	if lo <= l.base || hi > l.last()+1 {
		invariant.Check(false, "log: slice [%d, %d) of (%d, %d]", lo, hi, l.base, l.last())
	}
	a, b := lo-l.base-1, hi-l.base-1
	return l.entries[a:b:b]
}

// limited returns entries from lo on, in memory, within the given bounds, but at least
// one if there is one.
func (l *raftLog) limited(lo uint64, maxEntries, maxBytes int) []Entry {
	if lo > l.last() {
		return nil
	}
	hi, bytes := lo, 0
	for hi <= l.last() && hi-lo < uint64(maxEntries) {
		bytes += entrySize(&l.entries[hi-l.base-1])
		if bytes > maxBytes && hi > lo {
			break
		}
		hi++
	}
	return l.slice(lo, hi)
}

func (l *raftLog) append(entries ...Entry) {
	for i := range entries {
		if entries[i].Index != l.last()+uint64(i)+1 {
			invariant.Check(false, "log: entry %d appended behind %d", entries[i].Index, l.last()+uint64(i))
		}
		l.bytes += entrySize(&entries[i])
	}
	l.entries = append(l.entries, entries...)
}

// truncate removes the entries from index on (section 5.3, "delete the existing entry and
// all that follow it").
func (l *raftLog) truncate(index uint64) {
	invariant.Check(index > l.committed, "log: truncating %d, committed is %d", index, l.committed)
	keep := index - l.base - 1
	for i := keep; i < uint64(len(l.entries)); i++ {
		l.bytes -= entrySize(&l.entries[i])
	}
	// Without spare capacity the next append copies: what was handed out stays as it was.
	l.entries = l.entries[:keep:keep]
	l.written = min(l.written, index-1)
	l.stable = min(l.stable, index-1)
}

// evict forgets the oldest entries that nothing needs in memory.
func (l *raftLog) evict() {
	keepFrom := min(l.applied, l.stable, l.committed)
	k := 0
	for l.bytes > l.cacheBytes && k < len(l.entries) && l.entries[k].Index <= keepFrom {
		l.bytes -= entrySize(&l.entries[k])
		k++
	}
	if k > 0 {
		l.base, l.baseTerm = l.entries[k-1].Index, l.entries[k-1].Term
		l.entries = l.entries[k:]
	}
}

// compacted notes that the disk has nothing below first any more.
func (l *raftLog) compacted(first uint64) {
	first = min(first, l.applied+1)
	if first > l.first {
		term, _ := l.term(first - 1)
		l.first, l.startTerm = first, term
	}
}

// reset makes the log empty, starting behind a snapshot (figure 13, step 7).
func (l *raftLog) reset(index, term uint64) {
	*l = raftLog{
		first: index + 1, startTerm: term, base: index, baseTerm: term, cacheBytes: l.cacheBytes,
		committed: index, applying: index, applied: index, written: index, stable: index,
	}
}

// upToDate tells whether a log that ends with the given entry is at least as up to date as
// this one (section 5.4.1).
func (l *raftLog) upToDate(index, term uint64) bool {
	return term > l.lastTerm() || term == l.lastTerm() && index >= l.last()
}

// lastNotAfter returns the greatest index up to hint whose term is at most term, and that
// term; it stops where terms are no longer known. With it, probing skips whole terms
// (end of section 5.3).
func (l *raftLog) lastNotAfter(hint, term uint64) (uint64, uint64) {
	for i := min(hint, l.last()); ; i-- {
		t, ok := l.term(i)
		if !ok || t <= term {
			return i, t
		}
	}
}

func (l *raftLog) checkInvariants() {
	if l.base > l.applied || l.first > l.applied+1 || l.applied > l.applying || l.applying > min(l.committed, l.stable) ||
		l.stable > l.written || max(l.committed, l.written) > l.last() {
		invariant.Check(false, "log: indexes out of order: first %d, base %d, applied %d, applying %d, committed %d, stable %d, written %d, last %d",
			l.first, l.base, l.applied, l.applying, l.committed, l.stable, l.written, l.last())
	}
	if !invariant.Expensive {
		return
	}
	bytes, term := 0, l.baseTerm
	for i := range l.entries {
		e := &l.entries[i]
		invariant.Check(e.Index == l.base+uint64(i)+1, "log: entry %d at the place of %d", e.Index, l.base+uint64(i)+1)
		invariant.Check(e.Term >= term, "log: term falls to %d at %d", e.Term, e.Index)
		bytes, term = bytes+entrySize(e), e.Term
	}
	invariant.Check(bytes == l.bytes, "log: counts %d bytes, holds %d", l.bytes, bytes)
}
