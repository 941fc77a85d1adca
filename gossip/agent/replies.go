package agent

import (
	"context"
	"net/netip"
	"time"

	"concord/gossip"
	"concord/gossip/agent/ipc"
	"concord/gossip/agent/logs"
	"concord/swim"
)

// maxQueries bounds the agent's own queries that are under way.
const maxQueries = 256

// replies are those who wait for what comes of a join, a query, a change of keys or leaving. Only the pool's loop touches them, in calls and
// when the pool told something, so nobody misses an answer that comes at once.
type replies struct {
	joins   map[netip.AddrPort][]chan error
	queries map[swim.QueryID]chan ipc.QueryRecord
	keys    map[uint64]chan gossip.KeyResponse
	left    []chan struct{}
	gone    bool // the agent has left
}

func newReplies() *replies {
	return &replies{joins: map[netip.AddrPort][]chan error{}, queries: map[swim.QueryID]chan ipc.QueryRecord{}, keys: map[uint64]chan gossip.KeyResponse{}}
}

// take hands what the pool told to those who wait. It never waits for them.
func (r *replies) take(o *gossip.Output) {
	for _, j := range o.Joined {
		waiting := r.joins[j.Addr]
		if len(waiting) == 0 {
			continue
		}
		waiting[0] <- j.Err
		if r.joins[j.Addr] = waiting[1:]; len(waiting) == 1 {
			delete(r.joins, j.Addr)
		}
	}
	for i := range o.Replies {
		r.takeReply(&o.Replies[i])
	}
	for _, k := range o.KeyResults {
		if c := r.keys[k.ID]; c != nil {
			c <- k.KeyResponse
			delete(r.keys, k.ID)
		}
	}
	if o.Left {
		r.gone = true
		for _, c := range r.left {
			close(c)
		}
		r.left = nil
	}
}

func (r *replies) takeReply(reply *swim.Reply) {
	c := r.queries[reply.ID]
	if c == nil {
		return
	}
	record := ipc.QueryRecord{Type: ipc.RecordResponse, From: reply.From, Payload: reply.Payload}
	switch {
	case reply.Done:
		record = ipc.QueryRecord{Type: ipc.RecordDone}
	case reply.Ack:
		record = ipc.QueryRecord{Type: ipc.RecordAck, From: reply.From}
	}
	if !reply.Done && len(c) == cap(c)-1 {
		return // more answers than members: the last place is for the end
	}
	c <- record
	if reply.Done {
		close(c)
		delete(r.queries, reply.ID)
	}
}

// Leave implements ipc.Backend. It returns when enough members know.
func (a *Agent) Leave(ctx context.Context) error {
	a.log.Printf(logs.Info, "agent: requesting graceful leave")
	left := make(chan struct{})
	err := a.call(ctx, func(now time.Duration, p *gossip.Pool) {
		if a.replies.gone {
			close(left)
			return
		}
		a.replies.left = append(a.replies.left, left)
		p.Leave(now)
	})
	if err != nil {
		return err
	}
	select {
	case <-left:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
