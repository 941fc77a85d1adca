// Package node composes one machine of a cluster out of the pure cores: gossip, and, on a server,
// Raft and the catalog. It is single-threaded and does no I/O: a driver (node/runner with real
// sockets and disks, or sim) calls the On methods one at a time and carries out what the node asks
// of its Env.
//
// Inputs only queue; Drain turns what they led to into effects. A driver that has several inputs
// at hand gives them all before it drains, and so batches proposals, packets and log writes.
package node

import (
	"fmt"
	"time"

	"concord/agent"
	"concord/agent/userevent"
	"concord/internal/invariant"
	"concord/internal/prng"
	"concord/internal/tick"
	"concord/node/machine"
	"concord/raft"
	"concord/transport"
	"concord/wire"
)

// Disk is what a server finds on its disks at start.
type Disk struct {
	Raft    raft.InitialState
	Applied machine.Applied
	// Promise is the bootstrap promise made before, if any.
	Promise string
}

// Node is a server or a client agent.
type Node struct {
	cfg    Config
	env    Env
	rng    *prng.Rand
	now    time.Duration
	clock  clockWatch
	lan    *pool
	wan    *pool   // nil: not a server, or it has none
	pools  []*pool // those that there are
	flood  flood
	local  *agent.Local
	router *router
	// remotes are the servers of the other datacenters.
	remotes *datacenters
	calls   *calls
	locator locator
	server  *server // nil: a client agent
	leave   leaving
	seen    userevent.Seen // user events
}

// New returns a node that has not done anything yet. disk is only looked at on a server.
func New(cfg Config, env Env, rng *prng.Rand, disk Disk) (*Node, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, env: env, rng: rng, now: env.Now(), flood: newFlood()}
	var err error
	if n.lan, err = newLAN(cfg.LAN, rng, n.now); err != nil {
		return nil, fmt.Errorf("gossip: %w", err)
	}
	n.pools = []*pool{n.lan}
	if cfg.hasWAN() {
		if n.wan, err = newWAN(cfg.WAN, rng, n.now); err != nil {
			return nil, fmt.Errorf("WAN gossip: %w", err)
		}
		n.pools = append(n.pools, n.wan)
	}
	if err := cfg.Agent.WithDefaults().Validate(); err != nil {
		return nil, err
	}
	n.local = agent.New(cfg.Agent.WithDefaults(), rng.Fork("agent"), n.now)
	n.router = newRouter(cfg, rng.Fork("router"))
	n.remotes = newDatacenters(rng.Fork("datacenters"))
	n.calls = newCalls(rng.Fork("calls"))
	if cfg.Server {
		if n.server, err = newServer(n, disk); err != nil {
			return nil, err
		}
	}
	n.gossipChanged(n.lan)
	n.planCoordinate()
	return n, nil
}

// Config returns what the node was made from, defaults filled in.
func (n *Node) Config() Config { return n.cfg }

// NextDeadline is when OnTick is due if nothing else happens before.
func (n *Node) NextDeadline() time.Duration {
	next := min(n.lan.nextDeadline(), n.wan.nextDeadline(), n.flood.at, n.local.NextDeadline(), n.calls.nextDeadline(), n.leave.deadline(), n.locator.at)
	if n.server != nil {
		next = min(next, n.server.nextDeadline())
	}
	return next
}

// OnTick lets timers fire.
func (n *Node) OnTick() {
	n.begin()
	for _, p := range n.pools {
		if p.NextDeadline() <= n.now {
			p.Tick(n.now)
		}
	}
	if n.local.NextDeadline() <= n.now {
		n.local.Tick(n.now)
	}
	n.expireCalls()
	n.leaveTick()
	for _, p := range n.pools {
		n.rejoinTick(p)
	}
	n.floodTick()
	n.coordinateTick()
	if n.server != nil {
		n.server.tick()
	}
}

// OnMessage takes an envelope from another node.
func (n *Node) OnMessage(e transport.Envelope) {
	n.begin()
	switch e.Class {
	case transport.Gossip, transport.GossipStream, transport.WANGossip, transport.WANGossipStream:
		n.onGossip(e)
	case transport.RPC:
		n.onRPC(e)
	case transport.Raft:
		if n.server != nil {
			n.server.onRaft(e)
		}
	}
}

// OnPeerEvent takes what a transport noticed of a peer.
func (n *Node) OnPeerEvent(ev transport.Event) {
	n.begin()
	switch ev.Class {
	case transport.GossipStream, transport.WANGossipStream:
		n.gossipUnreachable(n.poolOf(ev.Class), &ev)
	case transport.RPC, transport.Raft:
		n.onPeerLost(ev)
	}
}

// OnPersisted tells that all PersistTasks up to seq are durable.
func (n *Node) OnPersisted(seq uint64) {
	n.begin()
	n.server.onPersisted(seq)
}

// OnApplied tells what came of an ApplyTask.
func (n *Node) OnApplied(d ApplyDone) {
	n.begin()
	n.server.onApplied(d)
}

// OnRead answers a ReadTask that the node made for itself.
func (n *Node) OnRead(t ReadTask) {
	n.begin()
	n.server.onRead(t)
}

// OnFetched answers a FetchTask.
func (n *Node) OnFetched(d FetchDone) {
	n.begin()
	n.server.onFetched(d)
}

// OnRequest takes a request of a caller on this machine, to be answered by Env.Reply with the
// token, which must not be 0.
func (n *Node) OnRequest(token uint64, req *wire.Request) {
	invariant.Check(token != 0, "a request without a token")
	n.begin()
	n.startCall(Origin{Token: token}, req)
}

// OnCancel tells that the caller of OnRequest no longer waits.
func (n *Node) OnCancel(token uint64) {
	n.begin()
	if n.server != nil {
		n.server.watches.cancel(token)
	}
	n.calls.cancel(token)
}

// WithAgent changes the local agent: its services and checks.
func (n *Node) WithAgent(f func(now time.Duration, a *agent.Local)) {
	n.begin()
	f(n.now, n.local)
}

// begin starts every input.
func (n *Node) begin() {
	now := n.env.Now()
	invariant.Check(now >= n.now, "the clock went back from %v to %v", n.now, now)
	n.now = now
	n.watchClock()
}

// Drain carries out what the inputs since the last call led to. It ends because each round
// only goes on while there is something to hand to the Env.
func (n *Node) Drain() {
	if n.server != nil {
		defer n.server.publishView()
	}
	for again := true; again; {
		again = n.drainGossip()
		again = n.drainAgent() || again
		if n.server != nil {
			again = n.server.drain() || again
		}
	}
}

// logf writes a line about a component.
func (n *Node) log(level Level, component, message string, args ...any) {
	n.env.Log(level, component, message, args...)
}

// Never is the deadline of what is not to happen.
const Never = tick.Never

const never = Never
