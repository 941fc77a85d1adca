package node

import (
	"time"

	"concord/wire"
)

// ReadView is what a driver needs to answer reads on a server without asking the node, which has one thread: the
// state machine can be read by many.
//
// It is sound because a leader acknowledges a write only after its own state machine has it: as long as nobody else can
// have acknowledged anything, what the state machine contains is what a client may expect. The driver reads first and then checks
// Allows with the newest view and the time after the read, so that the read lies within the lease.
type ReadView struct {
	// Until is when the leader's lease ends, on the node's clock; 0: it has none.
	Until time.Duration
	// Sole tells that this is the only voter: nobody else can lead.
	Sole bool
	// Offset is what the wall clock is ahead of the node's: if that has changed, the machine may have been suspended.
	Offset time.Duration
	// Committed is the index that the state machine must have applied before the read: others may have it already, and have shown
	// it to somebody.
	Committed uint64
	// Leads tells whether this server leads, Leader where the leader is ("": unknown), and Contact when it was last heard
	// from.
	Leads   bool
	Leader  string
	Contact time.Duration
}

// Allows tells whether a read may be answered that was done before the given times of the two clocks, of a state machine that
// had applied everything up to an index.
func (v *ReadView) Allows(r *wire.Read, now, wall time.Duration, applied uint64) bool {
	switch {
	case v == nil || r.MinIndex > 0:
		return false
	case r.Consistency == wire.Stale:
		return true
	case r.Consistency == wire.Consistent && !v.Sole:
		return false
	}
	moved := wall - now - v.Offset
	return now < v.Until && applied >= v.Committed && moved < clockSlack && moved > -clockSlack
}

// Response begins the answer to a read that is allowed.
func (v *ReadView) Response(r *wire.Read, now time.Duration) *wire.Response {
	resp := &wire.Response{Consistency: r.Consistency, KnownLeader: v.Leader != "", Leader: v.Leader}
	if !v.Leads {
		resp.LastContact = now - v.Contact
	}
	return resp
}

// publishView tells the driver what has changed for readers. It comes before the messages by which this server lets go of
// its lease are sent.
func (s *server) publishView() {
	v := ReadView{Leads: s.leads(), Leader: string(s.leaderAddr()), Offset: s.n.env.Wall() - s.n.now}
	v.Until, v.Sole, v.Committed = s.raft.Lease(s.n.now)
	v.Contact = s.raft.LastContact()
	old := &s.view
	moved := v.Offset - old.Offset
	// An extension of the lease can wait a little, and clocks are read one after the other.
	same := v.Leads == old.Leads && v.Committed == old.Committed && v.Leader == old.Leader && v.Sole == old.Sole && (v.Until == 0) == (old.Until == 0) &&
		v.Until-old.Until < viewGrain && v.Until >= old.Until && v.Contact-old.Contact < viewGrain && moved < clockSlack/4 && moved > -clockSlack/4
	if same {
		return
	}
	s.view = v
	s.n.env.View(v)
}

// viewGrain is by how much a published view may lag behind.
const viewGrain = 20 * time.Millisecond
