package event

import (
	"maps"
	"slices"
	"strings"
	"time"

	"concord/internal/tick"
	"concord/swim"
)

// How long events wait for others of their kind. The figures are those of Serf's agent.
const (
	coalescePeriod  = 3 * time.Second
	quiescentPeriod = time.Second
)

// Coalescer holds events back for a moment, so that of a burst only the outcome is told: of changes of one member
// the last, and nothing if it is what was told before; of user events with one name, if they allow it, the one with
// the highest Lamport time. They are told once there were no more for a second, and at the latest after three.
//
// It is a pure state machine: the time is given to it, and Deadline says when Flush wants to be called.
type Coalescer struct {
	users          *swim.Coalescer
	latest         map[string]swim.Event
	told           map[string]swim.Event // by member, what was told last of it; an update leaves the type
	quantum, quiet time.Duration         // when what waits of members is told at the latest, and if there is nothing more
}

// NewCoalescer returns an empty one.
func NewCoalescer() *Coalescer {
	return &Coalescer{users: swim.NewCoalescer(coalescePeriod, quiescentPeriod), latest: map[string]swim.Event{}, told: map[string]swim.Event{}}
}

// AddMember takes in a change of membership.
func (c *Coalescer) AddMember(now time.Duration, e swim.Event) {
	if len(c.latest) == 0 {
		c.quantum = now + coalescePeriod
	}
	c.quiet = now + quiescentPeriod
	c.latest[e.Member.Name] = Merge(c.latest[e.Member.Name], e)
}

// Merge returns what is told of a member of whom two changes wait: the later one. But who joined and then changed its
// tags has joined, with its new tags: a script that only looks at joins has to learn of it.
func Merge(earlier, later swim.Event) swim.Event {
	if earlier.Type == swim.EventJoin && later.Type == swim.EventUpdate {
		later.Type = swim.EventJoin
	}
	return later
}

// AddUser takes in a user event, and tells whether it is held back. If not, it is to be told at once.
func (c *Coalescer) AddUser(now time.Duration, e swim.UserEvent) bool { return c.users.Add(now, e) }

// Deadline is when Flush has something, tick.Never if nothing is held back.
func (c *Coalescer) Deadline() time.Duration { return min(c.membersDue(), c.users.NextDeadline()) }

func (c *Coalescer) membersDue() time.Duration {
	if len(c.latest) == 0 {
		return tick.Never
	}
	return min(c.quantum, c.quiet)
}

// Flush returns what was held back for long enough; with tick.Never, everything.
func (c *Coalescer) Flush(now time.Duration) []Event {
	var out []Event
	if c.membersDue() <= now {
		out = c.flushMembers()
	}
	for _, e := range c.users.Due(now) {
		out = append(out, OfUser(e))
	}
	return out
}

func (c *Coalescer) flushMembers() []Event {
	byType := map[string][]swim.Member{}
	for name, change := range c.latest {
		if kind, news := c.news(name, change); news {
			byType[kind.String()] = append(byType[kind.String()], change.Member)
		}
	}
	var out []Event
	for _, t := range memberTypes {
		if members := byType[t]; len(members) > 0 {
			slices.SortFunc(members, func(a, b swim.Member) int { return strings.Compare(a.Name, b.Name) })
			out = append(out, Event{Type: t, Members: members})
		}
	}
	clear(c.latest)
	return out
}

// news tells what a change is to those who know what was told before: nothing if the member is in the same state
// again, an update if only its tags or its address are others than before.
func (c *Coalescer) news(name string, change swim.Event) (swim.EventType, bool) {
	before, kind := c.told[name], change.Type
	switch {
	case kind == swim.EventReap:
		delete(c.told, name) // forgotten, so that this stays as small as the pool
		return kind, true
	case kind == swim.EventUpdate:
		change.Type = before.Type
	case kind == before.Type && kind == swim.EventJoin && !same(&before.Member, &change.Member):
		kind = swim.EventUpdate
	case kind == before.Type:
		return kind, false
	}
	c.told[name] = change
	return kind, true
}

func same(a, b *swim.Member) bool { return a.Addr == b.Addr && maps.Equal(a.Tags, b.Tags) }
