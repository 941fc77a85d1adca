package agent

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"concord/gossip"
	"concord/gossip/agent/event"
	"concord/gossip/agent/logs"
	"concord/internal/tick"
	"concord/swim"
)

// maxWaiting bounds the user events and the queries that wait to be handled.
const maxWaiting = 4096

// inbox has what the pool told until work gets to it. It never makes the pool wait: of each member it keeps the latest
// change, and of user events and queries what it has room for.
type inbox struct {
	mu     sync.Mutex
	batch  batch
	ready  chan struct{} // holds a token while there is something
	closed bool
}

// batch is what was told since work looked last.
type batch struct {
	members     map[string]swim.Event
	users       []swim.UserEvent
	questions   []swim.Question
	keyrings    []gossip.SaveKeyring // the pool has few at a time
	incarnation uint64
	conflict    bool // another node has this agent's name
	dropped     int
	closed      bool
}

func newInbox() *inbox { return &inbox{ready: make(chan struct{}, 1)} }

func (i *inbox) put(o *gossip.Output, name string) {
	conflict := slices.ContainsFunc(o.Notices, func(n swim.Notice) bool { return n.Level == swim.Error && n.Member == name })
	if len(o.Events)+len(o.UserEvents)+len(o.Questions)+len(o.SaveKeyrings) == 0 && o.Incarnation == 0 && !conflict {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	b := &i.batch
	for _, e := range o.Events {
		if b.members == nil {
			b.members = map[string]swim.Event{}
		}
		b.members[e.Member.Name] = event.Merge(b.members[e.Member.Name], e)
	}
	for _, e := range o.UserEvents {
		if len(b.users) < maxWaiting {
			b.users = append(b.users, e)
		} else {
			b.dropped++
		}
	}
	for _, q := range o.Questions {
		if len(b.questions) < maxWaiting {
			b.questions = append(b.questions, q)
		} else {
			b.dropped++
		}
	}
	b.conflict = b.conflict || conflict
	b.keyrings = append(b.keyrings, o.SaveKeyrings...)
	b.incarnation = max(b.incarnation, o.Incarnation)
	i.signal()
}

func (i *inbox) signal() {
	select {
	case i.ready <- struct{}{}:
	default:
	}
}

// close lets work end once it has handled what is there.
func (i *inbox) close() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.batch.closed = true
	i.signal()
}

func (i *inbox) take() batch {
	i.mu.Lock()
	defer i.mu.Unlock()
	b := i.batch
	i.batch = batch{closed: b.closed}
	return b
}

// work handles what the pool tells, until the inbox is closed: it remembers it, and then has it told, at once or
// coalesced.
func (a *Agent) work() {
	start := time.Now()
	c := event.NewCoalescer()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-a.inbox.ready:
		case <-timer.C:
		}
		now := time.Since(start)
		b := a.inbox.take()
		a.saveKeyrings(b.keyrings)
		a.remember(&b)
		a.take(now, c, &b)
		if b.conflict && a.names.again(now) && !a.cfg.DisableResolution {
			a.wg.Go(a.resolveName)
		}
		if b.closed {
			now = tick.Never // nothing more will come
		}
		for _, e := range c.Flush(now) {
			a.tell(e)
		}
		if b.closed {
			return
		}
		if at := c.Deadline(); at != tick.Never {
			timer.Reset(max(0, at-time.Since(start)))
		} else {
			timer.Stop()
		}
	}
}

// take tells of what is not coalesced.
func (a *Agent) take(now time.Duration, c *event.Coalescer, b *batch) {
	for _, e := range byName(b.members) {
		addr := " " + e.Member.Addr.Addr().Unmap().String()
		if e.Type == swim.EventUpdate {
			addr = ""
		}
		a.log.Printf(logs.Info, "serf: %s: %s%s", serfNames[e.Type], e.Member.Name, addr)
		c.AddMember(now, e)
	}
	for _, e := range b.users {
		if !c.AddUser(now, e) {
			a.tell(event.OfUser(e))
		}
	}
	for _, q := range b.questions {
		a.tell(event.OfQuery(q))
	}
	if b.dropped > 0 {
		a.log.Printf(logs.Warn, "agent: %d user events and queries were dropped: more came than could be handled", b.dropped)
	}
}

// serfNames are what Serf's log calls the changes of membership.
var serfNames = map[swim.EventType]string{swim.EventJoin: "EventMemberJoin", swim.EventLeave: "EventMemberLeave",
	swim.EventFailed: "EventMemberFailed", swim.EventUpdate: "EventMemberUpdate", swim.EventReap: "EventMemberReap"}

func byName(events map[string]swim.Event) []swim.Event {
	return slices.SortedFunc(maps.Values(events), func(a, b swim.Event) int { return strings.Compare(a.Member.Name, b.Member.Name) })
}

// remember writes to the snapshot what a batch changes, before any of it is told: after a crash an event may not have been
// told, but it is never told twice.
func (a *Agent) remember(b *batch) {
	if a.snap == nil {
		return
	}
	var failed error
	keep := func(err error) {
		if err != nil {
			failed = err
		}
	}
	if b.incarnation != 0 {
		keep(a.snap.SetIncarnation(b.incarnation))
	}
	for _, e := range byName(b.members) {
		switch name := e.Member.Name; {
		case name == a.cfg.NodeName && e.Type == swim.EventLeave:
			keep(a.snap.SetLeft())
		case name == a.cfg.NodeName:
		case e.Member.State == swim.StateAlive || e.Member.State == swim.StateSuspect:
			keep(a.snap.SetAlive(name, e.Member.Addr))
		default:
			keep(a.snap.SetGone(name))
		}
	}
	for _, e := range b.users {
		keep(a.snap.SetEventTime(e.LTime))
	}
	for _, q := range b.questions {
		keep(a.snap.SetQueryTime(q.ID.LTime))
	}
	if failed != nil {
		a.log.Printf(logs.Err, "agent: Failed to update the snapshot: %v: a restart may forget members and repeat events", failed)
	}
}
