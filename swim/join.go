package swim

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"
)

var (
	// ErrJoinTimeout is in a JoinResult when the address did not answer.
	ErrJoinTimeout = errors.New("swim: no answer to the join in time; is a member running there, with the same encryption key?")
	// ErrUnreachable is in a JoinResult when no connection to the address could be made.
	ErrUnreachable = errors.New("swim: no connection to the address; is a member running there, and is the port open for TCP?")
	// ErrTooManyJoins is in a JoinResult when too many joins are under way.
	ErrTooManyJoins = errors.New("swim: too many joins are under way; try again when they are answered")
	// ErrAddress is in a JoinResult when the address is none to connect to.
	ErrAddress = errors.New("swim: the address needs an IP without zone and a port")
	// ErrLeft is returned by what a member cannot do after Leave.
	ErrLeft = errors.New("swim: this member has left; restart it to join again")
	// ErrUnknownMember is returned by ForceLeave for a name that is not known.
	ErrUnknownMember = errors.New("swim: no member has this name")
	// ErrSelf is returned by ForceLeave for this member's own name.
	ErrSelf = errors.New("swim: this is the local member's own name; let it leave instead")
)

// join is one address that was asked to let this member in.
type join struct {
	addr    netip.AddrPort
	seq     uint64
	expires time.Duration
}

// maxJoins bounds the joins under way.
const maxJoins = 1024

// Join exchanges full states with whoever is at the addresses. Each one's outcome comes in
// Output.Joined, at the latest after Config.JoinTimeout.
func (n *Node) Join(now time.Duration, addrs []netip.AddrPort) {
	n.advance(now)
	for _, addr := range addrs {
		var err error
		switch {
		case n.leaving():
			err = ErrLeft
		case !validAddr(addr):
			err = ErrAddress
		case len(n.joins) >= maxJoins:
			err = ErrTooManyJoins
			n.stats.JoinsRefused++
		}
		if err != nil {
			n.out.Joined = append(n.out.Joined, JoinResult{Addr: addr, Err: err})
			continue
		}
		n.seq++
		n.joins = append(n.joins, join{addr: addr, seq: n.seq, expires: n.now + n.cfg.JoinTimeout})
		n.pushPull(addr, n.seq, true)
	}
	n.armJoins()
	n.check()
}

// JoinReplay is Join, but the user events that the pool remembers from before this member began are delivered, too.
func (n *Node) JoinReplay(now time.Duration, addrs []netip.AddrPort) {
	n.advance(now)
	n.replay()
	n.Join(now, addrs)
}

// StreamFailed tells that a stream to addr could not be delivered. A join to it has failed then.
func (n *Node) StreamFailed(now time.Duration, addr netip.AddrPort) {
	n.advance(now)
	n.stats.StreamsFailed++
	for i := 0; i < len(n.joins); {
		if n.joins[i].addr == addr {
			n.joined(n.joins[i].seq, ErrUnreachable)
		} else {
			i++
		}
	}
	n.check()
}

// joined reports the outcome of the join with the given number, if there is one.
func (n *Node) joined(seq uint64, err error) {
	i := slices.IndexFunc(n.joins, func(j join) bool { return j.seq == seq })
	if i < 0 {
		return
	}
	n.out.Joined = append(n.out.Joined, JoinResult{Addr: n.joins[i].addr, Err: err})
	n.joins = slices.Delete(n.joins, i, i+1)
	n.armJoins()
}

func (n *Node) expireJoins() {
	for len(n.joins) > 0 && n.joins[0].expires <= n.now {
		n.joined(n.joins[0].seq, ErrJoinTimeout)
	}
	n.armJoins()
}

// armJoins waits for the oldest join, the first to time out.
func (n *Node) armJoins() {
	n.timers.Clear(timerJoin)
	if len(n.joins) > 0 {
		n.timers.Set(timerJoin, n.joins[0].expires)
	}
}

// SetTags replaces this member's tags and tells everyone. The map must not be changed afterwards. It
// fails with ErrUpdate if the tags are larger than MaxTags, and with ErrLeft after Leave.
func (n *Node) SetTags(now time.Duration, tags map[string]string) error {
	n.advance(now)
	if n.leaving() {
		return ErrLeft
	}
	c := *n.self.claim
	c.Tags = tags
	if err := c.Validate(); err != nil {
		return err
	}
	if maps.Equal(tags, n.self.claim.Tags) {
		return nil
	}
	n.setSelf(&c)
	n.raise(0, StateAlive)
	n.event(EventUpdate, &n.self)
	n.check()
	return nil
}

// Leave departs from the pool. When enough members were told, or after Config.LeaveTimeout,
// Output.Left is set; then the driver can stop.
func (n *Node) Leave(now time.Duration) {
	n.advance(now)
	if !n.leaving() {
		c := *n.self.claim
		c.State = StateLeft
		n.setSelf(&c)
		n.probe.active = false
		for _, t := range []int{timerProbe, timerIndirect, timerPushPull, timerReconnect} {
			n.timers.Clear(t)
		}
		n.timers.Set(timerLeave, n.now+n.cfg.LeaveTimeout)
		n.expireQueries(true)
		n.queue.put(&c)
		if len(n.table.lists[live]) == 0 {
			n.finishLeave()
		} else {
			n.gossip()
		}
	}
	n.check()
}

// checkLeft ends leaving when the departure was transmitted as often as any update is.
func (n *Node) checkLeft() {
	if !n.left && !n.queue.has(n.cfg.Name) {
		n.finishLeave()
	}
}

func (n *Node) finishLeave() {
	if n.left {
		return
	}
	n.left = true
	n.out.Left = true
	n.event(EventLeave, &n.self)
	for len(n.joins) > 0 {
		n.joined(n.joins[0].seq, ErrLeft)
	}
	for t := range timers {
		n.timers.Clear(t)
	}
}

// ForceLeave turns the named member from failed to left, for everyone; with prune it is forgotten at
// once. A member that is alive refutes and comes back. It fails with ErrUnknownMember or ErrSelf.
func (n *Node) ForceLeave(now time.Duration, name string, prune bool) error {
	n.advance(now)
	if name == n.cfg.Name {
		return ErrSelf
	}
	m := n.table.get(name)
	if m == nil || m.claim.Prune {
		return fmt.Errorf("%w: %q; the members command lists those known", ErrUnknownMember, name)
	}
	c := *n.statement(m)
	c.State, c.Prune, c.From, c.Age = StateLeft, prune, n.cfg.Name, 0
	n.learn(&c, true)
	n.check()
	return nil
}

// Stats returns the counters and gauges for metrics.
func (n *Node) Stats() Stats {
	s := n.stats
	s.Health, s.Queued = n.health.score, n.queue.len()
	s.QueuedEvents, s.QueuedQueries = n.casts.counts()
	s.EventTime, s.QueryTime = n.EventClock(), n.QueryClock()
	s.Alive, s.Failed = n.NumAlive(), n.failed
	s.Left = n.table.len() + 1 - s.Alive - s.Failed
	return s
}
