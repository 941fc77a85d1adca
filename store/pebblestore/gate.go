package pebblestore

import (
	"math"
	"sync/atomic"
)

// gate counts the calls in progress, so that Close can wait for them: Pebble panics when it is used while, or after,
// it is closed. It is not a sync.RWMutex because a call may begin within another, as a Get within a Scan does, which
// a waiting writer would turn into a deadlock.
type gate struct {
	n    atomic.Int64 // calls in progress; shut is added when it is shut
	idle chan struct{}
}

const shut = math.MinInt64 / 2

func newGate() gate { return gate{idle: make(chan struct{}, 1)} }

// enter begins a call, unless the gate is shut; after true, leave ends it.
func (g *gate) enter() bool {
	if g.n.Add(1) > 0 {
		return true
	}
	g.leave()
	return false
}

func (g *gate) leave() {
	if g.n.Add(-1) == shut {
		select {
		case g.idle <- struct{}{}:
		default: // told already
		}
	}
}

// isShut tells whether shut was called.
func (g *gate) isShut() bool { return g.n.Load() < 0 }

// shut lets nobody in any more and waits for those inside. Only the first call returns true.
func (g *gate) shut() bool {
	for {
		n := g.n.Load()
		if n < 0 {
			return false
		}
		if g.n.CompareAndSwap(n, n+shut) {
			if n > 0 {
				<-g.idle
			}
			return true
		}
	}
}
