package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	boltdb "github.com/hashicorp/raft-boltdb/v2"
	wal "github.com/hashicorp/raft-wal"
	"go.etcd.io/bbolt"
)

// durable is a log store that also keeps the term and the vote, as both of hashicorp's do.
type durable interface {
	raft.LogStore
	raft.StableStore
	io.Closer
}

// openBolt opens raft-boltdb without syncing its free list, which its documentation names as the faster way.
func openBolt(dir string) (durable, error) {
	return boltdb.New(boltdb.Options{Path: filepath.Join(dir, "raft.db"),
		BoltOptions: &bbolt.Options{NoFreelistSync: true, FreelistType: bbolt.FreelistMapType}})
}

func openWAL(dir string) (durable, error) {
	return wal.Open(dir, wal.WithLogger(hclog.NewNullLogger()))
}

// hashicorpCluster proposes at the leader.
type hashicorpCluster struct {
	closers
	leader *raft.Raft
	batch  int // MaxAppendEntries: its default is 64, the most it allows 1024
}

func openHashicorp(open func(dir string) (durable, error)) func(string, shape) (cluster, error) {
	return func(dir string, s shape) (cluster, error) {
		c := &hashicorpCluster{batch: min(max(64, s.proposers), 1024)}
		if err := c.start(dir, s.nodes, open); err != nil {
			c.close()
			return nil, err
		}
		return c, nil
	}
}

func (c *hashicorpCluster) start(dir string, nodes int, open func(dir string) (durable, error)) error {
	var members raft.Configuration
	var all []*raft.Raft
	for i := range nodes {
		sub := filepath.Join(dir, fmt.Sprint(i))
		if err := os.MkdirAll(sub, 0o755); err != nil {
			return err
		}
		r, server, err := c.server(sub, fmt.Sprint(i), open)
		if err != nil {
			return err
		}
		all = append(all, r)
		members.Servers = append(members.Servers, server)
	}
	if err := all[0].BootstrapCluster(members).Error(); err != nil {
		return err
	}
	return await("hashicorp/raft", func() bool {
		for _, r := range all {
			if r.State() == raft.Leader {
				c.leader = r
			}
		}
		return c.leader != nil && c.leader.Barrier(time.Second).Error() == nil
	})
}

// server starts one server, tuned for throughput: batches as large as the proposers can fill, and the newest entries cached, as
// Consul does it, so that replication does not read the log.
func (c *hashicorpCluster) server(dir, id string, open func(dir string) (durable, error)) (*raft.Raft, raft.Server, error) {
	store, err := open(dir)
	if err != nil {
		return nil, raft.Server{}, err
	}
	c.add(store.Close)
	cached, err := raft.NewLogCache(4096, store)
	if err != nil {
		return nil, raft.Server{}, err
	}
	transport, err := raft.NewTCPTransportWithLogger("127.0.0.1:0", nil, 3, 10*time.Second, hclog.NewNullLogger())
	if err != nil {
		return nil, raft.Server{}, err
	}
	c.add(transport.Close)
	cfg := raft.DefaultConfig()
	cfg.LocalID = raft.ServerID(id)
	cfg.Logger = hclog.NewNullLogger()
	cfg.MaxAppendEntries = c.batch
	cfg.BatchApplyCh = true
	cfg.SnapshotInterval, cfg.SnapshotThreshold = time.Hour, 1<<40 // nobody else makes snapshots here
	r, err := raft.NewRaft(cfg, noopFSM{}, cached, store, raft.NewDiscardSnapshotStore(), transport)
	if err != nil {
		return nil, raft.Server{}, err
	}
	c.add(func() error { return r.Shutdown().Error() })
	return r, raft.Server{ID: cfg.LocalID, Address: transport.LocalAddr()}, nil
}

func (c *hashicorpCluster) propose(int) error { return c.leader.Apply(command, 10*time.Second).Error() }

// noopFSM takes batches, which spares hashicorp/raft a call for each command.
type noopFSM struct{}

func (noopFSM) Apply(*raft.Log) any                 { return nil }
func (noopFSM) ApplyBatch(logs []*raft.Log) []any   { return make([]any, len(logs)) }
func (noopFSM) Snapshot() (raft.FSMSnapshot, error) { return nil, fmt.Errorf("no snapshots here") }
func (noopFSM) Restore(r io.ReadCloser) error       { return r.Close() }
