package agent

import (
	"time"

	"concord/catalog"
)

// Output is what the driver has to do for a Local. Its parts are independent, except that
// Stop comes before Start.
type Output struct {
	// Requests go to the servers. Each must be answered with one call of Replied, with an
	// error if no answer came in time.
	Requests []Op
	// Persist is what has to change on disk, in this order.
	Persist []PersistOp
	// Stop ends the runners of these checks; Start begins runners of these HTTP and TCP
	// checks, whose results go to UpdateCheck.
	Stop  []string
	Start []CheckDefinition
	// Logs are to be logged.
	Logs []Log
}

// Op is a request to the servers: a Command or else Queries.
type Op struct {
	ID uint64
	// Command is to be committed.
	Command catalog.Command
	// Queries are to be answered with default consistency, each no older than the reply
	// to any Op before this one.
	Queries []catalog.Query
}

// Reply ends an Op.
type Reply struct {
	// Result is the outcome of a Command.
	Result catalog.Result
	// Answers are in the order of the Queries.
	Answers []catalog.Answer
	// Err is set if there was no outcome; the command may still have taken effect.
	Err error
}

// PersistKind is what a PersistOp is about.
type PersistKind uint8

const (
	// PersistService is the definition of a service with its checks.
	PersistService PersistKind = iota + 1
	// PersistCheck is the definition of a check that was registered on its own.
	PersistCheck
	// PersistCheckState is the state of a TTL check.
	PersistCheckState
)

// PersistOp writes one record under its ID, or removes it if all of Service, Check and State
// are nil.
type PersistOp struct {
	Kind    PersistKind
	ID      string
	Service *ServiceDefinition
	Check   *CheckDefinition
	State   *CheckState
}

// CheckState is what survives of a TTL check when the agent is restarted.
type CheckState struct {
	Status string
	Output string
	// Remaining is how long it is still good for. The driver turns it into a wall-clock time
	// and back.
	Remaining time.Duration
}

// Persisted is what was found on disk at start.
type Persisted struct {
	Services []ServiceDefinition
	Checks   []CheckDefinition
	States   map[string]CheckState // by check ID
}

// Service is a local service as it is now.
type Service struct {
	Service    catalog.NodeService
	Definition ServiceDefinition // as registered, without its checks
	FromConfig bool
	InSync     bool // the catalog is known to have it like this
}

// Check is a local check as it is now.
type Check struct {
	Check      catalog.HealthCheck
	Definition CheckDefinition
	FromConfig bool
	InSync     bool // the catalog is known to have it like this, or will learn of new output in time
}

// Level is how grave a Log is.
type Level uint8

const (
	LevelDebug Level = iota + 1
	LevelInfo
	LevelWarn
	LevelError
)

// Log is a line for the operator, to be written under the name "agent".
type Log struct {
	Level   Level
	Message string
}
