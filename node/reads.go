package node

import (
	"concord/catalog"
	"concord/raft"
	"concord/wire"
)

// reads are the reads that wait until they may be served.
type reads struct {
	last     uint64
	confirm  map[uint64]*call // wait for Raft to confirm leadership, by ReadIndex number
	applying []waitingRead    // wait until an index is applied
}

type waitingRead struct {
	index uint64
	call  *call
}

func newReads() reads { return reads{confirm: map[uint64]*call{}} }

// serveRead finds out from which index on the call may be answered (design, "Reads, indexes,
// watches").
func (s *server) serveRead(c *call) {
	r := c.req.Read
	if r.Consistency == wire.Stale {
		s.runRead(c)
		return
	}
	if r.Consistency == wire.Default {
		if index, ok := s.raft.LeaseRead(s.n.now); ok {
			s.readFrom(c, index)
			return
		}
	}
	s.reads.last++
	s.reads.confirm[s.reads.last] = c
	s.raft.ReadIndex(s.n.now, s.reads.last)
}

func (s *server) onReadState(r raft.ReadState) {
	c := s.reads.confirm[r.ID]
	if c == nil {
		return
	}
	delete(s.reads.confirm, r.ID)
	if r.Err != nil {
		s.n.tryAgain(c)
		return
	}
	s.readFrom(c, r.Index)
}

func (s *server) readFrom(c *call, index uint64) {
	if index > s.applied {
		s.reads.applying = append(s.reads.applying, waitingRead{index, c})
		return
	}
	s.runRead(c)
}

// releaseReads runs the reads that waited for what is applied now.
func (s *server) releaseReads() {
	if len(s.reads.applying) == 0 {
		return
	}
	waiting := s.reads.applying
	s.reads.applying = nil
	for _, w := range waiting {
		s.readFrom(w.call, w.index)
	}
}

// rerouteReads sends the reads that wait to whoever leads now.
func (s *server) rerouteReads() {
	waiting := s.reads.applying
	s.reads.applying = nil
	for _, id := range sortedKeys(s.reads.confirm) {
		waiting = append(waiting, waitingRead{call: s.reads.confirm[id]})
	}
	clear(s.reads.confirm)
	for _, w := range waiting {
		s.n.tryAgain(w.call)
	}
}

// runRead answers the call from the state as it is now, or parks it if it blocks.
func (s *server) runRead(c *call) {
	if c.req.Read.MinIndex > 0 {
		s.watches.add(c)
		return
	}
	if c.done != nil {
		s.readInternal(c.req.Read.Query, func(t ReadTask) {
			resp := *t.Response
			s.stamp(c, &resp)
			c.done(&resp)
		})
		return
	}
	resp := &wire.Response{}
	s.stamp(c, resp)
	s.n.env.Read(ReadTask{To: c.origin, Query: c.req.Read.Query, Response: resp})
}

// stamp says in the response how it was answered.
func (s *server) stamp(c *call, resp *wire.Response) {
	resp.Consistency = c.req.Read.Consistency
	resp.KnownLeader = s.leader != ""
	resp.Leader = string(s.leaderAddr())
	if !s.leads() && c.req.Read.Consistency == wire.Stale {
		resp.LastContact = s.n.now - s.raft.Status().LastContact
	}
}

// readInternal answers a query to this server itself.
func (s *server) readInternal(q catalog.Query, then func(ReadTask)) {
	s.lastRead++
	s.internal[s.lastRead] = then
	s.n.env.Read(ReadTask{Internal: s.lastRead, Query: q, Response: &wire.Response{}})
}

func (s *server) onRead(t ReadTask) {
	then := s.internal[t.Internal]
	delete(s.internal, t.Internal)
	if then != nil {
		then(t)
	}
}
