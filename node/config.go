package node

import (
	"errors"
	"fmt"
	"time"

	"concord/agent"
	"concord/catalog"
	"concord/gossip"
	"concord/internal/faultpoint"
	"concord/raft"
	"concord/raft/autopilot"
	"concord/transport"
)

// Config says what a node is. Start from zero and fill in; New applies the defaults.
type Config struct {
	ID         string // UUID
	Name       string
	Datacenter string
	Server     bool
	Build      string // version shown to others
	Meta       map[string]string

	// Address is the address that others reach the node under, without a port.
	Address string
	// AddressWAN is the address that other datacenters reach it under; empty: Address.
	AddressWAN string
	// RPCAddr is the advertised server RPC address; of a client agent the label it answers to.
	RPCAddr transport.Addr

	// Bootstrap: form a cluster of this server alone, at once. Expect: form one when so many servers
	// have met. At most one of them; neither: join an existing cluster.
	Bootstrap bool
	Expect    int

	LAN gossip.Config // Name, ID and Tags are filled in
	// WAN is the same for the pool of the servers of all datacenters, of which a server is a member if Swim.Addr is given.
	WAN   gossip.Config
	Raft  raft.Config // ID is filled in
	Agent agent.Config
	// Autopilot is what the first leader of a cluster stores as its configuration.
	Autopilot catalog.AutopilotConfig

	// Coordinates is how coordinates get into the catalog. Whether there are any is in LAN.
	Coordinates CoordinateConfig

	// HoldTimeout is how long a request waits for a leader (performance.rpc_hold_timeout).
	HoldTimeout time.Duration
	// RequestTimeout bounds a request that does not block.
	RequestTimeout time.Duration
	// MaxRequests bounds the requests under way.
	MaxRequests int
	// FlushBytes is how much is applied before the state is flushed and the log compacted.
	FlushBytes int
	// TrailingLogs are kept behind a compaction, for followers a little late.
	TrailingLogs uint64
	// FaultPoints makes rare paths common, in the simulator; nil in the product.
	FaultPoints faultpoint.Points
	// LeaveTimeout bounds each step of leaving.
	LeaveTimeout time.Duration
}

// WithDefaults returns a copy in which what was zero has its default.
func (c Config) WithDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&c.HoldTimeout, 7*time.Second)
	def(&c.RequestTimeout, 10*time.Second)
	def(&c.LeaveTimeout, 5*time.Second)
	if c.MaxRequests == 0 {
		c.MaxRequests = 65536
	}
	if c.FlushBytes == 0 {
		c.FlushBytes = 64 << 20
	}
	if c.TrailingLogs == 0 {
		c.TrailingLogs = 10240
	}
	if c.Datacenter == "" {
		c.Datacenter = "dc1"
	}
	if c.Autopilot == (catalog.AutopilotConfig{}) {
		c.Autopilot = catalogAutopilot(autopilot.DefaultConfig())
	}
	c.LAN.Swim.Name, c.LAN.Swim.ID = c.Name, c.ID
	c.LAN.Swim.Tags = c.tags()
	c.LAN.Swim.Refuse, c.WAN.Swim.Refuse = refuseFromLAN(c.Datacenter), refuseFromWAN
	c.WAN.Swim.Name, c.WAN.Swim.ID = wanName(c.Name, c.Datacenter), c.ID
	c.WAN.Swim.Tags = c.wanTags()
	c.Raft.ID = raft.ID(c.ID)
	c.Raft = c.Raft.WithDefaults()
	c.Raft.FaultPoints = c.FaultPoints
	c.Coordinates = c.Coordinates.withDefaults()
	c.Agent.Server = c.Server
	c.Agent.Node, c.Agent.NodeID, c.Agent.Address = c.Name, c.ID, c.Address
	c.Agent.Datacenter, c.Agent.Meta = c.Datacenter, c.Meta
	if c.AddressWAN == "" {
		c.AddressWAN = c.Address
	}
	if c.Agent.TaggedAddresses == nil {
		c.Agent.TaggedAddresses = map[string]string{"lan": c.Address, "lan_ipv4": c.Address, "wan": c.AddressWAN, "wan_ipv4": c.AddressWAN}
	}
	return c
}

// hasWAN tells whether the node is a member of the WAN pool.
func (c Config) hasWAN() bool { return c.Server && c.WAN.Swim.Addr.IsValid() }

// Validate reports every problem at once.
func (c Config) Validate() error {
	var errs []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("node: "+format, args...))
		}
	}
	need(c.ID != "", "ID is missing")
	need(c.Name != "", "Name is missing")
	need(c.Address != "", "Address is missing")
	need(c.RPCAddr != "", "RPCAddr is missing")
	need(!c.Bootstrap || c.Expect == 0, "Bootstrap and Expect exclude one another")
	need(c.Server || !c.Bootstrap && c.Expect == 0, "only a server can bootstrap a cluster")
	need(c.Coordinates.Interval > 0 && c.Coordinates.Rate > 0 && c.Coordinates.Period > 0, "the times and the rate of coordinates must be positive")
	need(c.Coordinates.BatchSize > 0 && c.Coordinates.BatchSize <= catalog.MaxCoordinates, "batches of coordinates must have 1 to %d",
		catalog.MaxCoordinates)
	need(c.Coordinates.MaxBatches > 0, "the number of batches of coordinates must be positive")
	return errors.Join(errs...)
}

// RaftTiming is the timing of Raft for Consul's performance.raft_multiplier: 1 is the fastest, for good networks,
// 5 the default, 10 the slowest. Heartbeats stay frequent, since they cost next to nothing.
func RaftTiming(multiplier int) raft.Config {
	m := time.Duration(multiplier)
	return raft.Config{ElectionTimeout: 600 * time.Millisecond * m, LeaseTimeout: 300 * time.Millisecond * m,
		HeartbeatInterval: min(75*time.Millisecond*m, 150*time.Millisecond)}
}
