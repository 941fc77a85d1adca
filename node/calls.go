package node

import (
	"cmp"
	"slices"
	"time"

	"concord/internal/prng"
	"concord/internal/tick"
	"concord/swim"
	"concord/transport"
	"concord/wire"
)

// call is a request on its way: held until somebody leads, sent on to another node, or served
// here.
type call struct {
	origin   Origin
	done     func(*wire.Response) // of a request that this node makes for itself
	req      *wire.Request
	deadline time.Duration
	hold     time.Duration // how long it may wait for a leader
	blocked  time.Duration // until when a blocking read waits for a change

	sentAs uint64 // the number under which it was sent on to target, or 0
	target transport.Addr
	timer  *tick.Item[*call]
	tries  int // at servers of another datacenter
}

// calls are the requests that wait for another node, or for a leader.
type calls struct {
	last  uint64
	sent  map[uint64]*call
	held  []*call
	retry time.Duration // when to try the held ones again, whatever happens
	queue tick.Queue[*call]
	local map[uint64]*call // those of callers on this machine, by token
}

// retryInterval is how soon a request is tried again that came to a server that does not lead.
const retryInterval = 50 * time.Millisecond

// maxHops ends a request that is sent round: client agent, server, leader. One for another datacenter makes a hop more, from a server of
// the one to a server of the other.
const maxHops = 2

// hopShare is the part of a request's time that each who sends it on keeps: whom it went to says that nobody answered in time before it is itself
// taken for one that does not answer.
const hopShare = 16

func hopsLeft(req *wire.Request) bool {
	if req.Datacenter != "" {
		return req.Hops <= maxHops
	}
	return req.Hops < maxHops
}

// newCalls begins to number requests at a random place: an answer to an earlier life of this node must not be taken
// for that to a request of this one.
func newCalls(rng *prng.Rand) *calls {
	return &calls{last: rng.Uint64(), sent: map[uint64]*call{}, retry: never, local: map[uint64]*call{}}
}

func (cs *calls) nextDeadline() time.Duration { return min(cs.queue.Next(), cs.retry) }

// cancel forgets a request whose caller does not wait any more.
func (cs *calls) cancel(token uint64) {
	if c := cs.local[token]; c != nil {
		cs.forget(c)
	}
}

// forget ends the waiting of a call, wherever it waits.
func (cs *calls) forget(c *call) {
	cs.queue.Remove(c.timer)
	c.timer = nil
	if c.sentAs != 0 {
		delete(cs.sent, c.sentAs)
		c.sentAs = 0
	}
	for i, h := range cs.held {
		if h == c {
			cs.held = append(cs.held[:i], cs.held[i+1:]...)
			break
		}
	}
	if c.origin.Token != 0 {
		delete(cs.local, c.origin.Token)
	}
}

func (cs *calls) wait(c *call, until time.Duration) {
	c.timer = cs.queue.Add(until, c)
	if c.origin.Token != 0 {
		cs.local[c.origin.Token] = c
	}
}

// startCall takes a request from wherever it comes.
func (n *Node) startCall(o Origin, req *wire.Request) {
	n.start(&call{origin: o, req: req})
}

// ask makes a request of this node's own.
func (n *Node) ask(req *wire.Request, done func(*wire.Response)) {
	n.start(&call{done: done, req: req})
}

func (n *Node) start(c *call) {
	timeout := c.req.Timeout
	if timeout <= 0 {
		timeout = n.cfg.RequestTimeout
	}
	if r := c.req.Read; r != nil && r.MinIndex > 0 {
		c.blocked = n.now + r.Wait
		timeout += r.Wait
	}
	c.deadline = n.now + timeout
	c.hold = min(c.deadline, n.now+n.cfg.HoldTimeout)
	if n.calls.queue.Len() >= n.cfg.MaxRequests {
		n.answer(c, &wire.Response{Code: wire.Busy, Err: "too many requests are under way, try again"})
		return
	}
	n.route(c)
}

