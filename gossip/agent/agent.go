package agent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"

	"concord/gossip"
	"concord/gossip/agent/event"
	"concord/gossip/agent/ipc"
	"concord/gossip/agent/logs"
	"concord/gossip/agent/script"
	"concord/gossip/agent/snapshot"
	"concord/gossip/runner"
	"concord/swim"
)

// Agent is a running agent.
type Agent struct {
	cfg     Config
	log     *logs.Log
	bind    netip.AddrPort // where the pool listens
	pool    *runner.Runner
	inbox   *inbox
	replies *replies // touched by the pool's loop only
	scripts *script.Runner
	subs    subscribers
	server  *ipc.Server
	snap    *snapshot.File // touched by the goroutine of work only; nil without
	names   conflicts
	wg      sync.WaitGroup
	ctx     context.Context // ends with the agent
	cancel  context.CancelFunc

	tagsMu  sync.Mutex // held while tags change, so that file and pool agree
	closing sync.Once
	done    chan struct{}
	code    int // of the process, when done is closed
}

// Start runs an agent. It listens for members and for its command line when this returns, and joins at once; members that do
// not answer are tried again meanwhile. The error may be of several lines.
func Start(cfg Config, log *logs.Log) (_ *Agent, err error) {
	a := &Agent{cfg: cfg, log: log, inbox: newInbox(), replies: newReplies(), done: make(chan struct{})}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	if a.cfg.Tags, err = cfg.startTags(); err != nil {
		return nil, err
	}
	remembered, err := a.openSnapshot()
	if err != nil {
		return nil, err
	}
	if err := a.startPool(&remembered); err != nil {
		a.abandon()
		return nil, err
	}
	scripts, err := cfg.scripts()
	if err != nil {
		a.abandon()
		return nil, err
	}
	a.scripts = script.NewRunner(script.Host{Self: a.self, Respond: a.Respond, Log: log}, scripts)
	l, err := ipc.Listen(cfg.RPCAddr)
	if err != nil {
		a.abandon()
		return nil, fmt.Errorf("Error starting RPC listener: %w", err)
	}
	if err := a.writePid(); err != nil {
		l.Close()
		a.abandon()
		return nil, err
	}
	a.log.Printf(logs.Info, "agent: Concord gossip agent starting")
	a.wg.Go(a.work)
	a.server = ipc.NewServer(l, a, cfg.RPCAuth, log)
	a.wg.Go(func() { a.rejoin(remembered.Alive) })
	a.wg.Go(a.retryJoin)
	return a, nil
}

// abandon closes what a start that failed had opened.
func (a *Agent) abandon() {
	a.cancel()
	if a.pool != nil {
		a.pool.Close()
	}
	if a.snap != nil {
		a.snap.Close()
	}
}

// openSnapshot reads what the last run left. Without a snapshot the agent is a new member each time.
func (a *Agent) openSnapshot() (snapshot.State, error) {
	state := snapshot.State{}
	if a.cfg.SnapshotPath != "" {
		var err error
		if a.snap, state, err = snapshot.Open(a.cfg.SnapshotPath, a.cfg.RejoinAfterLeave); err != nil {
			return state, err
		}
	}
	if state.ID != "" {
		return state, nil
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return state, fmt.Errorf("Error reading random data: %w", err)
	}
	state.ID = id.String()
	if a.snap != nil {
		return state, a.snap.SetID(state.ID)
	}
	return state, nil
}

func (a *Agent) startPool(remembered *snapshot.State) (err error) {
	if a.bind, err = a.cfg.bindAddr(); err != nil {
		return err
	}
	s := a.cfg.swim()
	s.Name, s.ID, s.Tags, s.Incarnation = a.cfg.NodeName, remembered.ID, a.cfg.Tags, remembered.Incarnation
	s.EventClock, s.QueryClock = remembered.EventClock, remembered.QueryClock
	if a.bind.Port() != 0 { // else the runner finds one
		if s.Addr, err = a.cfg.advertised(a.bind); err != nil {
			return err
		}
	}
	keyring, err := a.cfg.keyring()
	if err != nil {
		return err
	}
	a.pool, err = runner.Start(gossip.Config{Swim: s, Keyring: keyring, KeepKeyring: a.cfg.KeyringFile != "", Random: rand.Reader}, runner.Options{Listen: a.bind, Log: a.log.Structured(), Seed: mathrand.Uint64(), OnOutput: a.onOutput})
	if err != nil {
		return fmt.Errorf("Failed to setup the agent: %w", err)
	}
	a.bind = a.pool.Addr()
	if s.EventClock == 0 {
		return nil
	}
	// What was fired while the agent was away is news to it, and the clock keeps it from what was told before. This comes
	// before any join, the first of which decides about old events.
	return a.call(a.ctx, func(now time.Duration, p *gossip.Pool) { p.JoinReplay(now, nil) })
}

