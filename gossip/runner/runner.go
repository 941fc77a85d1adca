// Package runner runs one gossip.Pool on real sockets, datagrams and connections at one address, with two goroutines at
// rest: the loop, which waits for datagrams and for the pool's next deadline in one system call, and one that waits for
// connections. Each open connection has two more, and is closed when it was idle for two seconds.
package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"concord/gossip"
	"concord/internal/prng"
	"concord/internal/tick"
	"concord/swim"
	"concord/transport"
	"concord/transport/seal"
	"concord/transport/tcp"
	"concord/transport/udp"
)

// ErrStopped is returned by Call once the runner was closed.
var ErrStopped = errors.New("gossip: the pool is closed")

// Options is what a Runner needs besides the pool's configuration.
type Options struct {
	// Listen is the address for datagrams and connections. With port 0 one that is free for both is taken.
	Listen netip.AddrPort
	// Log gets the pool's notices; nil: nobody does.
	Log hclog.Logger
	// Seed is where the pool's randomness begins.
	Seed uint64
	// OnOutput is called by the loop with everything that the pool wants, after its messages were sent. It must not block,
	// and must not wait for a Call, which the loop itself would have to answer.
	OnOutput func(*gossip.Output)
}

// Stats counts what passed the sockets since the start.
type Stats struct {
	Datagrams udp.Stats
	Streams   tcp.Stats
	// Malformed are messages that the pool did not accept: gossip.Dropped has the reasons.
	Malformed uint64
}

// The bounds of what others can make a runner hold.
const (
	// inboxLen is how many calls and stream messages may wait for the loop; a full inbox slows connections down.
	inboxLen = 16
	// connIdle is after how long without a message a connection is closed.
	connIdle = 2 * time.Second
	maxConns = 512
	// streamQueue is how many messages may wait for one connection.
	streamQueue = 16
	// streamSlack is what an encoded full state may be larger than swim.Config.MaxState, which bounds its updates.
	streamSlack = 64 << 10
)

// input is something for the loop to do with the pool.
type input func(now time.Duration, p *gossip.Pool)

// Runner is a running pool.
type Runner struct {
	pool   *gossip.Pool
	opts   Options
	start  time.Time
	socket *udp.Socket
	conns  *tcp.Transport

	inbox     chan input
	closing   sync.Once
	closeErr  error
	stop      chan struct{} // closed when the runner is to end
	ended     chan struct{} // closed when the loop has ended
	malformed atomic.Uint64
	warnAt    atomic.Int64 // when a dropped message may be warned of again, since start
}

// Start opens the sockets and runs a pool. Where cfg.Swim.Addr, the address to tell to others, is not set it is the one
// listened at.
func Start(cfg gossip.Config, opts Options) (*Runner, error) {
	if opts.Log == nil {
		opts.Log = hclog.NewNullLogger()
	}
	r := &Runner{opts: opts, start: time.Now(), inbox: make(chan input, inboxLen), stop: make(chan struct{}), ended: make(chan struct{})}
	cfg.Swim = cfg.Swim.WithDefaults()
	if err := r.listen(&cfg.Swim); err != nil {
		return nil, err
	}
	cfg.Swim.MaxPacket = min(cfg.Swim.MaxPacket, transport.MaxDatagram-udp.Overhead)
	var err error
	if r.pool, err = gossip.New(cfg, prng.New(opts.Seed), 0); err != nil {
		return nil, errors.Join(err, r.closeSockets())
	}
	r.conns.Start(handler{r})
	go r.loop()
	return r, nil
}

// portTries is how many ports are tried until one is free for datagrams and connections.
const portTries = 32

// listen opens both sockets at one address.
func (r *Runner) listen(cfg *swim.Config) error {
	var err error
	for range portTries {
		if err = r.listenOnce(cfg); err == nil || r.opts.Listen.Port() != 0 {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("gossip: cannot listen at %v: %w: choose another address or port", r.opts.Listen, err)
	}
	return nil
}

func (r *Runner) listenOnce(cfg *swim.Config) (err error) {
	if r.socket, err = udp.Listen(r.opts.Listen.String(), r.opts.Log); err != nil {
		return err
	}
	at := r.socket.Addr().(*net.UDPAddr).AddrPort()
	at = netip.AddrPortFrom(r.opts.Listen.Addr(), at.Port())
	own := cfg.Addr
	if !own.IsValid() {
		own = at
	}
	maxFrame := min(cfg.MaxState+streamSlack, transport.MaxStream)
	r.conns, err = tcp.New(tcp.Config{Listen: at.String(), Advertise: transport.Addr(own.String()), MaxFrame: maxFrame,
		QueueLen: streamQueue, QueueBytes: 2 * maxFrame, MaxConns: maxConns, IdleTimeout: connIdle, Log: r.opts.Log})
	if err != nil {
		return errors.Join(err, r.socket.Close())
	}
	cfg.Addr = own
	return nil
}

func (r *Runner) closeSockets() error { return errors.Join(r.socket.Close(), r.conns.Close()) }

// Close ends the pool where it is, without leaving, and waits until nothing of it runs any more.
func (r *Runner) Close() error {
	r.closing.Do(func() {
		close(r.stop)
		r.closeErr = r.closeSockets()
		<-r.ended
	})
	return r.closeErr
}

// Addr is where the runner listens.
func (r *Runner) Addr() netip.AddrPort {
	return netip.AddrPortFrom(r.opts.Listen.Addr(), r.socket.Addr().(*net.UDPAddr).AddrPort().Port())
}

// Stats returns the counters.
func (r *Runner) Stats() Stats {
	return Stats{Datagrams: r.socket.Stats(), Streams: r.conns.Stats(), Malformed: r.malformed.Load()}
}

// Call lets the loop run f with the pool, and returns when it has. It fails with ErrStopped, or when ctx ends; f has not
// run then, and will not.
func (r *Runner) Call(ctx context.Context, f func(now time.Duration, p *gossip.Pool)) error {
	done := make(chan struct{})
	var claimed atomic.Bool // by who runs f or gives it up
	in := func(now time.Duration, p *gossip.Pool) {
		if claimed.CompareAndSwap(false, true) {
			f(now, p)
			close(done)
		}
	}
	err := r.put(ctx, in)
	if err == nil {
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			err = ctx.Err()
		case <-r.ended:
			err = ErrStopped
		}
	}
	if claimed.CompareAndSwap(false, true) {
		return fmt.Errorf("gossip: waiting for the pool: %w", err)
	}
	<-done
	return nil
}

