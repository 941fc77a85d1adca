package raft

import (
	"slices"
	"time"

	"concord/internal/tick"
)

// read is a request for a read index.
type read struct {
	id   uint64
	from ID // empty: this server's own
}

// readRounds confirms, for many reads at once, that this leader still is one: by a round
// of heartbeats that a majority answers (section 8, thesis section 6.4).
type readRounds struct {
	round   uint64 // number of the newest round
	running []read // confirmed by it
	index   uint64 // commit index when it began
	queued  []read // came later, wait for the next one
}

// asking is what a follower asks its leader: one question at a time, for all reads that came before it was sent.
type asking struct {
	running []uint64 // reads that the question under way is for; its ReadID is the first of them
	queued  []uint64 // came later, wait for the next question
}

// ReadIndex asks for an index such that a state machine that has applied it contains everything
// acknowledged before the call. The answer, or an error, comes in Ready.Reads, with the
// given id, which must be unique. A follower asks its leader.
func (n *Node) ReadIndex(now time.Duration, id uint64) {
	n.advance(now)
	switch {
	case n.lead != nil:
		n.queueRead(read{id: id})
	case n.leader == "":
		n.answerRead(ReadState{ID: id, Err: ErrNoLeader})
	default:
		n.asking.queued = append(n.asking.queued, id)
		n.ask()
	}
	n.checkInvariants()
}

// ask asks the leader for all queued reads, unless it is being asked.
func (n *Node) ask() {
	a := &n.asking
	if len(a.running) > 0 || len(a.queued) == 0 {
		return
	}
	a.running, a.queued = a.queued, a.running[:0]
	n.timers.Set(timerReads, n.now+n.cfg.ElectionTimeout)
	n.send(Message{Type: MsgReadIndex, To: n.leader, Term: n.hs.Term, ReadID: a.running[0]})
}

func (n *Node) answerRead(s ReadState) { n.out.reads = append(n.out.reads, s) }

func (n *Node) queueRead(r read) {
	n.lead.reads.queued = append(n.lead.reads.queued, r)
	n.startReadRound()
}

// startReadRound begins a round for all queued reads, unless one is running. Not before
// this term's first commit: until then the leader does not know what is committed.
func (n *Node) startReadRound() {
	r := &n.lead.reads
	if len(r.running) > 0 || len(r.queued) == 0 || !n.ready() {
		return
	}
	r.running, r.queued = r.queued, r.running[:0]
	r.index = n.log.committed
	r.round++
	n.heartbeats()
	n.finishReadRound()
}

// finishReadRound answers the reads if the round has its majority.
func (n *Node) finishReadRound() {
	r := &n.lead.reads
	if len(r.running) == 0 || reached(n.lead, r.round, func(f *follower) uint64 { return f.round }) < r.round {
		return
	}
	for _, q := range r.running {
		if q.from == "" {
			n.answerRead(ReadState{ID: q.id, Index: r.index})
		} else {
			n.reply(Message{Type: MsgReadIndexReply, To: q.from, ReadID: q.id, Index: r.index})
		}
	}
	r.running = r.running[:0]
	n.startReadRound()
}

// fail answers all reads when leadership is lost.
func (r *readRounds) fail(n *Node) {
	for _, q := range slices.Concat(r.running, r.queued) {
		if q.from == "" {
			n.answerRead(ReadState{ID: q.id, Err: ErrNotLeader})
		} else {
			n.reply(Message{Type: MsgReadIndexReply, To: q.from, ReadID: q.id, Reject: true})
		}
	}
}

// onReadIndex takes a follower's read.
func (n *Node) onReadIndex(m *Message) { n.queueRead(read{id: m.ReadID, from: m.From}) }

// refuseReadIndex answers a read that was sent to a server that does not lead.
func (n *Node) refuseReadIndex(m *Message) {
	n.reply(Message{Type: MsgReadIndexReply, To: m.From, ReadID: m.ReadID, Reject: true})
}

// onReadIndexReply answers the reads that the leader was asked for.
func (n *Node) onReadIndexReply(m *Message) {
	a := &n.asking
	if len(a.running) == 0 || a.running[0] != m.ReadID || m.From != n.leader {
		return
	}
	if m.Reject {
		n.failAskedReads()
		return
	}
	for _, id := range a.running {
		n.answerRead(ReadState{ID: id, Index: m.Index})
	}
	a.running = a.running[:0]
	n.timers.Clear(timerReads)
	n.ask()
}

// failAskedReads answers all reads that wait for the leader: it was lost, or the question or its answer were.
func (n *Node) failAskedReads() {
	for _, id := range slices.Concat(n.asking.running, n.asking.queued) {
		n.answerRead(ReadState{ID: id, Err: ErrNoLeader})
	}
	n.asking = asking{}
	n.timers.Clear(timerReads)
}

// LeaseRead returns an index as ReadIndex does, at once and without a message, if this leader
// holds a lease: a majority promised, not longer ago than clock drift allows, to elect nobody else
// (thesis section 6.4.1). If not ok, use ReadIndex.
func (n *Node) LeaseRead(now time.Duration) (index uint64, ok bool) {
	n.advance(now)
	if until, _ := n.lease(); n.now >= until || n.cfg.FaultPoints.Fire("raft/no-lease") {
		return 0, false
	}
	return n.log.committed, true
}

// Lease returns until when LeaseRead will answer, whether this is the only voter, and the index that it would answer with
// now; 0 without a lease. Until then nobody else commits anything.
func (n *Node) Lease(now time.Duration) (until time.Duration, sole bool, index uint64) {
	n.advance(now)
	if until, sole = n.lease(); n.now >= until {
		return 0, false, 0
	}
	return until, sole, n.log.committed
}

func (n *Node) lease() (until time.Duration, sole bool) {
	if n.lead == nil || !n.ready() || n.lead.transferee != "" {
		return 0, false
	}
	if n.soleVoter() {
		return tick.Never, true
	}
	start := reached(n.lead, n.now, func(f *follower) time.Duration { return f.ackedAt })
	if start <= n.lead.leaseAfter {
		return 0, false
	}
	return start + n.cfg.leaderLease(), false
}
