package swim

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// UserEvent is a message that is told to every member once, as Serf's user events are.
type UserEvent struct {
	LTime    uint64 // Lamport time at which it was fired
	Name     string
	Payload  []byte
	Coalesce bool // of a burst with the same name only the last one matters to handlers: see Coalescer

	From   string // who fired it
	Number uint32 // tells events of one member and Lamport time apart, should the member have lost its clock
	// Prev is the Lamport time of the sender's event before, if that may still be on its way; 0 if not.
	Prev uint64
	// Age is how long ago it was fired, the time on the network not counted.
	Age time.Duration
}

// ErrEvent is wrapped by what FireEvent refuses.
var ErrEvent = errors.New("swim: bad user event")

// maxBurst is how many events and queries may wait to be told when another one is fired here: no more than about half of what
// others remember, so that of a burst nothing is too old when it comes.
const maxBurst = 256

// maxHeld bounds the events that wait for an earlier one of the same sender.
const maxHeld = 256

// events is what a Node knows of user events.
type events struct {
	clock lamport
	// since is when an event must have been fired to be delivered: what was fired before this member began is not for it.
	since  time.Duration
	recent history[*heardEvent]
	held   []*heardEvent // not delivered yet, in order of arrival
	last   *heardEvent   // this member's own last one
}

// heardEvent is an event that is remembered.
type heardEvent struct {
	UserEvent
	fired     time.Duration // on this node's clock
	until     time.Duration // how long it waits for the one before it
	delivered bool
	skipped   bool // because it was fired before this member began
}

// told returns the event as it is told at the given time.
func (h *heardEvent) told(now time.Duration) UserEvent {
	e := h.UserEvent
	e.Age = max(0, now-h.fired)
	return e
}

func newEvents(cfg *Config, now time.Duration) events {
	return events{clock: lamport(max(1, cfg.EventClock)), since: now, recent: newHistory[*heardEvent](cfg.EventBuffer, cfg.EventClock)}
}

// EventClock returns the Lamport time that the next user event will have. A member that keeps it on disk and
// restarts with it as Config.EventClock does not deliver again what it delivered before.
func (n *Node) EventClock() uint64 { return uint64(n.events.clock) }

// FireEvent tells all members, this one included, of a user event. It fails with ErrEvent if the name is empty, name
// and payload are larger than Config.MaxEvent or too many wait to be told, and with ErrLeft after Leave. The payload must not be changed afterwards.
func (n *Node) FireEvent(now time.Duration, name string, payload []byte, coalesce bool) error {
	n.advance(now)
	switch {
	case n.leaving():
		return ErrLeft
	case name == "":
		return fmt.Errorf("%w: it needs a name", ErrEvent)
	case len(name)+len(payload) > n.cfg.MaxEvent:
		return fmt.Errorf("%w: user event exceeds configured limit of %d bytes: name and payload have %d; put the payload into a key and tell its name",
			ErrEvent, n.cfg.MaxEvent, len(name)+len(payload))
	case n.casts.len() >= maxBurst:
		return fmt.Errorf("%w: %d events and queries wait to be told; try again in a few seconds", ErrEvent, n.casts.len())
	}
	e := UserEvent{LTime: n.events.clock.next(), Name: name, Payload: payload, Coalesce: coalesce,
		From: n.cfg.Name, Number: uint32(n.rng.Uint64())}
	if last := n.events.last; last != nil && n.now-last.fired < n.holdTime() {
		e.Prev = last.LTime
	}
	n.stats.EventsFired++
	n.events.last = n.rememberEvent(e, true)
	n.check()
	return nil
}

// ClockAhead tells that this node's clock has gone ahead of the time by so much. An event told from now on seems to have been
// fired that much later than it was, and one from before this member began must not be taken for one from after it.
func (n *Node) ClockAhead(by time.Duration) {
	if n.events.since != beginning {
		n.events.since += by
	}
}

// rememberEvent takes in an event that is new here.
func (n *Node) rememberEvent(e UserEvent, spread bool) *heardEvent {
	h := &heardEvent{UserEvent: e, fired: n.now - e.Age, until: n.now + n.holdTime()}
	n.events.recent.follow(e.LTime)
	n.events.recent.add(e.LTime, h)
	n.newsCame()
	if spread {
		n.cast(&cast{event: h, size: e.Size()})
	}
	if n.awaitsEvent(h) && len(n.events.held) < maxHeld {
		n.events.held = append(n.events.held, h)
		n.armHeld()
	} else {
		n.deliverEvent(h)
	}
	return h
}

// cast queues an event or a query to be told, if there is anybody: who comes later gets the events with the full state.
func (n *Node) cast(c *cast) {
	if n.table.len() == 0 {
		return
	}
	if n.casts.put(c) {
		n.stats.CastsDropped++
	}
	n.wake()
}

// hearEvent takes in an event that another member told.
func (n *Node) hearEvent(e *UserEvent, spread bool) {
	if e.Validate() != nil || len(e.Name)+len(e.Payload) > n.cfg.MaxEvent || !n.events.clock.witness(e.LTime) {
		n.stats.EventsInvalid++
		return
	}
	r := &n.events.recent
	switch {
	case e.LTime < r.floor:
		n.stats.EventsOld++
	case slices.ContainsFunc(r.at(e.LTime), func(h *heardEvent) bool { return h.From == e.From && h.Number == e.Number }):
		n.stats.EventsDuplicate++
	default:
		own := *e
		own.Payload = slices.Clone(e.Payload)
		n.rememberEvent(own, spread)
	}
}

