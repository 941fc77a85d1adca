package raft

import (
	"time"

	"concord/raft/progress"
)

// flush sends every follower what it may have now.
func (n *Node) flush() {
	n.lead.due = false
	for _, f := range n.lead.followers {
		for !f.Paused() && (f.Next <= n.log.last() || f.State() == progress.Probe) {
			if !n.sendAppend(f) {
				break
			}
		}
		// Let it apply what others made committed; entries would have carried it along.
		if f.State() == progress.Replicate && f.sentCommit < min(f.Match, n.log.committed) {
			n.sendHeartbeat(f)
		}
	}
}

// sendAppend sends f the next entries from memory, or asks the driver for them, or turns
// to a snapshot when the log no longer has them. It tells whether it sent something.
func (n *Node) sendAppend(f *follower) bool {
	prev := f.Next - 1
	term, ok := n.prevTerm(f, prev)
	switch {
	case !ok && prev >= n.log.first:
		n.readLog(f, prev)
		return false
	case !ok || f.Next < n.log.first && f.Next <= n.log.base || n.log.applied > 0 && n.cfg.FaultPoints.Fire("raft/snapshot-in-place-of-log"):
		n.beginSnapshot(f)
		return false
	case f.Next <= n.log.base:
		n.readLog(f, f.Next)
		return false
	}
	most := n.cfg.MaxAppendEntries
	if n.cfg.FaultPoints.Fire("raft/one-entry-at-a-time") {
		most = 1
	}
	n.sendEntries(f, prev, term, n.log.limited(f.Next, most, n.cfg.MaxAppendBytes))
	return true
}

func (n *Node) prevTerm(f *follower, index uint64) (uint64, bool) {
	if term, ok := n.log.term(index); ok {
		return term, true
	}
	return f.known.term, f.known.index == index
}

func (n *Node) sendEntries(f *follower, prev, prevTerm uint64, entries []Entry) {
	last := prev + uint64(len(entries))
	if f.Inflight() == 0 {
		f.lastNews = n.now
	}
	f.SentEntries(last)
	f.sentCommit = min(last, n.log.committed)
	n.sendAsLeader(Message{Type: MsgAppend, To: f.id, PrevIndex: prev, PrevTerm: prevTerm, Entries: entries, Commit: n.log.committed})
}

// readLog asks the driver for entries from lo up to where memory begins.
func (n *Node) readLog(f *follower, lo uint64) {
	if f.reading != nil || !n.recent(f) {
		return
	}
	f.reading = &LogRead{For: f.id, Lo: lo, Hi: n.log.base, MaxBytes: n.cfg.MaxAppendBytes}
	n.out.logReads = append(n.out.logReads, *f.reading)
}

// recent tells whether f was heard from within an election timeout; to others nothing
// costly is sent.
func (n *Node) recent(f *follower) bool { return n.now < f.lastContact+n.cfg.ElectionTimeout }

// LogRead answers a LogRead of a Ready. The entries begin with r.Lo; they may be fewer than
// asked for, but with err nil at least one. After an error, for the log may be damaged, the
// follower is sent a snapshot.
func (n *Node) LogRead(now time.Duration, r LogRead, entries []Entry, err error) {
	n.advance(now)
	if f := n.follower(r.For); f != nil && f.reading != nil && *f.reading == r {
		f.reading = nil
		switch {
		case err != nil && f.State() != progress.Snapshot:
			n.beginSnapshot(f)
		case len(entries) > 0 && entries[0].Index == r.Lo:
			n.gotEntries(f, entries)
		}
	}
	n.checkInvariants()
}

func (n *Node) gotEntries(f *follower, entries []Entry) {
	n.lead.due = true
	if entries[0].Index == f.Next-1 {
		f.known = entryID{entries[0].Index, entries[0].Term}
		entries = entries[1:]
	}
	if len(entries) == 0 || entries[0].Index != f.Next || f.Paused() {
		return // flush asks anew for what is wanted now
	}
	term, ok := n.prevTerm(f, f.Next-1)
	if !ok {
		return
	}
	n.sendEntries(f, f.Next-1, term, entries)
	last := entries[len(entries)-1]
	f.known = entryID{last.Index, last.Term}
}

// unstick looks, once per heartbeat, after a follower that may wait for what was lost.
func (n *Node) unstick(f *follower) {
	switch f.State() {
	case progress.Replicate:
		// Entries it has not received were lost. If it seems to have them, its disk is slow, or
		// its answer was lost, or it has others in their place: a heartbeat finds out, unless
		// the leader no longer knows the term to ask about.
		_, askable := n.prevTerm(f, f.Next-1)
		if f.Inflight() > 0 && (f.Received < f.Next-1 || !askable) && n.now-f.lastNews > 2*n.cfg.HeartbeatInterval {
			f.BecomeProbe()
		}
	case progress.Snapshot:
		n.unstickSnapshot(f)
	}
}

// onAppendReply is the leader's half of AppendEntries (section 5.3).
func (n *Node) onAppendReply(m *Message) {
	f := n.follower(m.From)
	if f == nil {
		return
	}
	if m.Match > n.log.last() {
		n.garbage++ // nobody has what this leader has not
		return
	}
	if m.Lost || m.Reject && m.PrevIndex <= f.Match && m.SentAt > f.matchedAt {
		n.lostData(f)
		return
	}
	n.heard(f, m)
	if m.Reject {
		index, _ := n.log.lastNotAfter(m.HintIndex, m.HintTerm)
		if f.Rejected(m.PrevIndex, index+1) {
			n.lead.due = true
		}
		return
	}
	f.Received = m.HintIndex
	n.lead.due = true
	if f.Accepted(m.Match) {
		f.lastNews, f.matchedAt = n.now, n.now
		n.tryTransfer(f)
		n.maybeCommit()
	}
}
