// Package runner runs a node on a real machine: one goroutine is the node's event loop, and a few
// workers do what may block (log writes, applies, reads, files), so that timers and heartbeats are
// never behind an fsync.
package runner

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"concord/agent"
	"concord/agent/userevent"
	"concord/internal/prng"
	"concord/node"
	"concord/transport"
	"concord/wire"
)

// ErrStopped is returned to callers of a runner that has ended.
var ErrStopped = errors.New("the agent is shutting down")

// AgentHost runs checks and keeps definitions for the local agent. Its methods may block; they are
// called in order by one goroutine.
type AgentHost interface {
	Carry(node.AgentTask)
}

// Options is what a runner needs besides the node's configuration.
type Options struct {
	Disk *Disk // nil on a client agent
	// Files keeps small pieces of data; nil: nothing is kept.
	Files *Files
	Host  AgentHost
	Log   hclog.Logger
	Seed  uint64
	// Restore is called with the local agent before the node runs.
	Restore func(now time.Duration, a *agent.Local) error
	// Event is called by the loop with each user event for this node, and must not block; nil: nobody wants them.
	Event func(userevent.Event)
	// ReadWorkers answer the reads of other nodes; default 4.
	ReadWorkers int
}

// Runner is a running node.
type Runner struct {
	node    *node.Node
	opts    Options
	start   time.Time
	started time.Time // start by the wall clock alone
	log     hclog.Logger
	named   map[string]hclog.Logger

	inbox   *mailbox[event]
	writes  *mailbox[node.PersistTask]
	applies *mailbox[node.ApplyTask]
	reads   chan node.ReadTask
	fetches *mailbox[node.FetchTask]
	hosts   *mailbox[hostJob]
	saves   *mailbox[save]
	waiters map[uint64]*waiter // of the loop only
	token   uint64
	called  []chan struct{} // calls whose effects are not carried out yet

	transports [transport.Classes]transport.Transport // that carry each class

	view atomic.Pointer[node.ReadView] // of a server; nil: none yet

	wg      sync.WaitGroup
	stopped chan struct{}
	fatal   atomic.Pointer[error]
	dropped atomic.Uint64
}

// hostJob is a task for the host, or, with done, a question whether all before it are finished.
type hostJob struct {
	task node.AgentTask
	done chan struct{}
}

type save struct {
	name    string
	data    []byte
	keyring *node.KeyringTask // instead
}

// inboxLimit bounds what waits for the loop; a full inbox slows the senders down.
const inboxLimit = 16384

// New returns a runner that is not running yet.
func New(cfg node.Config, opts Options) (*Runner, error) {
	if opts.ReadWorkers == 0 {
		opts.ReadWorkers = 4
	}
	r := &Runner{
		opts: opts, start: time.Now(), started: time.Now().Round(0), log: opts.Log, named: map[string]hclog.Logger{},
		inbox: newMailbox[event](inboxLimit), writes: newMailbox[node.PersistTask](inboxLimit),
		applies: newMailbox[node.ApplyTask](inboxLimit), fetches: newMailbox[node.FetchTask](inboxLimit),
		hosts: newMailbox[hostJob](inboxLimit), saves: newMailbox[save](inboxLimit),
		reads: make(chan node.ReadTask, 4096), waiters: map[uint64]*waiter{}, stopped: make(chan struct{}),
	}
	var disk node.Disk
	if opts.Disk != nil {
		disk = opts.Disk.Initial()
	}
	n, err := node.New(cfg, (*env)(r), prng.New(opts.Seed), disk)
	if err != nil {
		return nil, err
	}
	r.node = n
	if opts.Restore != nil {
		n.WithAgent(func(now time.Duration, a *agent.Local) { err = opts.Restore(now, a) })
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Attach gives the runner the transport that carries some classes. It is called before Start. What is of no transport's class is
// dropped.
func (r *Runner) Attach(t transport.Transport, classes ...transport.Class) {
	for _, c := range classes {
		r.transports[c] = t
	}
}

// Start begins to run the node.
func (r *Runner) Start() {
	r.goWorker(r.loop)
	r.goWorker(func() { serve(r.hosts, r.carry) })
	r.goWorker(func() { serve(r.saves, r.save) })
	if r.opts.Disk == nil {
		return
	}
	r.goWorker(func() { serve(r.writes, r.write) })
	r.goWorker(func() { serve(r.applies, r.apply) })
	r.goWorker(func() { serve(r.fetches, r.fetch) })
	for range r.opts.ReadWorkers {
		r.goWorker(r.readWorker)
	}
}

func (r *Runner) goWorker(f func()) {
	r.wg.Add(1)
	go func() {
		defer r.wg.Done()
		f()
	}()
}

// serve hands what comes into a mailbox to f until it is closed and empty.
func serve[T any](m *mailbox[T], f func([]T)) {
	for range m.ready {
		closed := m.isClosed()
		if items := m.take(); len(items) > 0 {
			f(items)
		}
		if closed {
			return
		}
	}
}

// Stop ends the loop and the workers, and waits for them. The transports must be closed before, so that
// nothing new comes in.
func (r *Runner) Stop() error {
	r.inbox.close()
	r.wg.Wait()
	if r.opts.Disk != nil {
		return r.opts.Disk.Close()
	}
	return nil
}

// Stopped is closed when the loop has ended, on Stop or because of a failure, which Err tells.
func (r *Runner) Stopped() <-chan struct{} { return r.stopped }

// Err is the failure that ended the runner, nil if there was none.
func (r *Runner) Err() error {
	if p := r.fatal.Load(); p != nil {
		return *p
	}
	return nil
}

// fail ends the runner because its storage does not work any more. What was acknowledged is on disk.
func (r *Runner) fail(err error) {
	if r.fatal.CompareAndSwap(nil, &err) {
		r.log.Error("agent: storage failed, stopping", "error", err)
		r.inbox.close()
	}
}

// loop is the node's one thread.
func (r *Runner) loop() {
	defer r.endLoop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-r.inbox.ready:
		case <-timer.C:
		}
		if r.inbox.isClosed() {
			return
		}
		events := r.inbox.take()
		for i := range events {
			r.handle(&events[i])
		}
		if r.node.NextDeadline() <= r.now() {
			r.node.OnTick()
		}
		r.node.Drain()
		for _, done := range r.called {
			close(done)
		}
		r.called = r.called[:0]
		if next := r.node.NextDeadline(); next != never {
			timer.Reset(max(0, next-r.now()))
		} else {
			timer.Stop()
		}
	}
}