// deliverEvent hands an event to the driver, and after it those that waited for it.
func (n *Node) deliverEvent(h *heardEvent) {
	for h != nil {
		h.delivered = true
		if h.fired < n.events.since {
			h.skipped = true
			n.stats.EventsOld++
		} else {
			n.emitEvent(h)
		}
		h = n.nextHeld(h)
	}
}

func (n *Node) emitEvent(h *heardEvent) {
	n.stats.EventsDelivered++
	n.out.UserEvents = append(n.out.UserEvents, h.told(n.now))
}

// replay lets events be delivered from before this member began, those included that it has heard of already: another may
// have told it of them before it came to join.
func (n *Node) replay() {
	n.events.since = beginning
	r := &n.events.recent
	for _, t := range slices.Sorted(maps.Keys(r.slots)) {
		for _, h := range r.at(t) {
			if h.skipped {
				h.skipped = false
				n.emitEvent(h)
			}
		}
	}
}

// nextHeld takes the event that waits for h out of the list, if there is one.
func (n *Node) nextHeld(h *heardEvent) *heardEvent {
	i := slices.IndexFunc(n.events.held, func(w *heardEvent) bool { return w.From == h.From && w.Prev == h.LTime })
	if i < 0 {
		return nil
	}
	next := n.events.held[i]
	n.events.held = slices.Delete(n.events.held, i, i+1)
	return next
}

// awaitsEvent tells whether an event of the same sender must be delivered before this one.
func (n *Node) awaitsEvent(h *heardEvent) bool {
	return h.Prev != 0 && h.Prev >= n.events.recent.floor &&
		!slices.ContainsFunc(n.events.recent.at(h.Prev), func(p *heardEvent) bool { return p.From == h.From && p.delivered })
}

// holdTime is how long an event waits for an earlier one of its sender: by then that one has reached everybody if gossip
// alone brings it.
func (n *Node) holdTime() time.Duration { return n.DefaultQueryTimeout() }

func (n *Node) armHeld() {
	n.timers.Clear(timerHeld)
	for _, h := range n.events.held {
		n.timers.Set(timerHeld, min(n.timers.At(timerHeld), h.until))
	}
}

// expireHeld delivers what has waited for long enough: the event before it is lost, or comes late.
func (n *Node) expireHeld() {
	for {
		i := slices.IndexFunc(n.events.held, func(h *heardEvent) bool { return h.until <= n.now })
		if i < 0 {
			break
		}
		h := n.events.held[i]
		n.events.held = slices.Delete(n.events.held, i, i+1)
		n.stats.EventsOutOfOrder++
		n.deliverEvent(h)
	}
	n.armHeld()
}

// clocks are this member's Lamport clocks, as they ride on every packet: a member that was away learns the time before it
// fires anything.
func (n *Node) clocks() Clocks {
	return Clocks{Event: uint64(n.events.clock - 1), Query: uint64(n.queries.clock - 1)}
}

// hear takes in the clocks, events and queries that came with a packet.
func (n *Node) hear(p *Packet) {
	if n.left {
		return
	}
	m := &p.Message
	state := m.Type == MsgPushPull || m.Type == MsgPushPullReply
	if state && n.foreign(m) != nil {
		return
	}
	n.events.clock.witness(p.Clocks.Event)
	n.queries.clock.witness(p.Clocks.Query)
	if m.Type == MsgPushPullReply && m.Join && len(n.table.lists[live]) == 0 && n.events.since != beginning {
		// Whatever was fired before this member came is not for it, even if it was delivered to a former life of it.
		n.events.recent.raise(uint64(n.events.clock))
	}
	for i := range p.Events {
		n.hearEvent(&p.Events[i], !state)
	}
	for i := range p.Queries {
		n.hearQuery(&p.Queries[i])
	}
}

// digestSpan is how many Lamport times back events are compared: as many as there may be on their way from one member.
const digestSpan = maxBurst

// eventsFrom returns the first Lamport time of the events that a digest covers, 0 if there never were any. Older ones may
// have been forgotten here, or never told to a member that joined since.
func (n *Node) eventsFrom() uint64 {
	clock := uint64(n.events.clock)
	if clock == 1 {
		return 0
	}
	return max(n.events.recent.floor, max(clock, digestSpan)-digestSpan, 1)
}

// eventsDigest returns the digest of the events remembered of Lamport time from and later.
func (n *Node) eventsDigest(from uint64) (sum uint64) {
	for t, list := range n.events.recent.slots { // in whatever order
		for _, h := range list {
			if t >= from {
				sum ^= hashUint(hashUint(hashString(0, h.From), t), uint64(h.Number))
			}
		}
	}
	return sum
}

// eventsDiffer tells whether another's digest shows that it or this member missed an event. If more was forgotten here
// than there, that is for the other one to find out.
func (n *Node) eventsDiffer(d *Digest) bool {
	return d.EventsFrom != 0 && d.EventsFrom >= n.events.recent.floor && d.Events != n.eventsDigest(d.EventsFrom)
}

// beginning is the value of events.since that lets old events be delivered.
const beginning = math.MinInt64

// recentEvents returns the events remembered, for a member that exchanges its full state with this one, in the order
// of their Lamport times. They may be many; the newest are told.
func (n *Node) recentEvents() []UserEvent {
	r := &n.events.recent
	if r.total == 0 {
		return nil
	}
	times := slices.Sorted(maps.Keys(r.slots))
	budget := n.cfg.MaxState / 8
	var told []UserEvent
	for i := len(times) - 1; i >= 0 && budget > 0; i-- {
		for _, h := range r.at(times[i]) {
			e := h.told(n.now)
			budget -= e.Size()
			told = append(told, e)
		}
	}
	slices.Reverse(told)
	return told
}
