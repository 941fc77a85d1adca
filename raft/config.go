package raft

import (
	"errors"
	"fmt"
	"time"

	"concord/internal/faultpoint"
)

// Config holds the constants of one server. All servers of a cluster should have the
// same LeaseTimeout and ElectionTimeout: a lease is safe only if no follower's
// LeaseTimeout is shorter than the leader's.
type Config struct {
	// ID is this server. Required.
	ID ID
	// ElectionTimeout is the shortest time without a leader after which a follower
	// campaigns; each time is drawn from [T, 2T) (section 5.2). A leader that hears from
	// no quorum for this long steps down, and a transfer that takes longer is aborted.
	ElectionTimeout time.Duration
	// HeartbeatInterval is how often an idle leader tells that it is there.
	HeartbeatInterval time.Duration
	// LeaseTimeout is how long after the last word of its leader a follower neither
	// campaigns nor votes, measured on its own clock. At most ElectionTimeout.
	LeaseTimeout time.Duration
	// MaxClockDriftPercent is by how much the clocks of two servers may differ in speed;
	// the leader's lease is shorter than LeaseTimeout by that much. 0 to 90; negative means 0.
	MaxClockDriftPercent int
	// MaxAppendBytes and MaxAppendEntries bound one MsgAppend; it carries at least one entry.
	MaxAppendBytes   int
	MaxAppendEntries int
	// MaxInflight is how many MsgAppend with entries may be on the way to one follower.
	MaxInflight int
	// MaxUncommittedBytes bounds what a leader accepts before it is committed.
	MaxUncommittedBytes int
	// CacheBytes is how much of the log stays in memory, besides what is not yet
	// committed, applied and on disk.
	CacheBytes int
	// SnapshotTimeout is how long a chunk may go unanswered before it is sent again.
	SnapshotTimeout time.Duration
	// FaultPoints makes rare paths common, in the simulator; nil in the product.
	FaultPoints faultpoint.Points
}

// entryOverhead is what an entry counts besides its data wherever bytes are bounded.
const entryOverhead = 48

// WithDefaults returns the configuration with every zero value replaced. The times are
// those of Consul's raft_multiplier 1.
func (c Config) WithDefaults() Config {
	setDefault(&c.ElectionTimeout, 600*time.Millisecond)
	setDefault(&c.HeartbeatInterval, 75*time.Millisecond)
	setDefault(&c.LeaseTimeout, 300*time.Millisecond)
	setDefault(&c.MaxClockDriftPercent, 10)
	setDefault(&c.MaxAppendBytes, 1<<20)
	setDefault(&c.MaxAppendEntries, 4096)
	setDefault(&c.MaxInflight, 64)
	setDefault(&c.MaxUncommittedBytes, 64<<20)
	setDefault(&c.CacheBytes, 8<<20)
	setDefault(&c.SnapshotTimeout, 2*time.Second)
	return c
}

func setDefault[T int | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// Validate reports every problem of the configuration, joined.
func (c Config) Validate() error {
	var problems []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Errorf("raft: "+format, args...))
		}
	}
	need(c.ID != "", "ID must be set")
	need(c.HeartbeatInterval > 0, "HeartbeatInterval must be positive, is %v", c.HeartbeatInterval)
	need(c.LeaseTimeout > c.HeartbeatInterval, "LeaseTimeout (%v) must be longer than HeartbeatInterval (%v)", c.LeaseTimeout, c.HeartbeatInterval)
	need(c.ElectionTimeout >= c.LeaseTimeout, "ElectionTimeout (%v) must not be shorter than LeaseTimeout (%v)", c.ElectionTimeout, c.LeaseTimeout)
	need(c.MaxClockDriftPercent <= 90, "MaxClockDriftPercent must be at most 90, is %d", c.MaxClockDriftPercent)
	need(c.MaxAppendBytes > 0, "MaxAppendBytes must be positive, is %d", c.MaxAppendBytes)
	need(c.MaxAppendEntries > 0, "MaxAppendEntries must be positive, is %d", c.MaxAppendEntries)
	need(c.MaxInflight > 0, "MaxInflight must be positive, is %d", c.MaxInflight)
	need(c.MaxUncommittedBytes > 0, "MaxUncommittedBytes must be positive, is %d", c.MaxUncommittedBytes)
	need(c.CacheBytes > 0, "CacheBytes must be positive, is %d", c.CacheBytes)
	need(c.SnapshotTimeout > 0, "SnapshotTimeout must be positive, is %v", c.SnapshotTimeout)
	return errors.Join(problems...)
}

// leaderLease is LeaseTimeout as the leader may count it, on a clock that may be slower than
// that of its followers.
func (c Config) leaderLease() time.Duration {
	return c.LeaseTimeout * time.Duration(100-max(c.MaxClockDriftPercent, 0)) / 100
}
