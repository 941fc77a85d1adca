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

	// Bind is the address that server RPC listens on, Advertise the one that others are told.
	Bind, Advertise netip.Addr
	// BindLAN and BindWAN are the addresses that gossip listens on.
	BindLAN, BindWAN netip.Addr
	// AdvertiseWAN is the address that other datacenters are told. What is sent to AdvertiseWAN must reach the server RPC, too.
	AdvertiseWAN netip.Addr
	// ServerPort, SerfPort and SerfWANPort are the ports of server RPC, LAN gossip and WAN gossip (-1: none).
	ServerPort, SerfPort, SerfWANPort int
	// HTTP and DNS are "host:port" to listen on; empty: not at all.
	HTTP, DNS []string

	DNSConfig dnsapi.Config
	// MaxHTTPConns bounds the HTTP connections of one client address; 0: no bound.
	MaxHTTPConns int
	// RemoteExec runs commands that whoever may fire events sends (disable_remote_exec = false).
	RemoteExec bool
	// ResponseHeaders are added to every HTTP answer.
	ResponseHeaders map[string]string

	// LAN and WAN are the members to join in each pool.
	LAN, WAN Joining
	// EncryptKey encrypts gossip, in base64, where the data directory has no keyring yet. DisableKeyringFile: none is kept
	// nor looked for.
	EncryptKey         string
	DisableKeyringFile bool
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

// Joining says whom to join.
type Joining struct {
	// Start are addresses to join once; Retry until it succeeds, every RetryInterval, at most RetryMax times
	// (0: for ever). Addresses are hosts with an optional port.
	Start, Retry  []string
	RetryInterval time.Duration
	RetryMax      int
}

// Reloaded is what a running agent takes over from its configuration.
type Reloaded struct {
	Services []agent.ServiceDefinition
	Checks   []agent.CheckDefinition
	LogLevel hclog.Level
}
