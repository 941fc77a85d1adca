// Package httpapi is the HTTP front door: Consul's API (https://developer.hashicorp.com/consul/api-docs), with its
// paths, parameters, JSON shapes, status codes and error texts.
package httpapi

import (
	"context"

	"concord/agent"
	"concord/agent/userevent"
	"concord/gossip"
	"concord/wire"
)

// Backend is what the front door needs of a running agent.
type Backend interface {
	// Do carries a command, a read or an operator request to whoever answers it. A blocking read
	// blocks inside. The answer is shared and must not be changed.
	Do(ctx context.Context, req *wire.Request) *wire.Response
	// Leader is the server RPC address of the leader, "" if nobody leads.
	Leader(ctx context.Context) (string, error)
	// Peers are the server RPC addresses of the servers in the Raft configuration.
	Peers(ctx context.Context) ([]string, error)
	// Keyring carries out a key operation in the gossip pools. What failed in a pool is in its response.
	Keyring(ctx context.Context, req KeyringRequest) ([]KeyringResponse, error)
	Agent
}

// KeyringRequest is an operation of /v1/operator/keyring.
type KeyringRequest struct {
	gossip.KeyRequest
	LocalOnly bool // neither the WAN pool nor other datacenters
}

// KeyringResponse is an element of the answer to a KeyringRequest: a gossip pool.
type KeyringResponse struct {
	WAN         bool
	Datacenter  string
	Segment     string
	Messages    map[string]string `json:",omitempty"`
	Keys        map[string]int
	PrimaryKeys map[string]int
	NumNodes    int
	Error       string `json:",omitempty"`
}

// Agent is the local agent.
type Agent interface {
	// Self is the body of /v1/agent/self.
	Self(ctx context.Context) (map[string]any, error)
	// Version is the body of /v1/agent/version.
	Version() map[string]any
	Members(ctx context.Context, wan bool) ([]Member, error)
	// Join tells how many of the addresses were reached.
	Join(ctx context.Context, addrs []string, wan bool) (int, error)
	// Leave returns once the node has left; the process then ends.
	Leave(ctx context.Context) error
	ForceLeave(ctx context.Context, node string, prune bool) error
	Reload(ctx context.Context) error

	Services(ctx context.Context) ([]agent.Service, error)
	Checks(ctx context.Context) ([]agent.Check, error)
	// FireEvent tells the agents of this datacenter of a user event.
	FireEvent(ctx context.Context, e userevent.Event) error
	// Events are the user events that this agent got of late, oldest first, to be changed at will; the channel is closed when
	// there is another.
	Events() ([]userevent.Event, <-chan struct{})
	// Change changes the local agent: its services and checks.
	Change(ctx context.Context, f AgentChange) error
}

// AgentChange is a change of the local agent, made on its loop.
type AgentChange func(a AgentState) error

// AgentState is the local agent during a change.
type AgentState interface {
	AddService(def agent.ServiceDefinition) error
	AddServiceReplacingChecks(def agent.ServiceDefinition) error
	RemoveService(id string) error
	AddCheck(def agent.CheckDefinition) error
	RemoveCheck(id string) error
	SetTTL(id, status, output string) error
	Maintenance(serviceID string, enable bool, reason string) error
}

// Member states of /v1/agent/members, as Serf numbers them.
const (
	MemberAlive   = 1
	MemberLeaving = 2
	MemberLeft    = 3
	MemberFailed  = 4
)

// Member is an element of /v1/agent/members.
type Member struct {
	Name        string
	Addr        string
	Port        uint16
	Tags        map[string]string
	Status      int
	ProtocolMin uint8
	ProtocolMax uint8
	ProtocolCur uint8
	DelegateMin uint8
	DelegateMax uint8
	DelegateCur uint8
}
