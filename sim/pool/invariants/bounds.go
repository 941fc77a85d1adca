package invariants

import (
	"math"
	"time"

	"concord/swim"
)

// Bounds are how soon things come about among n members without further faults.
type Bounds struct {
	Swim swim.Config
	N    int
}

// recovery is after how many periods a member that was as slow as can be probes at full speed again: its multiplier
// falls by one with each answer, after 8, 7, ... 1 periods (Lifeguard section IV-A).
func (b Bounds) recovery() int { return b.Swim.AwarenessMax * (b.Swim.AwarenessMax + 1) / 2 }

// Spread is when all know what one tells: transmissions of an update are limited (SWIM section 4.1), so it may
// only be the exchange of states that brings it to the last one.
func (b Bounds) Spread() time.Duration {
	rounds := time.Duration(math.Ceil(float64(b.Swim.RetransmitMult) * math.Log10(float64(b.N)+1)))
	return rounds*b.Swim.GossipInterval + 3*b.pushPull()
}

func (b Bounds) pushPull() time.Duration {
	steps := 1
	for n := (b.N - 1) >> 5; n > 0; n >>= 1 {
		steps++
	}
	return b.Swim.PushPullInterval * time.Duration(steps)
}

// round is when each member has probed each other one (SWIM section 4.3), and the last one failed to answer.
func (b Bounds) round() time.Duration { return time.Duration(2*b.N) * b.Swim.ProbeInterval }

// Confirmed tells whether there are enough members for suspicions that wait for others' confirmation, even with one of them
// gone.
func (b Bounds) Confirmed() bool { return b.N-2 > b.Swim.SuspicionMult-2 }

// Doubt is for how long a member that crashed is suspected: for the longest timeout at most, but once all others have failed
// to reach it as well, for the shortest (Lifeguard section IV-B).
func (b Bounds) Doubt() time.Duration {
	if !b.Confirmed() {
		return MinTimeout(&b.Swim, b.N) + 2*b.Swim.ProbeInterval
	}
	return min(MaxTimeout(&b.Swim, b.N), b.round()+MinTimeout(&b.Swim, b.N)) + 2*b.Swim.ProbeInterval
}

// Detection is when all who probe it have found out that a member crashed: it is suspected after a round.
func (b Bounds) Detection() time.Duration { return b.round() + b.Doubt() }

// Completeness is when all know that a member crashed. The first to suspect tells the others, so that in practice it is
// far sooner: docs/gossip.md has the distribution.
func (b Bounds) Completeness() time.Duration { return b.Detection() + b.Swim.PushPullInterval }

// Convergence is when all believe of all what is true after the last fault: who was slow has recovered, who is dead is
// found, and each part of a pool that forgot the others has met them by one of their seeds.
func (b Bounds) Convergence(seedsEvery time.Duration, seeds int) time.Duration {
	meet := 4 * max(b.Swim.ReconnectInterval, seedsEvery*3/2*time.Duration(seeds))
	return time.Duration(b.recovery())*b.Swim.ProbeInterval + b.Completeness() + meet
}
