package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"concord/transport"
	"concord/transport/tcp"
)

// etcdCluster is etcd's raft with etcd's write-ahead log, driven the way its documentation calls the fastest: a
// RawNode with asynchronous storage writes, batches of proposals and one sync for all writes that wait. Messages
// travel over Concord's transport.
type etcdCluster struct {
	closers
	leader   *etcdServer
	commands [][]byte // of each proposer, beginning with its number
	waiters  []chan error
}

func openEtcd(dir string, s shape) (cluster, error) {
	c := &etcdCluster{commands: make([][]byte, maxProposers), waiters: make([]chan error, maxProposers)}
	for i := range c.waiters {
		c.commands[i] = slices.Clone(command)
		binary.BigEndian.PutUint64(c.commands[i], uint64(i))
		c.waiters[i] = make(chan error, 1)
	}
	if err := c.start(dir, s.nodes); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *etcdCluster) start(dir string, nodes int) error {
	var voters []uint64
	addrs := map[uint64]transport.Addr{}
	var all []*etcdServer
	for i := range nodes {
		id := uint64(i + 1)
		s := &etcdServer{id: id, addrs: addrs, waiters: c.waiters, inbox: newMailbox[etcdEvent](), writes: newMailbox[*pb.Message](), done: make(chan struct{}, 2)}
		addr, err := freeAddr()
		if err != nil {
			return err
		}
		if s.net, err = tcp.New(tcp.Config{Listen: addr, Advertise: transport.Addr(addr)}); err != nil {
			return err
		}
		c.add(s.net.Close)
		voters, addrs[id], all = append(voters, id), transport.Addr(addr), append(all, s)
	}
	for _, s := range all {
		if err := s.open(filepath.Join(dir, fmt.Sprint(s.id)), voters); err != nil {
			return err
		}
		c.add(s.stop)
	}
	return await("etcd-raft", func() bool {
		for _, s := range all {
			if s.leads.Load() {
				c.leader = s
			}
		}
		return c.leader != nil && c.propose(0) == nil
	})
}

func (c *etcdCluster) propose(worker int) error {
	if !c.leader.inbox.put(etcdEvent{data: c.commands[worker], worker: worker}) {
		return errStopped
	}
	return <-c.waiters[worker]
}

// etcdServer is one server. The fields behind writes belong to its loop.
type etcdServer struct {
	id      uint64
	net     *tcp.Transport
	addrs   map[uint64]transport.Addr
	waiters []chan error
	leads   atomic.Bool
	done    chan struct{} // one token for each goroutine that has ended
	wal     *wal.WAL
	storage *raft.MemoryStorage

	inbox  *mailbox[etcdEvent]
	writes *mailbox[*pb.Message]

	node      *raft.RawNode
	proposals []*pb.Entry
	proposers []int
	waiting   map[int]bool // proposers whose commands are in the log
	compacted uint64
}

// etcdEvent is a message from another server or from the own disk, or a proposal.
type etcdEvent struct {
	payload []byte
	message *pb.Message
	data    []byte
	worker  int
}

// etcdTick makes heartbeats and elections as frequent as hashicorp/raft's defaults.
const etcdTick = 100 * time.Millisecond

// open prepares the disk as that of a new cluster's member and starts the server.
func (s *etcdServer) open(dir string, voters []uint64) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	index, term := uint64(1), uint64(1)
	state := &pb.ConfState{Voters: voters}
	s.storage = raft.NewMemoryStorage()
	if err := s.storage.ApplySnapshot(&pb.Snapshot{Metadata: &pb.SnapshotMetadata{Index: &index, Term: &term, ConfState: state}}); err != nil {
		return err
	}
	var err error
	if s.wal, err = wal.Create(zap.NewNop(), dir, nil); err != nil {
		return err
	}
	if err = s.wal.SaveSnapshot(&walpb.Snapshot{Index: &index, Term: &term, ConfState: state}); err != nil {
		return err
	}
	s.node, err = raft.NewRawNode(&raft.Config{
		ID: s.id, ElectionTick: 10, HeartbeatTick: 1, Storage: s.storage, Applied: index, AsyncStorageWrites: true,
		MaxSizePerMsg: 1 << 20, MaxCommittedSizePerReady: 64 << 20, MaxInflightMsgs: 512, // etcd's values
		CheckQuorum: true, PreVote: true, Logger: &raft.DefaultLogger{Logger: log.New(io.Discard, "", 0)},
	})
	if err != nil {
		return err
	}
	s.waiting, s.compacted = map[int]bool{}, index
	if s.id == 1 {
		if err := s.node.Campaign(); err != nil {
			return err
		}
	}
	s.net.Start(s)
	go s.run()
	go s.write()
	return nil
}

// Deliver takes what the transport brings.
func (s *etcdServer) Deliver(e transport.Envelope) { s.inbox.put(etcdEvent{payload: e.Payload}) }

// PeerEvent is of no interest while all servers stay up.
func (s *etcdServer) PeerEvent(transport.Event) {}

func (s *etcdServer) stop() error {
	s.inbox.close()
	s.writes.close()
	<-s.done
	<-s.done
	return s.wal.Close()
}

func (s *etcdServer) send(m *pb.Message) {
	payload, err := proto.Marshal(m)
	if err != nil {
		fatal(err)
	}
	s.net.Send(transport.Envelope{To: s.addrs[m.GetTo()], Class: transport.Raft, Payload: payload})
}