// route serves the call here, sends it to who can, or holds it until there is somebody.
func (n *Node) route(c *call) {
	if n.server != nil && n.abroad(c.req) {
		n.sendAbroad(c)
		return
	}
	if n.server != nil && n.server.serves(c) {
		n.server.serve(c)
		return
	}
	if !hopsLeft(c.req) {
		n.answer(c, &wire.Response{Code: wire.NotLeader, Err: "this server does not lead"})
		return
	}
	if op := c.req.Operator; op != nil && bootstrapKind(op.Kind) {
		n.answer(c, &wire.Response{Code: wire.Refused, Err: "this agent is not a server"})
		return
	}
	target := n.target()
	if n.cfg.FaultPoints.Fire("node/hold-request") {
		target = ""
		n.calls.retry = min(n.calls.retry, n.now+retryInterval)
	}
	if target == "" || target == n.cfg.RPCAddr {
		n.hold(c)
		return
	}
	n.sendOn(c, target)
}

// target is the node that a request not served here goes to.
func (n *Node) target() transport.Addr {
	if n.server != nil {
		return n.server.leaderAddr()
	}
	return n.router.pick(n.now)
}

func (n *Node) sendOn(c *call, target transport.Addr) {
	n.calls.last++
	c.sentAs, c.target = n.calls.last, target
	n.calls.sent[c.sentAs] = c
	n.calls.wait(c, c.deadline)
	req := *c.req
	req.ID, req.Hops = c.sentAs, c.req.Hops+1
	req.Timeout = c.deadline - max(n.now, c.blocked)
	req.Timeout -= req.Timeout / hopShare
	if req.Read != nil && req.Read.MinIndex > 0 {
		read := *req.Read
		read.Wait = max(0, c.blocked-n.now)
		req.Read = &read
	}
	n.sendRequest(target, &req)
}

func (n *Node) sendRequest(to transport.Addr, req *wire.Request) {
	n.env.Send(transport.Envelope{To: to, Class: transport.RPC, Payload: wire.AppendRequest([]byte{rpcRequest}, req)})
}

// hold keeps a call until somebody leads. Consul does so for rpc_hold_timeout.
func (n *Node) hold(c *call) {
	if n.now >= c.hold {
		n.answer(c, n.nobody(c))
		return
	}
	n.calls.wait(c, c.hold)
	n.calls.held = append(n.calls.held, c)
}

// tryAgain holds a call that found no leader where it looked for one; one that was served for a
// while may wait anew.
func (n *Node) tryAgain(c *call) {
	if c.blocked != 0 {
		c.hold = min(c.deadline, n.now+n.cfg.HoldTimeout)
	}
	n.hold(c)
	n.calls.retry = min(n.calls.retry, n.now+retryInterval)
}

// nobody is the answer to a call that nobody was found to serve.
func (n *Node) nobody(c *call) *wire.Response {
	if n.server != nil && n.abroad(c.req) {
		return noPath()
	}
	if n.server == nil && n.target() == "" {
		return &wire.Response{Code: wire.Failed, Err: "No known Consul servers"}
	}
	return &wire.Response{Code: wire.NoLeader, Err: "No cluster leader"}
}

// releaseHeld tries the held calls again.
func (n *Node) releaseHeld() {
	n.calls.retry = never
	held := n.calls.held
	n.calls.held = nil
	for _, c := range held {
		n.calls.forget(c)
		n.route(c)
	}
}

func (n *Node) expireCalls() {
	if n.calls.retry <= n.now {
		n.releaseHeld()
	}
	for {
		c, due := n.calls.queue.Due(n.now)
		if !due {
			return
		}
		sent := c.sentAs != 0
		n.calls.forget(c)
		switch {
		case !sent:
			n.answer(c, n.nobody(c))
		case c.req.Command != nil:
			n.answer(c, &wire.Response{Code: wire.Unknown, Err: "no answer from " + string(c.target) + " in time; the write may still take effect"})
		default:
			n.targetFailed(c.target)
			n.answer(c, &wire.Response{Code: wire.Failed, Err: "no answer from " + string(c.target) + " in time"})
		}
	}
}

// The first byte of an RPC payload says what follows.
const (
	rpcRequest  = 1
	rpcResponse = 2
)

