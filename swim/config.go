package swim

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Config is what a Node is made from. Names and defaults are those of Serf and Consul; the zero
// value of each knob means its default (see WithDefaults).
type Config struct {
	// Name of this member, unique in the pool.
	Name string
	// ID is the UUID of this node. It tells a restarted member from another of the same name.
	ID string
	// Addr is the address that others reach this member at.
	Addr netip.AddrPort
	// Tags are told to everyone with the name and the address. At most MaxTags bytes.
	Tags map[string]string
	// Incarnation is the last Output.Incarnation that was persisted, 0 if none.
	Incarnation uint64

	// ProbeInterval is the protocol period: one member is probed in each (SWIM section 3.1).
	ProbeInterval time.Duration
	// ProbeTimeout is how long a direct probe may take before others are asked to help.
	ProbeTimeout time.Duration
	// IndirectChecks is how many others are asked: k of SWIM section 3.1.
	IndirectChecks int
	// GossipInterval is the time between two rounds of gossip while there is news.
	GossipInterval time.Duration
	// GossipNodes is how many members each round goes to.
	GossipNodes int
	// GossipToTheDead is how long after its failure a member still gets gossip, to refute.
	GossipToTheDead time.Duration
	// SuspicionMult scales the shortest suspicion timeout: alpha of Lifeguard.
	SuspicionMult int
	// SuspicionMaxMult is the longest suspicion timeout in shortest ones: beta of Lifeguard.
	SuspicionMaxMult int
	// RetransmitMult scales how often an update is piggybacked: lambda of SWIM section 4.1.
	RetransmitMult int
	// AwarenessMax bounds the local health multiplier: S of Lifeguard.
	AwarenessMax int
	// PushPullInterval is the time between two comparisons of all that is known with another member. What differs is
	// exchanged.
	PushPullInterval time.Duration
	// ReconnectInterval is the time between two chances to reach a failed member again.
	ReconnectInterval time.Duration
	// ReconnectTimeout is when a failed member is forgotten.
	ReconnectTimeout time.Duration
	// TombstoneTimeout is when a member that left is forgotten.
	TombstoneTimeout time.Duration
	// JoinTimeout is how long the answer to a Join may take.
	JoinTimeout time.Duration
	// LeaveTimeout is how long Leave waits at most until enough members were told.
	LeaveTimeout time.Duration

	// EventClock and QueryClock are what Node.EventClock and QueryClock returned in this member's former life, 0 if
	// none: events and queries from before are not delivered again.
	EventClock, QueryClock uint64

	// EventBuffer and QueryBuffer are how many Lamport times back events and queries are remembered; older ones
	// are dropped.
	EventBuffer, QueryBuffer int
	// MaxEvent is the largest name and payload of a user event together, in bytes.
	MaxEvent int
	// MaxQuery and MaxResponse are the largest query and answer in bytes, encoded.
	MaxQuery, MaxResponse int

	// MaxPacket is the largest datagram in bytes.
	MaxPacket int
	// MaxState is the largest full state in bytes; of a larger one a random part is exchanged, of the living first.
	MaxState int
	// MaxMembers bounds the members known, the failed and the departed included.
	MaxMembers int

	// Refuse, if not nil, tells why somebody cannot be a member of this pool, from what it says of itself; nil: it can be. It must
	// only depend on the claim.
	Refuse func(*Update) error

	// Coordinates: keep a network coordinate, from the round trips of probes.
	Coordinates bool

	// Without are the parts of Lifeguard that are switched off, to compare with plain SWIM.
	Without Lifeguard
}

// Lifeguard is a set of parts of Lifeguard.
type Lifeguard uint8

const (
	// LocalHealth slows a member that is slow itself (Lifeguard section IV-A), and lets one that was not scheduled
	// for a while not blame others.
	LocalHealth Lifeguard = 1 << iota
	// DynamicSuspicion shortens the suspicion timeout from the longest to the shortest with each confirmation
	// (section IV-B). Without it, the shortest holds from the beginning.
	DynamicSuspicion
	// Buddy tells a member what is falsely believed of it with the next packet to it (section IV-C).
	Buddy
	// Nacks let helpers of an indirect probe say that they got no answer (section IV-A).
	Nacks
)

