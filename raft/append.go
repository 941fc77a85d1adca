package raft

// onAppend is the AppendEntries RPC of figure 2.
func (n *Node) onAppend(m *Message) {
	if n.leader != "" && n.leader != m.From {
		impossibleSecondLeader(n, m)
		return
	}
	n.heardLeader(m)
	if n.refuseAsLost(m) {
		return
	}
	if n.installing() {
		// The log is about to be replaced: take no entries, but confirm the contact.
		n.reply(Message{Type: MsgAppendReply, To: m.From, SentAt: m.SentAt, Round: m.Round, PrevIndex: m.PrevIndex})
		return
	}
	prev, entries := m.PrevIndex, m.Entries
	if prev < n.log.committed {
		// What is committed here is in every later leader's log (Leader Completeness).
		skip := min(n.log.committed-prev, uint64(len(entries)))
		prev, entries = n.log.committed, entries[skip:]
	} else if term, ok := n.log.term(prev); !ok || term != m.PrevTerm {
		n.rejectAppend(m)
		return
	}
	appended := n.takeEntries(entries)
	last := prev + uint64(len(entries)) // up to here the logs are known to match
	n.commitTo(min(m.Commit, last))
	r := Message{Type: MsgAppendReply, To: m.From, SentAt: m.SentAt, Round: m.Round, PrevIndex: m.PrevIndex, HintIndex: n.log.last()}
	if appended {
		r.Match = last
		n.sendAfterPersist(r)
		return
	}
	// Nothing to write: answer at once, for what is on disk. So heartbeats never wait
	// for an fsync.
	r.Match = min(last, n.log.stable)
	n.reply(r)
}

// takeEntries appends what the log lacks and tells whether there was anything. On conflict
// it first deletes the old entry and all behind it.
func (n *Node) takeEntries(entries []Entry) bool {
	for i := range entries {
		e := &entries[i]
		if term, ok := n.log.term(e.Index); ok && term == e.Term {
			continue
		}
		if e.Index <= n.log.last() {
			n.truncate(e.Index)
		}
		n.log.append(entries[i:]...)
		n.configs.add(entries[i:])
		return true
	}
	return false
}

func (n *Node) truncate(index uint64) {
	n.log.truncate(index)
	n.configs.truncate(index)
	n.out.truncated(index)
	n.out.dropped(index)
}

// rejectAppend tells where the logs may meet: at the last entry not behind PrevIndex whose term is
// at most PrevTerm (end of section 5.3: one round per conflicting term, not per entry).
func (n *Node) rejectAppend(m *Message) {
	index, term := n.log.lastNotAfter(m.PrevIndex, m.PrevTerm)
	n.reply(Message{
		Type: MsgAppendReply, To: m.From, SentAt: m.SentAt, Round: m.Round, Reject: true,
		PrevIndex: m.PrevIndex, HintIndex: max(index, n.log.committed), HintTerm: term,
	})
}
