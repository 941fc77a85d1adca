package catalog

// Command is a change of the catalog: a *Register, *Deregister, *KVWrite, *TxnWrite, *UpdateCoordinates or
// *SetAutopilot.
// Commands are what the log carries; all that an outcome depends on, time included, is in them.
type Command interface{ command() }

// Register creates or updates a node and, if given, a service and checks of it
// (PUT /v1/catalog/register).
type Register struct {
	ID              string
	Node            string
	Address         string
	Datacenter      string
	TaggedAddresses map[string]string
	NodeMeta        map[string]string
	Service         *NodeService
	Check           *HealthCheck
	Checks          []*HealthCheck
	SkipNodeUpdate  bool
}

// Deregister removes a check, a service with its checks, or a whole node
// (PUT /v1/catalog/deregister): the most specific of ServiceID and CheckID counts.
type Deregister struct {
	Datacenter string
	Node       string
	ServiceID  string
	CheckID    string
}

// KVOp names what a KVWrite does.
type KVOp uint8

const (
	KVSet KVOp = iota + 1
	KVCAS
	KVDelete
	KVDeleteCAS
	KVDeleteTree
	KVLock
	KVUnlock
)

// KVWrite changes the KV store (PUT and DELETE /v1/kv).
type KVWrite struct {
	Op      KVOp
	Key     string // KVDeleteTree: the prefix
	Value   []byte
	Flags   uint64
	Index   uint64 // KVCAS, KVDeleteCAS: the ModifyIndex expected; 0: no such key
	Session string // KVLock, KVUnlock
}

// SetAutopilot replaces the autopilot configuration. With CAS only if Config.ModifyIndex is the current one.
type SetAutopilot struct {
	Config AutopilotConfig
	CAS    bool
}

func (*Register) command()     {}
func (*Deregister) command()   {}
func (*KVWrite) command()      {}
func (*SetAutopilot) command() {}

// Result is the outcome of a command. It is the same on every server.
type Result struct {
	// OK is false if a condition (CAS) did not hold and nothing was changed.
	OK bool
	// Err, when not empty, tells why the command was refused; nothing was changed.
	Err string
	// Index is the index that the command was applied at.
	Index uint64
	// Txn is the answer of a TxnWrite that was not refused as a whole.
	Txn *TxnAnswer
}
