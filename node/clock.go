package node

import "time"

// clockWatch compares the monotonic clock, by which leases are counted, with the wall clock. Where they go apart, one of
// them does not show how much time has passed: the machine was suspended, its clock was set, or it is broken.
type clockWatch struct {
	started         bool
	monotonic, wall time.Duration // at the beginning of the window
}

const (
	// clockWindow is how long a window is: slow drift is the business of raft's MaxClockDriftPercent.
	clockWindow = time.Second
	// clockSlack is by how much the clocks may go apart in a window, besides clockDrift percent.
	clockSlack = 20 * time.Millisecond
	clockDrift = 10
)

// jumped tells whether the clocks have gone apart since the last call, and how far the monotonic one is ahead then.
func (c *clockWatch) jumped(monotonic, wall time.Duration) (ahead time.Duration, jumped bool) {
	passed := monotonic - c.monotonic
	ahead = passed - (wall - c.wall)
	allowed := clockSlack + passed*clockDrift/100
	jumped = c.started && (ahead > allowed || ahead < -allowed)
	if jumped || !c.started || passed > clockWindow {
		c.started, c.monotonic, c.wall = true, monotonic, wall
	}
	return ahead, jumped
}

// watchClock is called with each input.
func (n *Node) watchClock() {
	ahead, jumped := n.clock.jumped(n.now, n.env.Wall())
	if !jumped {
		return
	}
	for _, p := range n.pools {
		p.ClockAhead(max(0, ahead))
		if err := p.NewSessions(); err != nil {
			n.log(Error, p.component, "failed to begin new sessions", "error", err)
		}
	}
	if n.server == nil {
		return
	}
	n.log(Warn, "raft", "the clocks of this machine disagree on how much time has passed; leases begin anew")
	n.server.raft.ClockJumped(n.now)
}
