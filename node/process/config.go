// Package process is one running agent: a node with its disks and sockets, its health checks, and its front
// doors.
package process

import (
	"net/netip"
	"time"

	"github.com/hashicorp/go-hclog"

	"concord/agent"
	dnsapi "concord/api/dns"
	"concord/node"
)

// Config is everything that an agent is started with.
type Config struct {
	// Node has all that the flags and files say about the node; ID, addresses and what is found on disk are
	// filled in.
	Node node.Config
	// NodeID is the UUID to use; empty: the one in the data directory, or a new one.
	NodeID string
	// DataDir is where everything is kept; empty: nowhere (-dev).
	DataDir string

	// Bind is the address that gossip and server RPC listen on, Advertise the one that others are told.
	Bind, Advertise netip.Addr
	// ServerPort and SerfPort are the ports of server RPC and LAN gossip.
	ServerPort, SerfPort int
	// HTTP and DNS are "host:port" to listen on; empty: not at all.
	HTTP, DNS []string

	DNSConfig dnsapi.Config
	// MaxHTTPConns bounds the HTTP connections of one client address; 0: no bound.
	MaxHTTPConns int
	// ResponseHeaders are added to every HTTP answer.
	ResponseHeaders map[string]string

	// Join are addresses to join once; RetryJoin until it succeeds, every RetryInterval, at most RetryMax times
	// (0: for ever). Addresses are hosts with an optional port.
	Join, RetryJoin []string
	RetryInterval   time.Duration
	RetryMax        int
	// Rejoin joins the members known before the last end, even after having left.
	Rejoin bool

	Services []agent.ServiceDefinition
	Checks   []agent.CheckDefinition

	Version  string
	Revision string
	PidFile  string
	Log      hclog.Logger
	// Reload reads the configuration again; nil: it cannot be reloaded.
	Reload func() (Reloaded, error)
	// Debug is the whole configuration, for /v1/agent/self.
	Debug map[string]any
}

// Reloaded is what a running agent takes over from its configuration.
type Reloaded struct {
	Services []agent.ServiceDefinition
	Checks   []agent.CheckDefinition
	LogLevel hclog.Level
}