// endLoop tells everybody who waits that nothing more will come.
func (r *Runner) endLoop() {
	for _, w := range r.waiters {
		w.reply <- result{resp: &wire.Response{Code: wire.Failed, Err: ErrStopped.Error()}}
	}
	for _, e := range r.inbox.take() {
		if e.waiter != nil {
			e.waiter.reply <- result{resp: &wire.Response{Code: wire.Failed, Err: ErrStopped.Error()}}
		}
		if e.done != nil {
			close(e.done)
		}
	}
	close(r.stopped)
	close(r.reads)
	r.writes.close()
	r.applies.close()
	r.fetches.close()
	r.hosts.close()
	r.saves.close()
}

func (r *Runner) now() time.Duration { return time.Since(r.start) }

// clocks reads both clocks at once.
func (r *Runner) clocks() (now, wall time.Duration) {
	t := time.Now()
	return t.Sub(r.start), t.Round(0).Sub(r.started)
}

// wall is what the wall clock has gone on since the start.
func (r *Runner) wall() time.Duration { return time.Now().Round(0).Sub(r.started) }

// Deliver takes an envelope from a transport (transport.Handler). Datagrams are dropped while the
// node is too busy; streams wait.
func (r *Runner) Deliver(e transport.Envelope) {
	ev := event{kind: evMessage, envelope: e}
	if e.Class.Datagram() {
		if !r.inbox.offer(ev) {
			r.dropped.Add(1)
		}
		return
	}
	r.inbox.put(ev)
}

// PeerEvent takes what a transport noticed (transport.Handler).
func (r *Runner) PeerEvent(e transport.Event) { r.inbox.put(event{kind: evPeer, peer: e}) }

// Settled returns once the host has carried out all that the local agent wanted before, such as keeping a
// definition.
func (r *Runner) Settled(ctx context.Context) error {
	done := make(chan struct{})
	if !r.hosts.force(hostJob{done: done}) {
		return ErrStopped
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for the agent: %w", ctx.Err())
	}
}

// Call runs f on the node's loop and returns when what it led to is handed to the workers.
func (r *Runner) Call(ctx context.Context, f func(*node.Node)) error {
	done := make(chan struct{})
	ran := false
	if !r.inbox.put(event{kind: evCall, call: func(n *node.Node) { f(n); ran = true }, done: done}) {
		return ErrStopped
	}
	select {
	case <-done:
	case <-ctx.Done():
		return fmt.Errorf("waiting for the agent: %w", ctx.Err())
	}
	if !ran {
		return ErrStopped
	}
	return nil
}
