package swim

import (
	"cmp"
	"slices"
	"time"

	"concord/internal/tick"
)

// Coalescer holds back user events that were fired with Coalesce, so that handlers see the last one of a burst: of
// each name the one with the highest Lamport time, or all that have it. It is for drivers that run handlers; the core itself
// delivers every event.
type Coalescer struct {
	period, quiescent time.Duration
	latest            map[string][]UserEvent
	flush, quiet      time.Duration // when the burst ends at the latest; when it ends unless more comes
}

// maxCoalesced bounds the names held back; events of further ones are not.
const maxCoalesced = 1024

// NewCoalescer returns a Coalescer whose bursts end when nothing came for the quiescent time, and after the period in any
// case. With a period of 0 it holds nothing back.
func NewCoalescer(period, quiescent time.Duration) *Coalescer {
	return &Coalescer{period: period, quiescent: quiescent, latest: make(map[string][]UserEvent)}
}

// Add takes an event, and tells whether it holds it back. If not, it is to be handled at once.
func (c *Coalescer) Add(now time.Duration, e UserEvent) bool {
	if !e.Coalesce || c.period <= 0 {
		return false
	}
	known := c.latest[e.Name]
	if known == nil && len(c.latest) >= maxCoalesced {
		return false
	}
	if len(c.latest) == 0 {
		c.flush = now + c.period
	}
	c.quiet = now + c.quiescent
	switch {
	case known == nil || e.LTime > known[0].LTime:
		c.latest[e.Name] = []UserEvent{e}
	case e.LTime == known[0].LTime && len(known) < crowd:
		c.latest[e.Name] = append(known, e)
	}
	return true
}

// NextDeadline returns when the burst ends, tick.Never if there is none.
func (c *Coalescer) NextDeadline() time.Duration {
	if len(c.latest) == 0 {
		return tick.Never
	}
	return min(c.flush, c.quiet)
}

// Due returns the events of a burst that has ended, in the order of their Lamport times, and forgets them.
func (c *Coalescer) Due(now time.Duration) []UserEvent {
	if now < c.NextDeadline() {
		return nil
	}
	var due []UserEvent
	for _, list := range c.latest {
		due = append(due, list...)
	}
	clear(c.latest)
	slices.SortFunc(due, func(a, b UserEvent) int {
		return cmp.Or(cmp.Compare(a.LTime, b.LTime), cmp.Compare(a.Name, b.Name), cmp.Compare(a.From, b.From), cmp.Compare(a.Number, b.Number))
	})
	return due
}
