package node

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"concord/raft"
	"concord/swim"
	"concord/wire"
)

// bootstrap forms a cluster out of servers that have none, once (flags -bootstrap and
// -bootstrap-expect).
//
// With -bootstrap-expect N the server with the lowest ID of N servers asks the others to promise
// that they will form their first cluster with no other set. A promise is on disk before it is
// given, and each server gives one: so two sets that overlap can never both form, however
// differently the servers see each other at the time (docs/adr/0003).
type bootstrap struct {
	at      time.Duration // of the next attempt
	writing bool          // the first entry is being written; Raft must not see messages meanwhile
	done    bool          // this server has a cluster
	told    bool          // and gossip says so

	promise string // the set it gave its promise for, "" none
	given   uint64 // the attempt that it was given to last; not kept over a restart, after which none is released
	set     []string
	waiting map[string]bool // who has not answered yet; nil: not asking
	attempt uint64          // the number of this server's own attempt
}

// bootstrapRetry is how long an attempt may take, and how long to wait after it.
const bootstrapRetry = 2 * time.Second

func newBootstrap(cfg Config, disk Disk) bootstrap {
	b := bootstrap{at: never, promise: disk.Promise}
	b.done = len(disk.Raft.Config.Servers) > 0 || len(disk.Raft.Entries) > 0
	if !b.done && (cfg.Bootstrap || cfg.Expect == 1) {
		b.at = 0
	}
	return b
}

func bootstrapKind(k wire.OperatorKind) bool {
	return k == wire.BootstrapPromise || k == wire.BootstrapRelease
}

// anyServerKind tells whether a request is for whichever server gets it, not for the leader.
func anyServerKind(k wire.OperatorKind) bool {
	return bootstrapKind(k) || k == wire.Datacenters || k == wire.CoordinateDatacenters || k == wire.Keyring || k == wire.FireEvent
}

func (s *server) bootstrapTick() {
	if s.bootstrap.at > s.n.now {
		return
	}
	s.bootstrap.at = never
	if s.n.cfg.Bootstrap || s.n.cfg.Expect == 1 {
		if !s.hasCluster() {
			s.bootstrapWith([]string{s.n.cfg.ID})
		}
		return
	}
	s.bootstrap.waiting = nil
	s.bootstrapCheck()
	if s.bootstrap.at == never && !s.hasCluster() {
		s.bootstrap.at = s.n.now + bootstrapRetry
	}
}

// tellCluster takes back, once this server has a cluster, that it expects to form one. Otherwise a server that lost its disk, and
// with it the memory of its cluster, would promise to form another one, and vote with an empty log on the strength of that
// (raft/lost.go).
func (s *server) tellCluster() {
	if s.bootstrap.told || !s.hasCluster() {
		return
	}
	s.bootstrap.told = true
	tags := s.n.cfg.tags()
	delete(tags, tagExpect)
	if err := s.n.lan.SetTags(s.n.now, tags); err != nil {
		s.n.log(Warn, "server", "failed to tell the others that this server has a cluster", "error", err)
	}
}

// hasCluster tells whether this server is, or is becoming, part of a cluster.
func (s *server) hasCluster() bool {
	b := &s.bootstrap
	if !b.done {
		b.done = s.raft.Status().LastIndex > 0
	}
	return b.done || b.writing
}

// bootstrapCheck begins to ask for promises if enough servers have met.
func (s *server) bootstrapCheck() {
	b := &s.bootstrap
	if s.n.cfg.Expect < 2 || b.waiting != nil || s.hasCluster() {
		return
	}
	set, ok := s.expected()
	if b.set != nil && !slices.Equal(set, b.set) {
		// The others may hold a promise for the earlier set: finish with it, or free them.
		if set, ok = b.set, s.allAlive(b.set); !ok {
			s.releaseBootstrap()
			return
		}
	}
	if !ok || set[0] != s.n.cfg.ID {
		return // the lowest asks
	}
	if b.promise != "" && b.promise != promiseOf(set) {
		s.n.log(Warn, "server", "this server has promised to form its first cluster with other servers; it waits for them", "promise", b.promise)
		return
	}
	s.n.log(Info, "server", "found expected number of peers, attempting bootstrap", "peers", strings.Join(set, ","))
	b.set, b.waiting = set, map[string]bool{}
	b.attempt = s.n.rng.Uint64()
	b.at = s.n.now + bootstrapRetry + s.n.rng.Duration(0, bootstrapRetry)
	for _, id := range set[1:] {
		b.waiting[id] = true
	}
	for _, id := range set[1:] {
		s.askBootstrap(wire.BootstrapPromise, id)
	}
}

// expected returns the servers to form the cluster with, lowest ID first.
func (s *server) expected() (set []string, ok bool) {
	for _, v := range s.n.servers() {
		if v.State != swim.StateAlive {
			continue
		}
		if v.Expect != 0 && v.Expect != s.n.cfg.Expect {
			s.n.log(Error, "server", "member has a conflicting expect value. All nodes should expect the same number.", "member", v.Name)
			return nil, false
		}
		if v.Expect == s.n.cfg.Expect {
			set = append(set, v.ID)
		}
	}
	if len(set) < s.n.cfg.Expect {
		return nil, false
	}
	return set[:s.n.cfg.Expect], true
}

