// Package autopilot decides, from what a leader knows of the servers, which nonvoter
// to promote and which dead server to remove, and reports how healthy the servers are. It is
// pure: it decides, its caller acts.
//
// Its rules are those of Consul's autopilot
// (https://developer.hashicorp.com/consul/docs/manage/scale/autopilot).
package autopilot

import "time"

// Config is what an operator sets (/v1/operator/autopilot/configuration).
type Config struct {
	// CleanupDeadServers lets failed servers be removed.
	CleanupDeadServers bool
	// LastContactThreshold is how long a healthy server may be without contact to the leader.
	LastContactThreshold time.Duration
	// MaxTrailingLogs is by how many entries a healthy server may trail the leader.
	MaxTrailingLogs uint64
	// MinQuorum is the number of voters below which removing dead servers must not lead; 0: no bound.
	MinQuorum uint
	// ServerStabilizationTime is how long a server must have been healthy to be promoted.
	ServerStabilizationTime time.Duration
}

// DefaultConfig returns Consul's defaults.
func DefaultConfig() Config {
	return Config{
		CleanupDeadServers:      true,
		LastContactThreshold:    200 * time.Millisecond,
		MaxTrailingLogs:         250,
		ServerStabilizationTime: 10 * time.Second,
	}
}

// Liveness is what gossip says of a server.
type Liveness uint8

const (
	// Unknown: gossip never saw the server.
	Unknown Liveness = iota
	// Alive: it answers.
	Alive
	// Failed: it stopped answering.
	Failed
	// Left: it said goodbye.
	Left
)

// String returns the word that /v1/operator/autopilot/health shows as SerfStatus.
func (l Liveness) String() string {
	switch l {
	case Alive:
		return "alive"
	case Failed:
		return "failed"
	case Left:
		return "left"
	default:
		return "none"
	}
}

// Facts is what the caller knows of a server besides its membership.
type Facts struct {
	// ID is the server's raft ID.
	ID string
	// Name and Version are for the report only.
	Name, Version string
	// Address is what gossip says where it is; empty: only the configuration knows.
	Address  string
	Liveness Liveness
	// LastContact is how long ago it heard from the leader, as it tells; negative: it never
	// did. The leader's own does not count.
	LastContact time.Duration
	// Answers tells that it answers the leader now: it is not dead, whatever gossip says.
	Answers bool
	// LastTerm and LastIndex are the end of its log, as it tells.
	LastTerm, LastIndex uint64
}

// Health is the answer of /v1/operator/autopilot/health.
type Health struct {
	// Healthy tells whether all servers are.
	Healthy bool
	// FailureTolerance is how many more healthy voters may fail before the quorum is lost.
	FailureTolerance int
	// Servers are ordered by ID.
	Servers []ServerHealth
}

// ServerHealth is the health of a server.
type ServerHealth struct {
	ID, Name, Address, Version string
	SerfStatus                 string
	Leader, Voter, Healthy     bool
	// LastContact is how long ago it heard from the leader; negative: never.
	LastContact         time.Duration
	LastTerm, LastIndex uint64
	// StableSince is since when Healthy is what it is, in the caller's monotonic time.
	StableSince time.Duration
}
