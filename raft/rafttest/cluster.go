// Package rafttest runs raft.Nodes in memory, for tests: a network whose messages wait
// to be delivered, disks whose writes wait to be durable, a state machine that checks
// itself, and an interpreter of golden traces over them. It does one thing at a time and only
// when told, so each run can be repeated.
package rafttest

import (
	"fmt"
	"slices"
	"time"

	"concord/internal/prng"
	"concord/raft"
)

// Cluster is a set of servers and what is on the way between them.
type Cluster struct {
	// Now is the time that all servers are told. It only moves when a caller moves it.
	Now time.Duration
	// Servers are ordered by ID.
	Servers []*Server
	// Network holds the messages on the way, oldest first.
	Network []raft.Message
	// Trace, if set, is called with a line for each thing that happens.
	Trace func(format string, args ...any)
	// Lazy, if set, decides whether a driver leaves the Readys of an input for later, as one
	// does that takes many inputs at once.
	Lazy func() bool

	cfg     raft.Config
	rand    *prng.Rand
	cut     map[[2]raft.ID]bool
	history history
	check   checker
}

// New returns a cluster without servers. Their configuration is cfg, but for the ID.
func New(cfg raft.Config, seed uint64) *Cluster {
	return &Cluster{
		cfg: cfg, rand: prng.New(seed), cut: map[[2]raft.ID]bool{},
		history: history{{}}, check: checker{leaders: map[uint64]raft.ID{}},
	}
}

// Add adds a server whose disks hold st, and starts it.
func (c *Cluster) Add(id raft.ID, st raft.InitialState) *Server {
	s := &Server{ID: id, c: c, disk: disk{
		hs: st.HardState, first: max(st.FirstIndex, 1), entries: slices.Clone(st.Entries),
		state: state{index: st.Applied, term: st.AppliedTerm, config: st.Config, configIndex: st.ConfigIndex},
	}}
	i, _ := slices.BinarySearchFunc(c.Servers, id, func(s *Server, id raft.ID) int {
		return compare(s.ID, id)
	})
	c.Servers = slices.Insert(c.Servers, i, s)
	s.Start()
	return s
}

func compare(a, b raft.ID) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	default:
		return 0
	}
}

// Bootstrap adds voters and nonvoters as the servers of a new cluster.
func (c *Cluster) Bootstrap(voters, nonvoters []raft.ID) error {
	var cfg raft.Configuration
	for _, id := range voters {
		cfg.Servers = append(cfg.Servers, raft.Server{ID: id, Suffrage: raft.Voter})
	}
	for _, id := range nonvoters {
		cfg.Servers = append(cfg.Servers, raft.Server{ID: id, Suffrage: raft.Nonvoter})
	}
	slices.SortFunc(cfg.Servers, func(a, b raft.Server) int { return compare(a.ID, b.ID) })
	st, err := raft.Bootstrap(cfg)
	if err != nil {
		return err
	}
	for _, s := range cfg.Servers {
		c.Add(s.ID, st)
	}
	return nil
}

// Server returns the server with the given ID, or nil.
func (c *Cluster) Server(id raft.ID) *Server {
	for _, s := range c.Servers {
		if s.ID == id {
			return s
		}
	}
	return nil
}

// Leader returns the running leader with the highest term, or nil.
func (c *Cluster) Leader() *Server {
	var leader *Server
	for _, s := range c.Servers {
		if s.Node != nil && s.Node.Status().Role == raft.Leader && (leader == nil || s.Node.Status().Term > leader.Node.Status().Term) {
			leader = s
		}
	}
	return leader
}

// Cut stops messages from one server to another; those on the way are lost.
func (c *Cluster) Cut(from, to raft.ID) { c.cut[[2]raft.ID{from, to}] = true }

// Heal lets all messages pass again.
func (c *Cluster) Heal() { clear(c.cut) }

// Deliver takes the i-th message off the network and delivers it.
func (c *Cluster) Deliver(i int) {
	m := c.Network[i]
	c.Network = slices.Delete(c.Network, i, i+1)
	s := c.Server(m.To)
	if s == nil || s.Node == nil || c.cut[[2]raft.ID{m.From, m.To}] {
		c.trace("lost     %s", Describe(&m))
		return
	}
	c.trace("deliver  %s", Describe(&m))
	s.Node.Step(c.Now, clone(m))
	s.pump()
}

// clone keeps the receiver from sharing memory with the sender, as a wire would.
func clone(m raft.Message) raft.Message {
	m.Entries = slices.Clone(m.Entries)
	for i := range m.Entries {
		if cfg := m.Entries[i].Config; cfg != nil {
			m.Entries[i].Config = &raft.Configuration{Servers: slices.Clone(cfg.Servers)}
		}
	}
	return m
}

// Settle delivers all messages and completes all work, in order, except where it is held,
// until nothing is left; no time passes. It gives up after a while and tells so.
func (c *Cluster) Settle() error {
	for range 100_000 {
		busy := false
		for _, s := range c.Servers {
			busy = s.work() || busy
		}
		if len(c.Network) > 0 {
			c.Deliver(0)
			busy = true
		}
		if !busy {
			return nil
		}
	}
	return fmt.Errorf("cluster does not settle; %d messages on the way", len(c.Network))
}

// Run lets time pass: servers tick at their deadlines, messages and work take no time.
func (c *Cluster) Run(d time.Duration) error {
	end := c.Now + d
	for {
		if err := c.Settle(); err != nil {
			return err
		}
		next, due := end, (*Server)(nil)
		for _, s := range c.Servers {
			if s.Node != nil && s.Node.NextDeadline() < next {
				next, due = s.Node.NextDeadline(), s
			}
		}
		c.Now = max(c.Now, next)
		if due == nil {
			return nil
		}
		due.Tick()
	}
}

func (c *Cluster) trace(format string, args ...any) {
	if c.Trace != nil {
		c.Trace(format, args...)
	}
}