func (n *Node) onRPC(e transport.Envelope) {
	if len(e.Payload) == 0 {
		return
	}
	var err error
	switch e.Payload[0] {
	case rpcRequest:
		var req wire.Request
		if req, err = wire.DecodeRequest(e.Payload[1:]); err == nil {
			n.startCall(Origin{Peer: e.From, ID: req.ID}, &req)
			return
		}
	case rpcResponse:
		var resp wire.Response
		if resp, err = wire.DecodeResponse(e.Payload[1:]); err == nil {
			n.onResponse(e.From, &resp)
			return
		}
	}
	n.log(Warn, "rpc", "dropped a malformed message", "from", string(e.From), "error", err)
}

func (n *Node) onResponse(from transport.Addr, resp *wire.Response) {
	c := n.calls.sent[resp.ID]
	if c == nil || c.target != from {
		return // too late, or not asked for
	}
	n.calls.forget(c)
	if resp.Code == wire.NotLeader && n.now < c.hold {
		n.targetFailed(from)
		n.sendAgain(c)
		return
	}
	n.answer(c, resp)
}

// targetFailed lets other servers be asked before one that did not answer, or could not.
func (n *Node) targetFailed(a transport.Addr) {
	n.router.failed(a)
	n.remotes.failed(n.now, a)
}

// sendAgain sends a call once more, which did not change anything where it was.
func (n *Node) sendAgain(c *call) {
	if n.server != nil && n.abroad(c.req) && n.now < c.hold {
		n.sendElsewhere(c)
		return
	}
	n.tryAgain(c)
}

// onPeerLost reacts to a server that cannot be reached.
func (n *Node) onPeerLost(ev transport.Event) {
	n.targetFailed(ev.Peer)
	if n.server != nil {
		n.server.onPeerLost(ev)
	}
	if ev.Class != transport.RPC {
		return
	}
	unsent := unsentIDs(ev.Unsent)
	for _, c := range n.calls.sentTo(ev.Peer) {
		again := unsent[c.sentAs]
		n.calls.forget(c)
		if again {
			n.sendAgain(c)
			continue
		}
		if c.req.Command != nil {
			n.answer(c, &wire.Response{Code: wire.Unknown, Err: "lost the connection to " + string(ev.Peer) + "; the write may still take effect"})
			continue
		}
		n.sendAgain(c)
	}
}

// forsake gives up waiting for what servers that have failed were asked to read or to do for an operator, and asks others. Their connections may seem to
// be in order for minutes if their machines, or the network, are gone. A write is waited for: it may have been done.
func (n *Node) forsake(events []swim.Event) {
	for _, ev := range events {
		info, ok := serverAt(ev.Member)
		if !ok || ev.Type != swim.EventFailed {
			continue
		}
		n.targetFailed(info.Addr)
		for _, c := range n.calls.sentTo(info.Addr) {
			if c.req.Command == nil {
				n.calls.forget(c)
				n.sendAgain(c)
			}
		}
	}
}

// unsentIDs are the numbers of the requests among payloads that never left this machine.
func unsentIDs(payloads [][]byte) map[uint64]bool {
	ids := map[uint64]bool{}
	for _, p := range payloads {
		if len(p) > 0 && p[0] == rpcRequest {
			if id, ok := wire.RequestID(p[1:]); ok {
				ids[id] = true
			}
		}
	}
	return ids
}

// sentTo lists the calls that wait for an answer of a peer, in the order they were sent.
func (cs *calls) sentTo(peer transport.Addr) []*call {
	var out []*call
	for id := range cs.sent {
		if cs.sent[id].target == peer {
			out = append(out, cs.sent[id])
		}
	}
	sortCalls(out)
	return out
}

// answer ends a call.
func (n *Node) answer(c *call, resp *wire.Response) {
	switch {
	case c.done != nil:
		c.done(resp)
	case c.origin.Token != 0:
		n.env.Reply(c.origin.Token, resp)
	case c.origin.Peer != "":
		n.env.Send(ResponseEnvelope(c.origin, resp))
	}
}

// ResponseEnvelope is the answer to a request of another node.
func ResponseEnvelope(o Origin, resp *wire.Response) transport.Envelope {
	r := *resp
	r.ID = o.ID
	return transport.Envelope{To: o.Peer, Class: transport.RPC, Payload: wire.AppendResponse([]byte{rpcResponse}, &r)}
}

func sortCalls(cs []*call) {
	slices.SortFunc(cs, func(a, b *call) int { return cmp.Compare(a.sentAs, b.sentAs) })
}
