package sim

import (
	"fmt"
	"time"
)

// Options is everything that a run depends on.
type Options struct {
	Seed     uint64        `json:"seed"`
	Preset   string        `json:"preset"`
	Servers  int           `json:"servers"`
	Agents   int           `json:"agents"` // client agents
	Clients  int           `json:"clients"`
	Watchers int           `json:"watchers"` // clients that only wait for changes
	Keys     int           `json:"keys"`
	Duration time.Duration `json:"duration_ns"` // of the phase with faults
	Settle   time.Duration `json:"settle_ns"`   // bound on the time to converge after it
	Think    time.Duration `json:"think_ns"`    // longest pause of a client between two operations
	// Pebble runs the servers on Pebble over a crashable file system instead of memstore.
	Pebble bool   `json:"pebble,omitempty"`
	Faults Faults `json:"faults"`
	// Encrypted has gossip encrypted, with keys that are changed, and a stranger who has none of them send whatever may do harm.
	Encrypted bool `json:"encrypted,omitempty"`
	// Remote is a second datacenter, if it has servers.
	Remote Remote `json:"remote,omitzero"`

	// FlushBytes and TrailingLogs are the servers' (see node.Config), ChunkBytes the size of a snapshot's chunk: small values
	// make snapshots common, and long.
	FlushBytes   int    `json:"flush_bytes"`
	ChunkBytes   int    `json:"chunk_bytes"`
	TrailingLogs uint64 `json:"trailing_logs"`

	// Schedule, if not nil, has the faults to make, in place of those that Faults.Every draws.
	Schedule []Fault `json:"schedule"`
	// Operations, if not nil, has the operations to do, each "client.number"; the clients' draws stay as they are.
	Operations []string `json:"operations"`

	firstClient int // number of the first client of a second datacenter
}

// Faults says which faults there are and how often.
type Faults struct {
	LossPercent    uint64        `json:"loss_percent,omitempty"` // of datagrams
	DupPercent     uint64        `json:"dup_percent,omitempty"`
	ReorderPercent uint64        `json:"reorder_percent,omitempty"`
	Latency        time.Duration `json:"latency_ns"` // median one way
	HeavyTail      bool          `json:"heavy_tail,omitempty"`
	FsyncTime      time.Duration `json:"fsync_ns"`                // median
	DriftPercent   int           `json:"drift_percent,omitempty"` // clocks run up to so much faster or slower, within the bound of the leases
	// FaultPoints is how many of a hundred passes of an enabled fault point fire; half of the points are enabled.
	FaultPoints uint64 `json:"fault_points_percent,omitempty"`
	// Every is the mean time between two faults of a kind.
	Every map[string]time.Duration `json:"every,omitempty"`
}

// Remote is the second of two datacenters, connected by a WAN pool of the servers of both.
type Remote struct {
	Servers int `json:"servers"`
	Agents  int `json:"agents,omitempty"`
	Clients int `json:"clients,omitempty"`
	// Abroad is how many clients and watchers of each datacenter work on the state of the other one.
	Abroad int `json:"abroad,omitempty"`
	// Latency is added to each message between the two.
	Latency time.Duration `json:"latency_ns"`
	// Fast lets the WAN pool find failures as fast as members of one rack do.
	Fast bool `json:"fast,omitempty"`
	// Routers put addresses of their own, at which nobody listens, into the datagrams between the two.
	Routers bool `json:"routers,omitempty"`
}

// remote is the options of the second datacenter.
func (o Options) remote() Options {
	r := o.Remote
	o.firstClient = o.Clients
	o.Servers, o.Agents, o.Clients = r.Servers, r.Agents, r.Clients
	return o
}

// Replay is the command that runs the same again.
func (o Options) Replay() string {
	if o.Schedule != nil || o.Operations != nil {
		return "go run ./cmd/sim -repro=repro.json"
	}
	if o.Preset == "" || o.Preset == "swarm" {
		return fmt.Sprintf("go test ./sim -seed=%d", o.Seed)
	}
	return fmt.Sprintf("go test ./sim -preset=%s -seed=%d", o.Preset, o.Seed)
}
