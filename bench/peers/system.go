package main

import (
	"errors"
	"fmt"
	"time"
)

// command is what every proposer proposes: 256 bytes that do not compress well.
var command = func() []byte {
	b := make([]byte, 256)
	x := uint64(0x9E3779B97F4A7C15)
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
	return b
}()

// electionTimeout bounds how long a new cluster may take until it has a leader.
const electionTimeout = 30 * time.Second

var errNoLeader = errors.New("no leader was elected in time")

// cluster is a running system under measurement: all its nodes, in this process.
type cluster interface {
	// propose returns once the command is committed and the leader's state machine has applied it. worker numbers the
	// proposer. It is called by many goroutines at once.
	propose(worker int) error
	// close stops all nodes.
	close() error
}

// system is something to be measured. Which figures are comparable to which, docs/performance.md says.
type system struct {
	name, about string
	// open starts servers that keep their data below dir, waits for a leader and returns when it accepts proposals.
	open func(dir string, s shape) (cluster, error)
	// floor is a measurement of the disk alone: one proposer, one node.
	floor bool
}

// shape is what a system is set up for.
type shape struct{ nodes, proposers int }

// systems are all there are, in the order in which a round measures them.
var systems = []system{
	{name: "fsync-append", about: "a bare loop: append 256 bytes to a file, fdatasync", open: openAppender, floor: true},
	{name: "fsync-overwrite", about: "a bare loop: overwrite 256 bytes within a file written before, fdatasync", open: openOverwriter, floor: true},
	{name: "concord", about: "Concord's raft, log on Pebble, transport/tcp; the state machine does nothing", open: openConcord},
	{name: "concord-server", about: "whole Concord servers: the command is a KV write, applied to the catalog", open: openServers},
	{name: "hashicorp-boltdb", about: "hashicorp/raft with raft-boltdb/v2; the state machine does nothing", open: openHashicorp(openBolt)},
	{name: "hashicorp-wal", about: "hashicorp/raft with raft-wal; the state machine does nothing", open: openHashicorp(openWAL)},
	{name: "etcd-raft", about: "go.etcd.io/raft/v3 with etcd's write-ahead log; the state machine does nothing", open: openEtcd},
	{name: "dragonboat", about: "dragonboat v4, one shard, log on tan; the state machine does nothing", open: openDragonboat},
}

// closers undoes what was opened, last first.
type closers []func() error

func (c *closers) add(f func() error) { *c = append(*c, f) }

func (c closers) close() error {
	var problems []error
	for i := len(c) - 1; i >= 0; i-- {
		problems = append(problems, c[i]())
	}
	return errors.Join(problems...)
}

// await polls until ready holds. It is for starting clusters, never inside a measurement.
func await(what string, ready func() bool) error {
	for end := time.Now().Add(electionTimeout); !ready(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("%s: %w", what, errNoLeader)
		}
	}
	return nil
}
