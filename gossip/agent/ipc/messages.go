package ipc

import "time"

// Version is the version of the protocol, the only one there ever was.
const Version = 1

// The commands.
const (
	cmdHandshake       = "handshake"
	cmdAuth            = "auth"
	cmdEvent           = "event"
	cmdForceLeave      = "force-leave"
	cmdJoin            = "join"
	cmdMembers         = "members"
	cmdMembersFiltered = "members-filtered"
	cmdStream          = "stream"
	cmdMonitor         = "monitor"
	cmdStop            = "stop"
	cmdLeave           = "leave"
	cmdTags            = "tags"
	cmdQuery           = "query"
	cmdRespond         = "respond"
	cmdInstallKey      = "install-key"
	cmdUseKey          = "use-key"
	cmdRemoveKey       = "remove-key"
	cmdListKeys        = "list-keys"
	cmdStats           = "stats"
	cmdCoordinate      = "get-coordinate"
)

// The protocol's error texts, which clients compare.
const (
	textUnsupportedCommand = "Unsupported command"
	textUnsupportedVersion = "Unsupported IPC version"
	textDuplicateHandshake = "Handshake already performed"
	textHandshakeRequired  = "Handshake required"
	textMonitorExists      = "Monitor already exists"
	textInvalidFilter      = "Invalid event filter"
	textStreamExists       = "Stream with given sequence exists"
	textInvalidQueryID     = "No pending queries matching ID"
	textAuthRequired       = "Authentication required"
	textInvalidAuthToken   = "Invalid authentication token"
)

// The field names of the types below are the names on the wire.

type requestHeader struct {
	Command string
	Seq     uint64
}

type responseHeader struct {
	Seq   uint64
	Error string
}

type handshakeRequest struct{ Version int32 }

type authRequest struct{ AuthKey string }

type eventRequest struct {
	Name     string
	Payload  []byte
	Coalesce bool
}

type forceLeaveRequest struct {
	Node  string
	Prune bool
}

type joinRequest struct {
	Existing []string
	Replay   bool
}

type joinResponse struct{ Num int32 }

// Filter says which members are listed: those that match all of its regular expressions, each of them as a whole.
type Filter struct {
	Tags   map[string]string
	Status string
	Name   string
}

type membersResponse struct{ Members []Member }

// Member is a member of the pool as the protocol shows it.
type Member struct {
	Name        string
	Addr        []byte // 4 or 16 bytes
	Port        uint16
	Tags        map[string]string
	Status      string // alive, leaving, left or failed
	ProtocolMin uint8
	ProtocolMax uint8
	ProtocolCur uint8
	DelegateMin uint8
	DelegateMax uint8
	DelegateCur uint8
}

type tagsRequest struct {
	Tags       map[string]string
	DeleteTags []string
}

// Query is a question to members of the pool.
type Query struct {
	FilterNodes []string          // names of those asked; all if there are none
	FilterTags  map[string]string // regular expressions that the tags of those asked match
	RequestAck  bool
	RelayFactor uint8
	Timeout     time.Duration // 0: the pool's default
	Name        string
	Payload     []byte
}

// The types of a QueryRecord.
const (
	RecordAck      = "ack"
	RecordResponse = "response"
	RecordDone     = "done"
)

// QueryRecord is what came of a query; the last one is of RecordDone.
type QueryRecord struct {
	Type    string
	From    string
	Payload []byte
}

type respondRequest struct {
	ID      uint64
	Payload []byte
}

type streamRequest struct{ Type string }

type monitorRequest struct{ LogLevel string }

type stopRequest struct{ Stop uint64 }

type logRecord struct{ Log string }

type memberEventRecord struct {
	Event   string
	Members []Member
}

type userEventRecord struct {
	Event    string
	LTime    uint64
	Name     string
	Payload  []byte
	Coalesce bool
}

type queryEventRecord struct {
	Event   string
	ID      uint64
	LTime   uint64
	Name    string
	Payload []byte
}

type keyRequest struct{ Key string }

// KeyResponse is what came of an operation on the pool's keyrings.
type KeyResponse struct {
	Messages map[string]string // by member
	Keys     map[string]int    // keys in base64, with how many members have each
	NumNodes int
	NumErr   int
	NumResp  int
}

type coordinateRequest struct{ Node string }

// Coordinate is a network coordinate (Vivaldi); its parts but Vec are in seconds.
type Coordinate struct {
	Vec        []float64
	Error      float64
	Adjustment float64
	Height     float64
}

type coordinateResponse struct {
	Coord Coordinate
	Ok    bool
}

// Stats are counters in groups, as the info command shows them.
type Stats = map[string]map[string]string
