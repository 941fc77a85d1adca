package runner

import (
	"context"
	"sync"

	"concord/node"
	"concord/transport"
	"concord/wire"
)

const never = node.Never

// event is something that the loop tells the node.
type event struct {
	kind     eventKind
	envelope transport.Envelope
	peer     transport.Event
	req      *wire.Request
	waiter   *waiter
	seq      uint64
	applied  *node.ApplyDone
	read     *node.ReadTask
	fetched  *node.FetchDone
	keyring  *node.KeyringTask
	err      error
	call     func(*node.Node)
	done     chan struct{}
}

type eventKind uint8

const (
	evMessage eventKind = iota
	evPeer
	evRequest
	evCancel
	evPersisted
	evApplied
	evRead
	evFetched
	evKeyring
	evCall
)

func (r *Runner) handle(e *event) {
	switch e.kind {
	case evMessage:
		r.node.OnMessage(e.envelope)
	case evPeer:
		r.node.OnPeerEvent(e.peer)
	case evRequest:
		r.token++
		e.waiter.token = r.token
		r.waiters[r.token] = e.waiter
		r.node.OnRequest(r.token, e.req)
	case evCancel:
		if r.waiters[e.waiter.token] == e.waiter {
			delete(r.waiters, e.waiter.token)
			r.node.OnCancel(e.waiter.token)
		}
		close(e.done)
	case evPersisted:
		r.node.OnPersisted(e.seq)
	case evApplied:
		r.node.OnApplied(*e.applied)
	case evRead:
		r.node.OnRead(*e.read)
	case evFetched:
		r.node.OnFetched(*e.fetched)
	case evKeyring:
		r.node.OnKeyringSaved(*e.keyring, e.err)
	case evCall:
		e.call(r.node)
		r.called = append(r.called, e.done)
	}
}

// waiter is a caller of Do.
type waiter struct {
	token uint64 // set and read by the loop
	reply chan result
}

// result is an answer, or a read that the caller is to carry out itself: it has a goroutine
// of its own, so that reads need no other.
type result struct {
	resp *wire.Response
	read *node.ReadTask
}

var waiters = sync.Pool{New: func() any { return &waiter{reply: make(chan result, 1)} }}

// Do carries a request to whoever can answer it and returns the answer. It never returns nil.
// Answers are shared: they must not be changed.
func (r *Runner) Do(ctx context.Context, req *wire.Request) *wire.Response {
	if resp := r.quick(req); resp != nil {
		return resp
	}
	w := waiters.Get().(*waiter)
	if !r.inbox.put(event{kind: evRequest, req: req, waiter: w}) {
		return &wire.Response{Code: wire.Failed, Err: ErrStopped.Error()}
	}
	select {
	case res := <-w.reply:
		waiters.Put(w)
		return r.finish(res)
	case <-ctx.Done():
		return r.abandon(w)
	}
}

// quick answers a read without the loop, if the node's view allows it; nil: it does not.
func (r *Runner) quick(req *wire.Request) *wire.Response {
	view := r.view.Load()
	if req.Read == nil || req.Datacenter != "" || view == nil {
		return nil
	}
	index := r.opts.Disk.Machine.Index()
	if now, wall := r.clocks(); !view.Allows(req.Read, now, wall, index) {
		return nil
	}
	t := node.ReadTask{Query: req.Read.Query, Response: view.Response(req.Read, r.now())}
	node.ReadFrom(r.opts.Disk.Machine, &t)
	// What counts is the time after the read, and whether the lease was given up meanwhile.
	if now, wall := r.clocks(); r.inbox.isClosed() || !r.view.Load().Allows(req.Read, now, wall, index) {
		return nil
	}
	return t.Response
}

func (r *Runner) finish(res result) *wire.Response {
	if res.read != nil {
		node.ReadFrom(r.opts.Disk.Machine, res.read)
		return res.read.Response
	}
	return res.resp
}

// abandon tells the node that nobody waits any more. The answer may have come meanwhile.
func (r *Runner) abandon(w *waiter) *wire.Response {
	done := make(chan struct{})
	if r.inbox.put(event{kind: evCancel, waiter: w, done: done}) {
		<-done
	}
	select {
	case res := <-w.reply:
		return r.finish(res)
	default:
		return &wire.Response{Code: wire.Unknown, Err: "the caller does not wait any more"}
	}
}