// askBootstrap sends a promise or release request straight to a server: it is nothing for a leader.
func (s *server) askBootstrap(kind wire.OperatorKind, id string) {
	addr, attempt := s.addrs[raft.ID(id)], s.bootstrap.attempt
	c := &call{req: &wire.Request{Operator: &wire.Operator{Kind: kind, ID: s.n.cfg.ID, Set: s.bootstrap.set, Attempt: attempt}}}
	c.deadline = s.n.now + bootstrapRetry
	c.done = func(resp *wire.Response) {
		if kind == wire.BootstrapPromise {
			s.onPromise(id, attempt, resp)
		}
	}
	s.n.sendOn(c, addr)
}

func (s *server) onPromise(from string, attempt uint64, resp *wire.Response) {
	b := &s.bootstrap
	if b.waiting == nil || b.attempt != attempt {
		return
	}
	if resp.Code != wire.OK {
		s.n.log(Info, "server", "bootstrap attempt given up", "server", s.nameOf(raft.ID(from)), "reason", resp.Err)
		s.releaseBootstrap()
		return
	}
	delete(b.waiting, from)
	if len(b.waiting) == 0 && !s.hasCluster() {
		s.bootstrapWith(b.set)
	}
}

// releaseBootstrap frees the servers that were asked for a promise.
func (s *server) releaseBootstrap() {
	for _, id := range s.bootstrap.set[1:] {
		s.askBootstrap(wire.BootstrapRelease, id)
	}
	s.bootstrap.set, s.bootstrap.waiting = nil, nil
}

// allAlive tells whether gossip reaches all servers of a set.
func (s *server) allAlive(set []string) bool {
	for _, id := range set {
		if !slices.ContainsFunc(s.n.servers(), func(v serverInfo) bool { return v.ID == id && v.State == swim.StateAlive }) {
			return false
		}
	}
	return true
}

// serveBootstrap gives a promise, or takes it back.
func (s *server) serveBootstrap(c *call) {
	b, op := &s.bootstrap, c.req.Operator
	want := promiseOf(op.Set)
	if op.Kind == wire.BootstrapRelease {
		// The one who asked gave up before it wrote anything, so the promise binds nobody.
		if b.promise == want && b.given == op.Attempt && len(op.Set) > 0 && op.Set[0] == op.ID && !s.hasCluster() {
			s.savePromise("", func() { s.n.answer(c, &wire.Response{}) })
		}
		return
	}
	switch {
	case s.hasCluster():
		s.n.answer(c, &wire.Response{Code: wire.Refused, Err: "already part of a cluster"})
	case len(op.Set) == 0 || op.Set[0] != op.ID || !slices.Contains(op.Set, s.n.cfg.ID):
		s.n.answer(c, &wire.Response{Code: wire.Refused, Err: "malformed set of servers"})
	case b.waiting != nil || b.promise != "" && b.promise != want:
		s.n.answer(c, &wire.Response{Code: wire.Refused, Err: fmt.Sprintf("promised to form its first cluster with %s", b.promise)})
	default:
		b.given = op.Attempt
		s.savePromise(want, func() { s.n.answer(c, &wire.Response{}) })
	}
}

func (s *server) savePromise(p string, then func()) {
	s.bootstrap.promise = p
	s.raft.MayForm(s.n.now, false)
	s.persist(PersistTask{Promise: &p}, logWrite{then: func() {
		s.raft.MayForm(s.n.now, p != "")
		then()
	}})
}

func promiseOf(set []string) string { return strings.Join(set, ",") }

// bootstrapWith writes the first entry of the log, the configuration of the set, and starts Raft
// from there.
func (s *server) bootstrapWith(set []string) {
	b := &s.bootstrap
	b.writing, b.waiting = true, nil
	var config raft.Configuration
	for _, id := range set {
		addr := s.addrs[raft.ID(id)]
		if id == s.n.cfg.ID {
			addr = s.n.cfg.RPCAddr
		}
		config.Servers = append(config.Servers, raft.Server{ID: raft.ID(id), Address: string(addr), Suffrage: raft.Voter})
	}
	first, err := raft.Bootstrap(config)
	if err != nil {
		s.n.log(Error, "server", "failed to bootstrap cluster", "error", err)
		b.writing = false
		return
	}
	hard := first.HardState
	s.persist(PersistTask{HardState: &hard, Entries: first.Entries}, logWrite{then: func() {
		r, err := raft.New(s.n.cfg.Raft, first, s.n.rng.Fork("raft"), s.n.now)
		if err != nil {
			s.n.log(Error, "server", "failed to bootstrap cluster", "error", err)
			return
		}
		s.raft, b.writing, b.done = r, false, true
		s.learnAddresses()
	}})
}
