package raft

// outbox collects the effects of the input methods until the next Ready, and follows the
// writes that were handed out.
type outbox struct {
	id           uint64
	messages     []Message
	afterPersist []Message
	reads        []ReadState
	logReads     []LogRead
	chunkReads   []ChunkRead
	chunkWrite   *ChunkWrite
	droppedFrom  uint64
	lost         []ID
	reported     RoleChange

	hsWritten HardState // handed out to be written
	hsDurable HardState
	writes    []write // handed out, not durable yet, oldest first

	committed uint64 // as of the last checkInvariants
}

// write is a Ready whose writes are on their way to the disk.
type write struct {
	id   uint64
	hs   HardState
	last uint64 // index of its last entry that was not truncated since; 0: none
}

// persisted takes the writes up to id off the list. It returns the new stable index, and
// whether the hard state hs became durable.
func (o *outbox) persisted(id, stable uint64, hs HardState) (uint64, bool) {
	done := 0
	for done < len(o.writes) && o.writes[done].id <= id {
		stable = max(stable, o.writes[done].last)
		o.hsDurable = o.writes[done].hs
		done++
	}
	if done == 0 {
		return stable, false
	}
	o.writes = append(o.writes[:0], o.writes[done:]...)
	return stable, o.hsDurable == hs
}

// truncated notes that entries from index on are overwritten: a write of the old ones
// that completes later says nothing about the new ones.
func (o *outbox) truncated(index uint64) {
	for i := range o.writes {
		o.writes[i].last = min(o.writes[i].last, index-1)
	}
}

func (o *outbox) dropped(from uint64) {
	if o.droppedFrom == 0 || from < o.droppedFrom {
		o.droppedFrom = from
	}
}

// HasReady tells whether Ready has something to do.
func (n *Node) HasReady() bool {
	o := &n.out
	return len(o.messages) > 0 || len(o.afterPersist) > 0 || len(o.reads) > 0 || len(o.logReads) > 0 ||
		len(o.chunkReads) > 0 || o.chunkWrite != nil || o.droppedFrom != 0 || len(o.lost) > 0 || n.hs != o.hsWritten ||
		n.log.written < n.log.last() || n.log.applying < n.applicable() ||
		n.roleNow() != o.reported || n.lead != nil && n.lead.due
}

// Ready returns all there is to do since the last call, and gives it away: the slices are
// the driver's, except that Entries, and the Entries inside messages, are shared with the log
// and must never be changed. A leader also batches here: what was proposed since the last
// call goes out in as few messages as possible.
func (n *Node) Ready() Ready {
	if n.lead != nil {
		n.flush()
	}
	o := &n.out
	o.id++
	rd := Ready{
		ID: o.id, Messages: o.messages, AfterPersist: o.afterPersist, Reads: o.reads,
		LogReads: o.logReads, ChunkReads: o.chunkReads, ChunkWrite: o.chunkWrite, DroppedFrom: o.droppedFrom, Lost: o.lost,
	}
	o.messages, o.afterPersist, o.reads, o.logReads, o.chunkReads = nil, nil, nil, nil, nil
	o.chunkWrite, o.droppedFrom, o.lost = nil, 0, nil
	if n.hs != o.hsWritten {
		hs := n.hs
		rd.HardState, o.hsWritten = &hs, hs
	}
	w := write{id: o.id, hs: n.hs}
	if last := n.log.last(); n.log.written < last {
		rd.Entries = n.log.slice(n.log.written+1, last+1)
		n.log.written, w.last = last, last
	}
	if rd.MustPersist() {
		o.writes = append(o.writes, w)
	}
	if hi := n.applicable(); n.log.applying < hi {
		rd.Committed = n.log.slice(n.log.applying+1, hi+1)
		n.log.applying = hi
	}
	if now := n.roleNow(); now != o.reported {
		o.reported, rd.RoleChange = now, &now
	}
	n.checkInvariants()
	return rd
}

// applicable returns up to where entries may be applied: committed, and on this server's
// own disk, so that a state machine is never ahead of its log after a crash.
func (n *Node) applicable() uint64 {
	if n.installing() {
		return n.log.applying
	}
	return min(n.log.committed, n.log.stable)
}

func (n *Node) roleNow() RoleChange {
	return RoleChange{Role: n.role, Term: n.hs.Term, Leader: n.leader}
}

// send hands out a message that may leave at once.
func (n *Node) send(m Message) {
	m.From = n.cfg.ID
	n.out.messages = append(n.out.messages, m)
}

// sendAfterPersist hands out a message that answers for what is not yet on disk.
func (n *Node) sendAfterPersist(m Message) {
	m.From, m.Term = n.cfg.ID, n.hs.Term
	if m.Type == MsgAppendReply && !m.Reject {
		// One answer does for all entries that go to the disk together.
		if k := len(n.out.afterPersist); k > 0 {
			if p := &n.out.afterPersist[k-1]; p.Type == MsgAppendReply && !p.Reject && p.To == m.To && p.Term == m.Term {
				m.Match, m.SentAt, m.Round = max(m.Match, p.Match), max(m.SentAt, p.SentAt), max(m.Round, p.Round)
				*p = m
				return
			}
		}
	}
	n.out.afterPersist = append(n.out.afterPersist, m)
}

// reply answers with the current term: at once if that is on disk.
func (n *Node) reply(m Message) {
	if n.hs != n.out.hsDurable {
		n.sendAfterPersist(m)
		return
	}
	m.Term = n.hs.Term
	n.send(m)
}
