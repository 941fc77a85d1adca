package pool

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"concord/gossip"
	"concord/internal/tick"
	"concord/sim/invariants"
	own "concord/sim/pool/invariants"
	"concord/swim"
	"concord/wire"
)

// Failure is a promise that was broken.
type Failure struct {
	Checker string
	At      time.Duration
	Err     error
}

// checks sees each change of what each member believes, and has it checked.
type checks struct {
	w       *World
	failure *Failure
	views   []beliefs // by host

	precedence   invariants.Membership
	incarnations own.Incarnations
	suspicion    own.Suspicion
	accuracy     own.Accuracy
	resurrection own.Resurrection
	reaping      own.Reaping
	coordinates  invariants.Coordinates
	rounds       *own.Rounds // nil: not checked now
	events       own.Events
}

// beliefs are those of one life of a member.
type beliefs struct {
	life    int
	marker  marker
	alive   int
	samples uint64 // of round trips, when its coordinate was looked at
	of      map[string]swim.Member
}

// leastAlive is the least number of members that were taken for alive at any moment of an input, during which several
// beliefs may have changed.
func (v *beliefs) leastAlive(now int, members []swim.Member) int {
	before := v.alive
	v.alive = now
	went := 0
	for i := range members {
		if old, ok := v.of[members[i].Name]; members[i].State >= swim.StateDead && (!ok || old.State < swim.StateDead) {
			went++
		}
	}
	return max(1, min(before, now)-went)
}

// marker changes whenever beliefs may have changed.
type marker struct{ accepted, suspicions, deaths, left uint64 }

func newChecks(cfg swim.Config, hosts int) *checks {
	cfg = cfg.WithDefaults()
	c := &checks{views: make([]beliefs, hosts)}
	c.suspicion.Swim, c.reaping.Swim = cfg, cfg
	c.accuracy.CalmSince = tick.Never
	c.events.Wait = 16 * cfg.GossipInterval
	return c
}

func (c *checks) fail(checker string, err error) {
	if err != nil && c.failure == nil {
		c.failure = &Failure{checker, c.w.now, err}
		c.w.logf("%s violated: %v", checker, err)
	}
}

// Died forgets what a life believed.
func (c *checks) Died(h *Host) { c.views[h.index] = beliefs{} }

// Did looks at what a member believes after an input.
func (c *checks) Did(h *Host, out *gossip.Output) {
	local := h.Pool.Local()
	c.fail("incarnations", c.incarnations.Has(h.name, h.Life(), local.Incarnation))
	if out != nil && c.rounds != nil {
		c.pings(h, out)
	}
	if out != nil {
		for i := range out.UserEvents {
			c.fail("events", c.events.Handled(h.name, &out.UserEvents[i], c.w.now >= c.accuracy.CalmSince))
		}
	}
	s := h.Pool.Stats()
	c.located(h, s.Samples)
	now := marker{s.UpdatesAccepted, s.Suspicions, s.Deaths, uint64(s.Alive)<<32 + uint64(s.Failed)<<16 + uint64(s.Left)}
	v := &c.views[h.index]
	if v.life == h.Life() && v.marker == now && (out == nil || len(out.Events) == 0) {
		return
	}
	if v.life != h.Life() {
		*v = beliefs{life: h.Life(), of: map[string]swim.Member{}}
	}
	v.marker = now
	c.compare(h, v)
}

// located looks at where a member is, once it has taken another sample.
func (c *checks) located(h *Host, samples uint64) {
	v := &c.views[h.index]
	if v.samples == samples {
		return
	}
	v.samples = samples
	if place, on := h.Pool.Coordinate(); on {
		c.fail("coordinates", c.coordinates.At(fmt.Sprintf("%s/%d", h.name, h.Life()), place, samples))
	}
}

// compare tells the invariants how what a host believes differs from what it believed before.
func (c *checks) compare(h *Host, v *beliefs) {
	members := h.Pool.Members()
	known := make(map[string]bool, len(members))
	alive := v.leastAlive(h.Pool.NumAlive(), members)
	for i := range members {
		m := &members[i]
		if m.Name == h.name {
			continue
		}
		known[m.Name] = true
		old, ok := v.of[m.Name]
		if ok && old.State == m.State && old.Incarnation == m.Incarnation && old.ID == m.ID && old.From == m.From {
			continue
		}
		change := own.Change{At: c.w.now, Viewer: h.name, Life: v.life, Alive: alive, New: m}
		if ok {
			change.Old = &old
		}
		c.changed(&change)
		v.of[m.Name] = *m
	}
	for _, name := range slices.Sorted(maps.Keys(v.of)) {
		if !known[name] {
			old := v.of[name]
			c.changed(&own.Change{At: c.w.now, Viewer: h.name, Life: v.life, Alive: alive, Old: &old})
			delete(v.of, name)
		}
	}
}

func (c *checks) changed(x *own.Change) {
	if h := c.w.Host(x.Name()); h != nil {
		x.Up = h.Up()
	}
	viewer := fmt.Sprintf("%s/%d", x.Viewer, x.Life)
	if x.New != nil {
		c.fail("precedence", c.precedence.Seen(viewer, *x.New))
	} else {
		c.precedence.Forgotten(viewer, x.Old.Name)
	}
	c.fail("incarnations", c.incarnations.Seen(x))
	c.fail("suspicion", c.suspicion.Seen(x))
	c.fail("accuracy", c.accuracy.Seen(x))
	c.fail("resurrection", c.resurrection.Seen(x))
	c.fail("reaping", c.reaping.Seen(x))
}

// pings tells whom a member probes.
func (c *checks) pings(h *Host, out *gossip.Output) {
	for i := range out.Sends {
		s := &out.Sends[i]
		p, err := wire.DecodePacket(s.Payload)
		if err == nil && !s.Stream && p.Message.Type == swim.MsgPing {
			c.fail("round robin", c.rounds.Probed(h.name, p.Message.Target))
		}
	}
}

// remembered checks that nobody remembers who is to be forgotten.
func (c *checks) remembered() {
	for _, h := range c.w.Hosts {
		if !h.Up() {
			continue
		}
		members := h.Pool.Members()
		for i := range members {
			c.fail("reaping", c.reaping.Remembered(h.name, &members[i], c.w.now))
		}
	}
}

// disagreement names somebody who does not believe what is true: of each member that runs, that it is alive, with its address,
// incarnation and tags; of each other one, that it is gone. "" if all do.
func (w *World) disagreement() string {
	for _, h := range w.Hosts {
		if !h.Up() {
			continue
		}
		for _, o := range w.Hosts {
			if what := h.misjudges(o); what != "" {
				return what
			}
		}
	}
	return ""
}

func (h *Host) misjudges(o *Host) string {
	m, known := h.Pool.Member(o.name)
	if !o.Up() {
		if known && m.State <= swim.StateSuspect {
			return fmt.Sprintf("%s takes %s, which does not run, for %v", h.name, o.name, m.State)
		}
		return ""
	}
	if !known {
		return fmt.Sprintf("%s does not know %s", h.name, o.name)
	}
	is := o.Pool.Local()
	if m.State != swim.StateAlive || m.Addr != is.Addr || m.ID != is.ID || m.Incarnation != is.Incarnation || !maps.Equal(m.Tags, is.Tags) {
		return fmt.Sprintf("%s takes %s for %v at %v with incarnation %d and tags %v; it is alive at %v with %d and %v", h.name, o.name,
			m.State, m.Addr, m.Incarnation, m.Tags, is.Addr, is.Incarnation, is.Tags)
	}
	return ""
}