// has tells whether the part is not switched off.
func (c *Config) has(part Lifeguard) bool { return c.Without&part == 0 }

// LAN returns the timing for members in one datacenter. It is the default.
func LAN() Config {
	return Config{
		ProbeInterval: time.Second, ProbeTimeout: 500 * time.Millisecond, IndirectChecks: 3,
		GossipInterval: 200 * time.Millisecond, GossipNodes: 3, GossipToTheDead: 30 * time.Second,
		SuspicionMult: 4, SuspicionMaxMult: 6, RetransmitMult: 4, AwarenessMax: 8,
		PushPullInterval: 30 * time.Second, ReconnectInterval: 30 * time.Second,
		ReconnectTimeout: 72 * time.Hour, TombstoneTimeout: 24 * time.Hour,
		JoinTimeout: 10 * time.Second, LeaveTimeout: 5 * time.Second,
		EventBuffer: 512, QueryBuffer: 512, MaxEvent: 512, MaxQuery: 1024, MaxResponse: 1024,
		MaxPacket: 1400, MaxState: 8 << 20, MaxMembers: 1 << 16,
		Coordinates: true,
	}
}

// WAN returns the timing for members in many datacenters.
func WAN() Config {
	c := LAN()
	c.ProbeInterval, c.ProbeTimeout = 5*time.Second, 3*time.Second
	c.GossipInterval, c.GossipNodes = 500*time.Millisecond, 4
	c.GossipToTheDead = time.Minute
	c.SuspicionMult = 6
	c.PushPullInterval = time.Minute
	c.JoinTimeout = 30 * time.Second
	return c
}

// Fast returns the timing for members on one machine or in one rack: failures are found about
// three times faster than with LAN, for twice the packets.
func Fast() Config {
	c := LAN()
	c.ProbeInterval, c.ProbeTimeout = 500*time.Millisecond, 200*time.Millisecond
	c.GossipInterval = 100 * time.Millisecond
	c.GossipToTheDead = 15 * time.Second
	c.SuspicionMult = 3
	c.PushPullInterval = 15 * time.Second
	c.ReconnectInterval = 10 * time.Second
	return c
}

// SWIM returns the timing of LAN for the protocol as its paper has it, with nothing of Lifeguard.
func SWIM() Config {
	c := LAN()
	c.Without = LocalHealth | DynamicSuspicion | Buddy | Nacks
	return c
}

// WithDefaults returns a copy whose knobs of zero are those of LAN.
func (c Config) WithDefaults() Config {
	d := LAN()
	for _, f := range []struct{ p, d *time.Duration }{
		{&c.ProbeInterval, &d.ProbeInterval}, {&c.ProbeTimeout, &d.ProbeTimeout},
		{&c.GossipInterval, &d.GossipInterval}, {&c.GossipToTheDead, &d.GossipToTheDead},
		{&c.PushPullInterval, &d.PushPullInterval}, {&c.ReconnectInterval, &d.ReconnectInterval},
		{&c.ReconnectTimeout, &d.ReconnectTimeout}, {&c.TombstoneTimeout, &d.TombstoneTimeout},
		{&c.JoinTimeout, &d.JoinTimeout}, {&c.LeaveTimeout, &d.LeaveTimeout},
	} {
		if *f.p == 0 {
			*f.p = *f.d
		}
	}
	for _, f := range []struct{ p, d *int }{
		{&c.IndirectChecks, &d.IndirectChecks}, {&c.GossipNodes, &d.GossipNodes},
		{&c.SuspicionMult, &d.SuspicionMult}, {&c.SuspicionMaxMult, &d.SuspicionMaxMult},
		{&c.RetransmitMult, &d.RetransmitMult}, {&c.AwarenessMax, &d.AwarenessMax},
		{&c.EventBuffer, &d.EventBuffer}, {&c.QueryBuffer, &d.QueryBuffer},
		{&c.MaxEvent, &d.MaxEvent}, {&c.MaxQuery, &d.MaxQuery}, {&c.MaxResponse, &d.MaxResponse},
		{&c.MaxPacket, &d.MaxPacket}, {&c.MaxState, &d.MaxState}, {&c.MaxMembers, &d.MaxMembers},
	} {
		if *f.p == 0 {
			*f.p = *f.d
		}
	}
	return c
}

