package catalog

// The records have the names and JSON shapes of Consul's HTTP API
// (https://developer.hashicorp.com/consul/api-docs/catalog, .../health, .../kv).

// Check states, worst last.
const (
	HealthPassing  = "passing"
	HealthWarning  = "warning"
	HealthCritical = "critical"
	// HealthMaint and HealthAny are only asked for, never stored.
	HealthAny = "any"
)

// Names that Consul's own records have.
const (
	// SerfCheckID is the node check that the leader keeps from gossip.
	SerfCheckID       = "serfHealth"
	SerfCheckName     = "Serf Health Status"
	SerfAliveOutput   = "Agent alive and reachable"
	SerfFailedOutput  = "Agent not live or unreachable"
	ConsulServiceID   = "consul"
	ConsulServiceName = "consul"
)

// RaftIndex is when a record was made and last changed, as indexes of the log.
type RaftIndex struct {
	CreateIndex uint64
	ModifyIndex uint64
}

// ServiceAddress is an address of a service under another name ("lan", "wan").
type ServiceAddress struct {
	Address string
	Port    int
}

// Weights are the DNS SRV weights of an instance by its state.
type Weights struct {
	Passing int
	Warning int
}

// Node is a registered machine.
type Node struct {
	ID              string
	Node            string
	Address         string
	Datacenter      string
	TaggedAddresses map[string]string
	Meta            map[string]string
	RaftIndex
}

// NodeService is a service instance as its node has it (/v1/catalog/node, /v1/agent/services).
type NodeService struct {
	Kind              string `json:",omitempty"`
	ID                string
	Service           string
	Tags              []string
	Address           string
	TaggedAddresses   map[string]ServiceAddress `json:",omitempty"`
	Meta              map[string]string
	Port              int
	Weights           *Weights
	EnableTagOverride bool
	RaftIndex
}

// ServiceNode is a service instance with its node's fields (/v1/catalog/service).
type ServiceNode struct {
	ID                       string
	Node                     string
	Address                  string
	Datacenter               string
	TaggedAddresses          map[string]string
	NodeMeta                 map[string]string
	ServiceKind              string
	ServiceID                string
	ServiceName              string
	ServiceTags              []string
	ServiceAddress           string
	ServiceTaggedAddresses   map[string]ServiceAddress `json:",omitempty"`
	ServiceWeights           Weights
	ServiceMeta              map[string]string
	ServicePort              int
	ServiceEnableTagOverride bool
	RaftIndex
}

// HealthCheck is a check of a node, or of a service instance when ServiceID is set.
type HealthCheck struct {
	Node        string
	CheckID     string
	Name        string
	Status      string
	Notes       string
	Output      string
	ServiceID   string
	ServiceName string
	ServiceTags []string
	Type        string
	Definition  CheckDefinition
	RaftIndex
}

// CheckDefinition is how a check is made, as far as the catalog keeps it.
type CheckDefinition struct {
	HTTP                           string              `json:",omitempty"`
	TLSSkipVerify                  bool                `json:",omitempty"`
	Header                         map[string][]string `json:",omitempty"`
	Method                         string              `json:",omitempty"`
	TCP                            string              `json:",omitempty"`
	Interval                       string              `json:",omitempty"`
	Timeout                        string              `json:",omitempty"`
	DeregisterCriticalServiceAfter string              `json:",omitempty"`
}

// CheckServiceNode is an instance with its node and all checks that concern it (/v1/health/service).
type CheckServiceNode struct {
	Node    *Node
	Service *NodeService
	Checks  []*HealthCheck
}

// NodeServices is a node with its services by ID (/v1/catalog/node).
type NodeServices struct {
	Node     *Node
	Services map[string]*NodeService
}

// NodeServiceList is a node with its services in order of ID (/v1/catalog/node-services).
type NodeServiceList struct {
	Node     *Node
	Services []*NodeService
}

// DirEntry is a key of the KV store. Value is base64 in JSON, as encoding/json does it.
type DirEntry struct {
	LockIndex uint64
	Key       string
	Flags     uint64
	Value     []byte
	Session   string `json:",omitempty"`
	RaftIndex
}

// AutopilotConfig is the replicated configuration of raft/autopilot
// (/v1/operator/autopilot/configuration). Durations are in nanoseconds.
type AutopilotConfig struct {
	CleanupDeadServers      bool
	LastContactThreshold    int64
	MaxTrailingLogs         uint64
	MinQuorum               uint
	ServerStabilizationTime int64
	RaftIndex
}
