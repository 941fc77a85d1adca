package main

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"concord/internal/prng"
	"concord/raft"
	"concord/store/raftlog"
	"concord/transport"
	"concord/transport/tcp"
)

// concordCluster is Concord's raft under the smallest driver that does what node/runner does: a loop, a log writer
// with group commit, and the product's log, codec and transport.
type concordCluster struct {
	closers
	servers []*concordServer
	leader  *concordServer
	waiters []chan error // of each proposer
	trace   *stages      // nil: not wanted
}

func openConcord(dir string, s shape) (cluster, error) {
	c := &concordCluster{waiters: make([]chan error, maxProposers)}
	for i := range c.waiters {
		c.waiters[i] = make(chan error, 1)
	}
	if err := c.start(dir, s.nodes); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *concordCluster) start(dir string, nodes int) error {
	var members raft.Configuration
	for i := range nodes {
		id := raft.ID(fmt.Sprint(i))
		s := &concordServer{id: id, start: time.Now(), trace: c.trace, inbox: newMailbox[concordEvent](), writes: newMailbox[logWrite](), done: make(chan struct{}, 2)}
		addr, err := freeAddr()
		if err != nil {
			return err
		}
		if s.net, err = tcp.New(tcp.Config{Listen: addr, Advertise: transport.Addr(addr)}); err != nil {
			return err
		}
		c.add(s.net.Close)
		members.Servers = append(members.Servers, raft.Server{ID: id, Address: addr, Suffrage: raft.Voter})
		c.servers = append(c.servers, s)
	}
	st, err := raft.Bootstrap(members)
	if err != nil {
		return err
	}
	for _, s := range c.servers {
		if err := s.open(filepath.Join(dir, string(s.id)), st, members); err != nil {
			return err
		}
		c.add(s.stop)
	}
	return await("concord", func() bool {
		for _, s := range c.servers {
			if s.leads.Load() {
				c.leader = s
			}
		}
		return c.leader != nil && c.propose(0) == nil
	})
}

func (c *concordCluster) propose(worker int) error {
	c.trace.mark(proposedAt)
	reply := c.waiters[worker]
	if !c.leader.inbox.put(concordEvent{data: command, reply: reply}) {
		return errStopped
	}
	err := <-reply
	c.trace.mark(acknowledged)
	return err
}

// concordServer is one server. The fields behind inbox and writes belong to its loop.
type concordServer struct {
	id    raft.ID
	start time.Time
	net   *tcp.Transport
	log   *raftlog.Log
	leads atomic.Bool
	trace *stages
	done  chan struct{} // one token for each goroutine that has ended

	inbox  *mailbox[concordEvent]
	writes *mailbox[logWrite]

	node    *raft.Node
	addrs   map[raft.ID]transport.Addr
	unsent  []afterPersist
	pending []proposed
	data    [][]byte
	replies []chan error
}

// concordEvent is a message, a proposal (reply is set) or, with neither, a completed write.
type concordEvent struct {
	payload   []byte
	data      []byte
	reply     chan error
	persisted uint64
}

// logWrite is what a Ready wants on the disk.
type logWrite struct {
	id      uint64
	hs      *raft.HardState
	entries []raft.Entry
}

// afterPersist are messages that wait for the write of a Ready.
type afterPersist struct {
	id       uint64
	messages []raft.Message
}

type proposed struct {
	index, term uint64
	reply       chan error
}

// open prepares the disk as that of a new cluster's member and starts the server.
func (s *concordServer) open(dir string, st raft.InitialState, members raft.Configuration) error {
	var err error
	fs := vfs.Default
	if s.trace != nil {
		fs = tracedFS{vfs.Default, s.trace}
	}
	if s.log, err = raftlog.Open(fs, dir); err != nil {
		return err
	}
	w := s.log.Begin()
	if err = w.Add(&st.HardState, st.Entries); err != nil {
		return err
	}
	if err = w.Commit(); err != nil {
		return err
	}
	cfg := raft.Config{ID: s.id}.WithDefaults()
	if s.node, err = raft.New(cfg, st, prng.New(1).Fork(string(s.id)), s.now()); err != nil {
		return err
	}
	s.addrs = map[raft.ID]transport.Addr{}
	for _, m := range members.Servers {
		s.addrs[m.ID] = transport.Addr(m.Address)
	}
	s.net.Start(s)
	go s.run()
	go s.write()
	return nil
}

func (s *concordServer) now() time.Duration { return time.Since(s.start) }

// Deliver takes what the transport brings.
func (s *concordServer) Deliver(e transport.Envelope) {
	s.inbox.put(concordEvent{payload: e.Payload})
}

// PeerEvent is of no interest while all servers stay up.
func (s *concordServer) PeerEvent(transport.Event) {}

// stop ends the server; its transport is closed afterwards.
func (s *concordServer) stop() error {
	s.inbox.close()
	s.writes.close()
	<-s.done
	<-s.done
	return s.log.Close()
}