// onOutput takes what the pool tells, in the pool's loop.
func (a *Agent) onOutput(o *gossip.Output) {
	a.replies.take(o)
	a.inbox.put(o, a.cfg.NodeName)
}

// call runs f with the pool.
func (a *Agent) call(ctx context.Context, f func(now time.Duration, p *gossip.Pool)) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return a.pool.Call(ctx, f)
}

// callTimeout bounds the wait for the pool's loop.
const callTimeout = 10 * time.Second

// self is the agent's own member.
func (a *Agent) self() (m swim.Member) {
	if err := a.call(context.Background(), func(_ time.Duration, p *gossip.Pool) { m = p.Local() }); err != nil {
		a.log.Printf(logs.Err, "agent: the pool does not answer: %v", err)
		m.Name = a.cfg.NodeName
	}
	return m
}

// Addr is where the agent listens for members.
func (a *Agent) Addr() netip.AddrPort { return a.bind }

// Done is closed when the agent is to end: it left on request, or it could not join.
func (a *Agent) Done() <-chan struct{} { return a.done }

// ExitCode is the exit code of the process once Done is closed.
func (a *Agent) ExitCode() int { return a.code }

// end tells whoever runs the agent that it is over.
func (a *Agent) end(code int) {
	a.closing.Do(func() {
		a.code = code
		close(a.done)
	})
}

// Shutdown implements ipc.Backend: the agent's process is to end.
func (a *Agent) Shutdown() { a.end(0) }

// closeGrace is how long scripts may go on when the agent ends.
const closeGrace = 3 * time.Second

// Close ends the agent where it is, without leaving.
func (a *Agent) Close() error {
	a.log.Printf(logs.Info, "agent: requesting shutdown")
	a.end(0)
	a.cancel()
	a.server.Close()
	a.inbox.close() // what was told is handled to the end
	a.wg.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	a.scripts.Close(ctx)
	err := a.pool.Close()
	if a.snap != nil {
		err = errors.Join(err, a.snap.Close())
	}
	if a.cfg.PidFile != "" {
		err = errors.Join(err, os.Remove(a.cfg.PidFile))
	}
	a.log.Printf(logs.Info, "agent: shutdown complete")
	return err
}

func (a *Agent) writePid() error {
	if a.cfg.PidFile == "" {
		return nil
	}
	if err := os.WriteFile(a.cfg.PidFile, []byte(strconv.Itoa(os.Getpid())), 0o644); err != nil {
		return fmt.Errorf("Could not write pid file: %w", err)
	}
	return nil
}

// Reload takes over the event handlers, the tags and the log level of a configuration; if it fails, nothing of it.
func (a *Agent) Reload(ctx context.Context, cfg Config) error {
	scripts, err := cfg.scripts()
	if err != nil {
		return err
	}
	level, err := logs.ParseLevel(cfg.LogLevel)
	if err != nil {
		return err
	}
	if cfg.TagsFile == "" { // else the tags are changed by the tags command only
		if err := a.changeTags(ctx, func(map[string]string) map[string]string { return cfg.Tags }); err != nil {
			return err
		}
	}
	a.log.SetLevel(level)
	a.scripts.SetScripts(scripts)
	return nil
}

// subscribers are the clients that want to be told of events.
type subscribers struct {
	mu  sync.Mutex
	all map[*subscriber]struct{}
}

type subscriber struct {
	filters []event.Filter
	events  chan event.Event
	dropped int
}

// subscriberQueue is how many events may wait for a client.
const subscriberQueue = 512

// Subscribe implements ipc.Backend. A client that is too slow misses events, which the log tells.
func (a *Agent) Subscribe(filters []event.Filter) (<-chan event.Event, func()) {
	s := &subscriber{filters: filters, events: make(chan event.Event, subscriberQueue)}
	a.subs.mu.Lock()
	defer a.subs.mu.Unlock()
	if a.subs.all == nil {
		a.subs.all = map[*subscriber]struct{}{}
	}
	a.subs.all[s] = struct{}{}
	return s.events, func() {
		a.subs.mu.Lock()
		defer a.subs.mu.Unlock()
		if _, ok := a.subs.all[s]; ok {
			delete(a.subs.all, s)
			close(s.events)
		}
	}
}

// tell hands an event to the scripts and to the clients that want it.
func (a *Agent) tell(e event.Event) {
	a.log.Printf(logs.Info, "agent: Received event: %s", e.String())
	a.scripts.Handle(e)
	a.subs.mu.Lock()
	defer a.subs.mu.Unlock()
	for s := range a.subs.all {
		if !event.MatchAny(s.filters, &e) {
			continue
		}
		select {
		case s.events <- e:
			s.dropped = 0
		default:
			if s.dropped++; s.dropped == 1 {
				a.log.Printf(logs.Warn, "agent.ipc: Dropping events to a client that does not read them")
			}
		}
	}
}
