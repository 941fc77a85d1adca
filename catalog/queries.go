package catalog

// Query reads the catalog. Each has a Run, answers with Answer, and names what a watcher of it watches.
type Query interface{ query() }

// Queries. Node filters are ANDed pairs of node metadata.
type (
	// NodesQuery lists the nodes by name: Answer.Value is []*Node.
	NodesQuery struct{ NodeMeta map[string]string }
	// ServicesQuery lists service names with the union of their tags: map[string][]string.
	ServicesQuery struct{ NodeMeta map[string]string }
	// ServiceNodesQuery lists instances of a service that have all Tags: []*ServiceNode.
	ServiceNodesQuery struct {
		Service  string
		Tags     []string
		NodeMeta map[string]string
	}
	// NodeServicesQuery finds a node by name (or ID) with its services: *NodeServices, nil if there is none.
	NodeServicesQuery struct{ Node string }
	// NodeChecksQuery lists a node's checks: []*HealthCheck.
	NodeChecksQuery struct{ Node string }
	// ServiceChecksQuery lists the checks of all instances of a service: []*HealthCheck.
	ServiceChecksQuery struct {
		Service  string
		NodeMeta map[string]string
	}
	// StateChecksQuery lists the checks in a state, or HealthAny: []*HealthCheck.
	StateChecksQuery struct {
		State    string
		NodeMeta map[string]string
	}
	// HealthServiceQuery lists instances with their node and checks: []*CheckServiceNode.
	// PassingOnly keeps those of which no check is worse than passing.
	HealthServiceQuery struct {
		Service     string
		Tags        []string
		NodeMeta    map[string]string
		PassingOnly bool
	}
	// KVGetQuery reads one key: *DirEntry, nil if there is none.
	KVGetQuery struct{ Key string }
	// KVListQuery reads all keys with a prefix: []*DirEntry.
	KVListQuery struct{ Prefix string }
	// KVKeysQuery lists the names of keys with a prefix, cut behind the first Separator after it: []string.
	KVKeysQuery struct{ Prefix, Separator string }
	// AutopilotQuery reads the autopilot configuration: *AutopilotConfig, nil if never set.
	AutopilotQuery struct{}
)

func (*NodesQuery) query()         {}
func (*ServicesQuery) query()      {}
func (*ServiceNodesQuery) query()  {}
func (*NodeServicesQuery) query()  {}
func (*NodeChecksQuery) query()    {}
func (*ServiceChecksQuery) query() {}
func (*StateChecksQuery) query()   {}
func (*HealthServiceQuery) query() {}
func (*KVGetQuery) query()         {}
func (*KVListQuery) query()        {}
func (*KVKeysQuery) query()        {}
func (*AutopilotQuery) query()     {}

// Answer is what a query returned.
type Answer struct {
	// Value has the type that the query documents; lists are never nil.
	Value any
	// Index is X-Consul-Index: the last index at which the answer could have changed, at least 1.
	Index uint64
}

// View is the ordered key-value state that queries read. store.Reader has these methods.
type View interface {
	Get(key []byte) (value []byte, ok bool, err error)
	Scan(lo, hi []byte, fn func(key, value []byte) bool) error
	Last(lo, hi []byte) (key, value []byte, ok bool, err error)
}

// Txn is the state that commands change. It reads its own writes. store.Batch has these methods.
type Txn interface {
	View
	Set(key, value []byte) error
	Delete(key []byte) error
	DeleteRange(lo, hi []byte) error
}

// Topic names something that can be watched, such as a service or a KV prefix. A change
// touches topics; a query watches topics.
type Topic struct {
	Kind TopicKind
	Name string // in lower case, but for KV
	// Prefix: everything whose name begins with Name. Only of watched KV topics.
	Prefix bool
}

// TopicKind is the table a topic belongs to.
type TopicKind uint8

const (
	TopicNodes         TopicKind = iota + 1 // all nodes
	TopicNode                               // one node, by name or ID, with its services
	TopicServices                           // the list of service names and tags
	TopicService                            // instances of one service, with their nodes
	TopicChecks                             // all checks; with a Name, those in that state
	TopicKV                                 // a key, or a prefix
	TopicKVTree                             // touched only: a whole prefix was deleted
	TopicAutopilot                          // the autopilot configuration
	TopicInstances                          // which services with which tags all nodes have
	TopicNodeChecks                         // the checks of one node
	TopicServiceChecks                      // the checks of a service's instances
	TopicServiceHealth                      // the checks of the nodes that a service's instances are on
	TopicCoordinates                        // the coordinates of all nodes
	TopicCoordinate                         // the coordinate of one node
)