// put hands something to the loop; it waits while the inbox is full.
func (r *Runner) put(ctx context.Context, in input) error {
	select {
	case <-r.stop:
		return ErrStopped
	default:
	}
	select {
	case r.inbox <- in:
		// The loop looks into its inbox after it has set the time to wake at: it sees this now, or is woken.
		r.socket.WakeAt(time.Unix(1, 0))
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-r.stop:
		return ErrStopped
	}
}

// handler is what connections bring, for the loop.
type handler struct{ r *Runner }

// Deliver implements transport.Handler.
func (h handler) Deliver(e transport.Envelope) {
	from, err := netip.ParseAddrPort(string(e.From))
	if err != nil || e.Class != transport.GossipStream {
		h.r.dropped(string(e.From), fmt.Errorf("gossip: not from a member: class %d", e.Class))
		return
	}
	h.r.put(context.Background(), func(now time.Duration, p *gossip.Pool) { h.r.receive(now, from, true, e.Payload) })
}

// PeerEvent implements transport.Handler.
func (h handler) PeerEvent(e transport.Event) {
	to, err := netip.ParseAddrPort(string(e.Peer))
	if err != nil {
		return
	}
	failed := (*gossip.Pool).StreamFailed
	if e.Type == transport.Refused {
		failed = (*gossip.Pool).StreamRefused
	}
	h.r.put(context.Background(), func(now time.Duration, p *gossip.Pool) { failed(p, now, to) })
}

// loop is the pool's one thread.
func (r *Runner) loop() {
	defer close(r.ended)
	buf := make([]byte, udp.BufferSize)
	for {
		r.drain(buf)
		r.wakeAt(r.pool.NextDeadline())
		if !r.takeInputs() {
			payload, from, err := r.socket.Receive(buf)
			switch {
			case err == nil:
				r.receive(r.now(), from, false, bytes.Clone(payload)) // the pool may keep parts of it
			case !errors.Is(err, os.ErrDeadlineExceeded):
				return // closed
			}
		}
		if now := r.now(); r.pool.NextDeadline() <= now {
			r.pool.Tick(now)
		}
	}
}

func (r *Runner) now() time.Duration { return time.Since(r.start) }

func (r *Runner) wakeAt(deadline time.Duration) {
	at := time.Time{}
	if deadline != tick.Never {
		at = r.start.Add(deadline)
	}
	r.socket.WakeAt(at) // fails when the socket is closed, which the loop notices when it receives
}

// takeInputs does what is in the inbox, and tells whether anything was.
func (r *Runner) takeInputs() bool {
	for n := range inboxLen { // no more, so that datagrams and deadlines get their turn
		select {
		case in := <-r.inbox:
			in(r.now(), r.pool)
		default:
			return n > 0
		}
	}
	return true
}

func (r *Runner) receive(now time.Duration, from netip.AddrPort, stream bool, payload []byte) {
	if err := r.pool.Receive(now, from, stream, payload); err != nil {
		r.dropped(from.String(), err)
	}
}

// dropWarning is how often a line of the log may warn of messages that were dropped: strangers bring that about.
const dropWarning = 10 * time.Second

// dropped counts and logs that a message was dropped. That the network doubled a datagram is nothing to warn of.
func (r *Runner) dropped(from string, err error) {
	r.malformed.Add(1)
	level, now, at := hclog.Debug, int64(r.now()), r.warnAt.Load()
	if now >= at && !errors.Is(err, seal.ErrReplayed) && r.warnAt.CompareAndSwap(at, now+int64(dropWarning)) {
		level = hclog.Warn
	}
	r.opts.Log.Log(level, "swim: dropped a message", "from", from, "error", err)
}

var levels = map[swim.NoticeLevel]hclog.Level{swim.Debug: hclog.Debug, swim.Info: hclog.Info, swim.Warn: hclog.Warn, swim.Error: hclog.Error}

// drain carries out what the pool wants.
func (r *Runner) drain(buf []byte) {
	for r.pool.HasOutput() {
		out := r.pool.Output()
		for _, s := range out.Sends {
			if s.Stream {
				r.conns.Send(transport.Envelope{To: transport.Addr(s.To.String()), Class: transport.GossipStream, Payload: s.Payload})
			} else {
				r.socket.TrySend(buf, s.To, s.Payload) // what it drops it counts; gossip reckons with loss
			}
		}
		for _, o := range out.Notices {
			r.opts.Log.Log(levels[o.Level], "swim: "+o.Text)
		}
		if r.opts.OnOutput != nil {
			r.opts.OnOutput(&out)
		}
	}
}
