// Package catalog is the replicated state machine: nodes, services, health checks, the KV store and the
// autopilot configuration, as Consul has them. Commands change an ordered key-value state; queries
// read it. Nothing else counts: neither time nor chance nor the order of maps, so that the
// same commands lead to the same bytes on every server.
package catalog

import "fmt"

// applier applies one command. Its methods that write do nothing once an error was met.
type applier struct {
	reader
	txn    Txn
	index  uint64
	topics []Topic
	// live has the topics touched so far; false if they were retired after.
	live map[Topic]bool

	maxGraves, graveBatch uint64
}

// Apply applies the command at an index of the log, which must be greater than that of any
// command before. It returns the outcome and the topics touched, whose watchers are to be woken
// once txn is committed. A command that changes nothing touches nothing. The error is nil unless
// the state cannot be read or written or is corrupt; txn must then be abandoned.
func Apply(txn Txn, index uint64, cmd Command) (Result, []Topic, error) {
	a := applier{reader: reader{view: txn}, txn: txn, index: index, maxGraves: maxGraves, graveBatch: graveBatch}
	return a.apply(cmd)
}

func (a *applier) apply(cmd Command) (Result, []Topic, error) {
	result := Result{OK: true, Index: a.index}
	if err := Validate(cmd); err != nil {
		return Result{Err: err.Error(), Index: a.index}, nil, nil
	}
	switch c := cmd.(type) {
	case *KVWrite:
		result.OK, result.Err = a.kvWrite(c)
	case *Register:
		a.live = make(map[Topic]bool)
		result.Err = a.register(c)
		result.OK = result.Err == ""
	case *Deregister:
		a.live = make(map[Topic]bool)
		a.deregister(c)
	case *TxnWrite:
		result.Txn = a.txnWrite(c)
		result.OK = len(result.Txn.Errors) == 0
	case *UpdateCoordinates:
		a.live = make(map[Topic]bool)
		a.updateCoordinates(c)
	case *SetAutopilot:
		a.live = make(map[Topic]bool)
		result.OK = a.setAutopilot(c)
	}
	if a.err != nil {
		return Result{}, nil, fmt.Errorf("catalog: apply %T at index %d: %w", cmd, a.index, a.err)
	}
	return result, a.topics, nil
}

func (a *applier) set(key, value []byte) {
	if a.err == nil {
		a.fail(a.txn.Set(key, value))
	}
}

func (a *applier) delete(key []byte) {
	if a.err == nil {
		a.fail(a.txn.Delete(key))
	}
}

func (a *applier) deleteRange(lo, hi []byte) {
	if a.err == nil {
		a.fail(a.txn.DeleteRange(lo, hi))
	}
}

// autopilotKey is where the autopilot configuration is.
var autopilotKey = key(tableConfig, "autopilot")

func (a *applier) setAutopilot(c *SetAutopilot) (ok bool) {
	old := lookup(&a.reader, autopilotKey, decodeAutopilot)
	config := c.Config
	config.RaftIndex = RaftIndex{CreateIndex: a.index, ModifyIndex: a.index}
	current := uint64(0)
	if old != nil {
		current = old.ModifyIndex
		config.CreateIndex = old.CreateIndex
	}
	if c.CAS && c.Config.ModifyIndex != current {
		return false
	}
	record := encodeAutopilot(&config)
	if old == nil || !sameBody(record, encodeAutopilot(old)) {
		a.set(autopilotKey, record)
		a.touch(Topic{Kind: TopicAutopilot})
	}
	return true
}
