package node

import (
	"concord/catalog"
	"concord/internal/tick"
	"concord/wire"
)

// watches are the blocking reads. Those that ask the same are one group, which is evaluated
// once for all of them.
//
// No change is missed: a group watches its topics before it is evaluated, and an evaluation that a
// change came upon is repeated.
type watches struct {
	s      *server
	index  catalog.Watches
	last   uint64
	groups map[string]*group // by encoded query
	byID   map[uint64]*group
	tokens map[uint64]*waiter
	queue  tick.Queue[*waiter]
}

// group is all waiters for one query.
type group struct {
	id         uint64
	key        string
	query      catalog.Query
	waiters    []*waiter
	evaluating bool
	dirty      bool            // something was touched since the evaluation began
	answer     *catalog.Answer // of the last evaluation, nil when something was touched since
	applied    uint64          // index of the state that the evaluation saw
}

// waiter is one blocking read.
type waiter struct {
	call  *call
	group *group
	timer *tick.Item[*waiter]
	round bool // it waited before the evaluation under way began, which may so answer it
	late  bool // its time is over: the next evaluation answers it, whatever the index
}

func newWatches(s *server) *watches {
	return &watches{s: s, groups: map[string]*group{}, byID: map[uint64]*group{}, tokens: map[uint64]*waiter{}}
}

// add parks a blocking read whose consistency is established.
func (w *watches) add(c *call) {
	key := string(wire.AppendRequest(nil, &wire.Request{Read: &wire.Read{Query: c.req.Read.Query}}))
	g := w.groups[key]
	if g == nil {
		w.last++
		g = &group{id: w.last, key: key, query: c.req.Read.Query}
		w.groups[key], w.byID[g.id] = g, g
		w.index.Add(g.id, catalog.Topics(g.query))
	}
	wt := &waiter{call: c, group: g}
	g.waiters = append(g.waiters, wt)
	wt.timer = w.queue.Add(c.blocked, wt)
	if c.origin.Token != 0 {
		w.tokens[c.origin.Token] = wt
	}
	if g.answer != nil {
		w.settle(g)
		return
	}
	w.evaluate(g)
}

func (w *watches) evaluate(g *group) {
	if g.evaluating {
		return
	}
	g.evaluating, g.dirty = true, false
	for _, wt := range g.waiters {
		wt.round = true
	}
	id := g.id
	w.s.readInternal(g.query, func(t ReadTask) { w.evaluated(id, t) })
}

func (w *watches) evaluated(id uint64, t ReadTask) {
	g := w.byID[id]
	if g == nil {
		return
	}
	g.evaluating = false
	if t.Response.Code != wire.OK {
		for _, wt := range g.waiters {
			w.finish(wt, t.Response)
		}
		w.compact(g)
		return
	}
	g.answer, g.applied = t.Response.Answer, t.Response.Applied
	w.settle(g)
	if g.dirty {
		g.answer = nil
		if len(g.waiters) > 0 {
			w.evaluate(g)
		}
	}
}

// settle answers the waiters that the group's answer is news to.
func (w *watches) settle(g *group) {
	for _, wt := range g.waiters {
		if g.dirty && !wt.round {
			continue // it asked after a change that the answer may not show
		}
		if g.answer.Index > wt.call.req.Read.MinIndex || wt.late {
			w.tell(wt)
		}
	}
	w.compact(g)
}

// tell answers a waiter, if this server may still speak for the cluster. While nothing was touched the answer is
// also that of the state as it is now.
func (w *watches) tell(wt *waiter) {
	c, g := wt.call, wt.group
	applied := g.applied
	if !g.dirty {
		applied = max(applied, w.s.applied)
	}
	if c.req.Read.Consistency != wire.Stale {
		if _, ok := w.s.raft.LeaseRead(w.s.n.now); !ok {
			w.drop(wt)
			w.s.n.tryAgain(c)
			return
		}
	}
	resp := &wire.Response{Answer: g.answer, Applied: applied}
	w.s.stamp(c, resp)
	w.finish(wt, resp)
}

func (w *watches) finish(wt *waiter, resp *wire.Response) {
	w.drop(wt)
	w.s.n.answer(wt.call, resp)
}

// drop ends the waiting; compact takes it out of the group.
func (w *watches) drop(wt *waiter) {
	w.queue.Remove(wt.timer)
	delete(w.tokens, wt.call.origin.Token)
	wt.group = nil
}

// compact takes the waiters out that wait no more, and the group if nobody waits.
func (w *watches) compact(g *group) {
	kept := g.waiters[:0]
	for _, wt := range g.waiters {
		if wt.group != nil {
			kept = append(kept, wt)
		}
	}
	clear(g.waiters[len(kept):])
	g.waiters = kept
	if len(kept) == 0 && w.byID[g.id] == g {
		w.index.Remove(g.id)
		delete(w.groups, g.key)
		delete(w.byID, g.id)
	}
}

// touched wakes the groups that watch any of the topics.
func (w *watches) touched(topics []catalog.Topic) {
	if len(topics) == 0 || len(w.byID) == 0 {
		return
	}
	for _, id := range w.index.Touched(topics) {
		w.wake(w.byID[id])
	}
}

// all wakes every group: the whole state was replaced.
func (w *watches) all() {
	for _, id := range sortedKeys(w.byID) {
		w.wake(w.byID[id])
	}
}

func (w *watches) wake(g *group) {
	g.dirty, g.answer = true, nil
	w.evaluate(g)
}

// expire answers the waiters whose time is over with what is there now.
func (w *watches) expire() {
	for {
		wt, due := w.queue.Due(w.s.n.now)
		if !due {
			return
		}
		wt.late = true
		g := wt.group
		if g.answer != nil {
			w.tell(wt)
			w.compact(g)
			continue
		}
		w.evaluate(g)
	}
}

// cancel forgets the waiter of a caller that is gone.
func (w *watches) cancel(token uint64) {
	if wt := w.tokens[token]; wt != nil {
		g := wt.group
		w.drop(wt)
		w.compact(g)
	}
}

// reroute sends the waiters that want the leader's word to the next one.
func (w *watches) reroute() {
	for _, id := range sortedKeys(w.byID) {
		g := w.byID[id]
		for _, wt := range g.waiters {
			if wt.call.req.Read.Consistency != wire.Stale {
				w.drop(wt)
				w.s.n.tryAgain(wt.call)
			}
		}
		w.compact(g)
	}
}
