package main

import (
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/lni/dragonboat/v4"
	"github.com/lni/dragonboat/v4/client"
	"github.com/lni/dragonboat/v4/config"
	"github.com/lni/dragonboat/v4/logger"
	"github.com/lni/dragonboat/v4/plugin/tan"
	"github.com/lni/dragonboat/v4/statemachine"
)

// dragonboatCluster is one shard of dragonboat's, as a registry has one log, with a host for each server. Its log is
// tan, which its authors call much faster than the default on Pebble.
type dragonboatCluster struct {
	closers
	leader  *dragonboat.NodeHost
	session *client.Session
}

const shard = 1

func openDragonboat(dir string, s shape) (cluster, error) {
	for _, name := range []string{"config", "dragonboat", "gossip", "logdb", "raft", "raftpb", "registry", "rsm", "server", "settings", "tan", "transport"} {
		logger.GetLogger(name).SetLevel(logger.CRITICAL)
	}
	c := &dragonboatCluster{}
	if err := c.start(dir, s.nodes); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *dragonboatCluster) start(dir string, nodes int) error {
	members := map[uint64]dragonboat.Target{}
	for id := uint64(1); id <= uint64(nodes); id++ {
		addr, err := freeAddr()
		if err != nil {
			return err
		}
		members[id] = addr
	}
	hosts := map[uint64]*dragonboat.NodeHost{}
	for id := uint64(1); id <= uint64(nodes); id++ {
		host, err := dragonboat.NewNodeHost(config.NodeHostConfig{
			NodeHostDir: filepath.Join(dir, fmt.Sprint(id)), RaftAddress: members[id], RTTMillisecond: 100,
			Expert: config.ExpertConfig{LogDBFactory: tan.Factory, LogDB: config.GetSmallMemLogDBConfig(), Engine: config.GetDefaultEngineConfig()},
		})
		if err != nil {
			return err
		}
		c.add(func() error { host.Close(); return nil })
		hosts[id] = host
		// The times are those of hashicorp/raft's defaults; without SnapshotEntries no snapshots are made.
		if err := host.StartReplica(members, false, newNoopMachine, config.Config{ReplicaID: id, ShardID: shard, ElectionRTT: 10, HeartbeatRTT: 1, CheckQuorum: true, PreVote: true}); err != nil {
			return err
		}
	}
	c.session = hosts[1].GetNoOPSession(shard)
	return await("dragonboat", func() bool {
		leader, _, known, err := hosts[1].GetLeaderID(shard)
		if err == nil && known {
			c.leader = hosts[leader]
		}
		return c.leader != nil && c.propose(0) == nil
	})
}

func (c *dragonboatCluster) propose(int) error {
	request, err := c.leader.Propose(c.session, command, 10*time.Second)
	if err != nil {
		return err
	}
	defer request.Release()
	if result := <-request.ResultC(); !result.Completed() {
		return fmt.Errorf("dragonboat: the proposal was not completed (timeout %v, dropped %v, terminated %v)", result.Timeout(), result.Dropped(), result.Terminated())
	}
	return nil
}

// noopMachine is a state machine that does nothing.
type noopMachine struct{}

func newNoopMachine(uint64, uint64) statemachine.IStateMachine { return noopMachine{} }

func (noopMachine) Update(statemachine.Entry) (statemachine.Result, error) {
	return statemachine.Result{}, nil
}
func (noopMachine) Lookup(any) (any, error) { return nil, nil }
func (noopMachine) SaveSnapshot(io.Writer, statemachine.ISnapshotFileCollection, <-chan struct{}) error {
	return nil
}
func (noopMachine) RecoverFromSnapshot(io.Reader, []statemachine.SnapshotFile, <-chan struct{}) error {
	return nil
}
func (noopMachine) Close() error { return nil }