// Validate reports every problem at once; all of them wrap ErrConfig.
func (c Config) Validate() error {
	var errs []error
	bad := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("%w: "+format, append([]any{ErrConfig}, args...)...))
		}
	}
	own := Update{State: StateAlive, Name: c.Name, ID: c.ID, Addr: c.Addr, Tags: c.Tags, Incarnation: c.Incarnation}
	if err := own.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("%w: %w", ErrConfig, err))
	}
	for _, f := range []struct {
		name string
		d    time.Duration
	}{
		{"probe interval", c.ProbeInterval}, {"probe timeout", c.ProbeTimeout}, {"gossip interval", c.GossipInterval},
		{"gossip to the dead", c.GossipToTheDead}, {"push/pull interval", c.PushPullInterval},
		{"reconnect interval", c.ReconnectInterval}, {"reconnect timeout", c.ReconnectTimeout},
		{"tombstone timeout", c.TombstoneTimeout}, {"join timeout", c.JoinTimeout}, {"leave timeout", c.LeaveTimeout},
	} {
		bad(f.d > 0 && f.d <= maxAge, "%s must be positive and at most %v, not %v", f.name, maxAge, f.d)
	}
	bad(c.ProbeTimeout < c.ProbeInterval, "probe timeout %v must be below the probe interval %v, to leave time for indirect probes",
		c.ProbeTimeout, c.ProbeInterval)
	bad(c.IndirectChecks >= 0 && c.IndirectChecks <= maxIndirectChecks, "indirect checks must be 0 to %d, not %d", maxIndirectChecks, c.IndirectChecks)
	bad(c.GossipNodes > 0, "gossip nodes must be positive, not %d", c.GossipNodes)
	bad(c.SuspicionMult > 0, "suspicion multiplier must be positive, not %d", c.SuspicionMult)
	bad(c.SuspicionMaxMult > 0, "suspicion maximum multiplier must be positive, not %d", c.SuspicionMaxMult)
	bad(c.RetransmitMult > 0, "retransmit multiplier must be positive, not %d", c.RetransmitMult)
	bad(c.AwarenessMax > 0, "awareness maximum must be positive, not %d", c.AwarenessMax)
	bad(c.MaxPacket >= MinPacket, "largest packet must be at least %d bytes, not %d", MinPacket, c.MaxPacket)
	bad(c.MaxState >= c.MaxPacket, "largest state must be at least the largest packet, %d bytes, not %d", c.MaxPacket, c.MaxState)
	bad(c.MaxMembers >= 2 && c.MaxMembers <= maxSlots, "largest number of members must be 2 to %d, not %d", maxSlots, c.MaxMembers)
	c.checkCasts(bad)
	return errors.Join(errs...)
}

// checkCasts sees to it that any event fits into a packet together with any ping, any query with any round of gossip, and
// any answer alone.
func (c Config) checkCasts(bad func(ok bool, format string, args ...any)) {
	name := strings.Repeat("x", MaxName)
	ping, gossip := Message{Target: name, From: name}, Message{From: name}
	event := UserEvent{From: name}
	room := c.MaxPacket - PacketOverhead - clocksSize
	for _, f := range []struct {
		name       string
		size, most int
	}{
		{"largest user event", c.MaxEvent, room - ping.Size() - event.Size() - 4},
		{"largest query", c.MaxQuery, room - gossip.Size()},
		{"largest response", c.MaxResponse, room},
	} {
		bad(f.size > 0 && f.size <= f.most, "%s must be 1 to %d bytes, to fit into packets of %d, not %d", f.name, f.most, c.MaxPacket, f.size)
	}
	for _, f := range []struct {
		name string
		size int
	}{{"event", c.EventBuffer}, {"query", c.QueryBuffer}} {
		bad(f.size > 0 && f.size <= maxBuffer, "%s buffer must be 1 to %d, not %d", f.name, maxBuffer, f.size)
	}
	bad(c.EventClock < maxLTime && c.QueryClock < maxLTime, "event clock %d and query clock %d must be below %d", c.EventClock, c.QueryClock, uint64(maxLTime))
}

// maxBuffer bounds Config.EventBuffer and QueryBuffer.
const maxBuffer = 1 << 16

const maxIndirectChecks = 16
