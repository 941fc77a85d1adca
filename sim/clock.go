package sim

import (
	"time"

	"concord/node"
)

// clock is a host's own monotonic clock: it may run fast or slow, jump ahead and stand still, but never go back.
// Between two changes it is linear in the time of the world.
type clock struct {
	local, world time.Duration // at the last change
	rate         int64         // per mille of the world's; 0: stands still
}

// now is what the clock shows at a time of the world.
func (c *clock) now(world time.Duration) time.Duration {
	return c.local + time.Duration(int64(world-c.world)*c.rate/1000)
}

// when is the time of the world at which the clock shows t, or just after; node.Never if it stands still.
func (c *clock) when(t time.Duration) time.Duration {
	if c.rate == 0 || t == node.Never {
		return node.Never
	}
	return c.world + time.Duration(int64(t-c.local)*1000/c.rate) + time.Microsecond
}

// change sets the clock's rate from now on, and lets it jump.
func (c *clock) change(world time.Duration, rate int64, jump time.Duration) {
	c.local, c.world, c.rate = c.now(world)+jump, world, rate
}

// setClock changes a host's clock. What the node waits for comes earlier or later by it.
func (h *Host) setClock(rate int64, jump time.Duration) {
	h.clock.change(h.w.now, rate, jump)
	if h.state == hostUp {
		h.wake = never
		h.schedule()
	}
}
