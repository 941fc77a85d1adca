package script

import (
	"context"
	"sync"
	"time"

	"concord/gossip/agent/event"
	"concord/gossip/agent/logs"
	"concord/swim"
)

const (
	// maxQueued bounds the scripts that wait for those before them.
	maxQueued = 1024
	// maxQueries bounds the scripts that answer queries at the same time.
	maxQueries = 16
)

// Host is what a Runner needs of the agent.
type Host struct {
	// Self returns the agent's own member, whose name and tags the scripts get.
	Self func() swim.Member
	// Respond answers a query.
	Respond func(id swim.QueryID, payload []byte) error
	Log     *logs.Log
}

// Runner runs scripts. Those for changes of membership and user events run one after another, in the order of what
// happened; those for queries run beside them, because somebody waits for the answer.
type Runner struct {
	host    Host
	timeout time.Duration
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	mu      sync.Mutex
	scripts []Script
	queue   []job
	busy    bool // a goroutine works on the queue
	queries int  // scripts that run for queries
	closed  bool
}

type job struct {
	command string
	event   event.Event
}

// NewRunner returns a runner of the scripts.
func NewRunner(host Host, scripts []Script) *Runner {
	r := &Runner{host: host, timeout: Timeout, scripts: scripts}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// SetScripts replaces the scripts. Those that wait or run already go on.
func (r *Runner) SetScripts(scripts []Script) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.scripts = scripts
}

// Scripts returns the scripts.
func (r *Runner) Scripts() []Script {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.scripts
}

// Handle has the event's scripts run. It does not wait for them.
func (r *Runner) Handle(e event.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.scripts {
		if s.Match(&e) {
			r.start(job{s.Command, e})
		}
	}
}

func (r *Runner) start(j job) {
	switch {
	case r.closed:
	case j.event.Type == event.Query && r.queries >= maxQueries:
		r.host.Log.Printf(logs.Warn, "agent: Script '%s' not run for %s: %d others are answering queries", j.command, j.event.String(), r.queries)
	case j.event.Type == event.Query:
		r.queries++
		r.wg.Go(func() {
			r.run(j)
			r.mu.Lock()
			r.queries--
			r.mu.Unlock()
		})
	case len(r.queue) >= maxQueued:
		r.host.Log.Printf(logs.Warn, "agent: Script '%s' not run for %s: %d others are waiting", j.command, j.event.String(), len(r.queue))
	default:
		r.queue = append(r.queue, j)
		if !r.busy {
			r.busy = true
			r.wg.Go(r.work)
		}
	}
}

// work runs what is queued until there is nothing left.
func (r *Runner) work() {
	for {
		r.mu.Lock()
		if len(r.queue) == 0 {
			r.busy, r.queue = false, nil
			r.mu.Unlock()
			return
		}
		j := r.queue[0]
		r.queue[0] = job{}
		r.queue = r.queue[1:]
		r.mu.Unlock()
		r.run(j)
	}
}

func (r *Runner) run(j job) {
	self, log := r.host.Self(), r.host.Log
	warning := time.AfterFunc(slow, func() {
		log.Printf(logs.Warn, "agent: Script '%s' slow, execution exceeding %v", j.command, slow)
	})
	output, err := run(r.ctx, r.timeout, j.command, &self, &j.event)
	warning.Stop()
	log.Printf(logs.Debug, "agent: Event '%s' script output: %s", j.event.Type, output.kept)
	if output.total > maxOutput {
		log.Printf(logs.Warn, "agent: Script '%s' generated %d bytes of output, truncated to %d", j.command, output.total, maxOutput)
	}
	if err != nil {
		log.Printf(logs.Err, "agent: Error invoking script '%s': %s", j.command, err)
		return
	}
	if j.event.Type == event.Query && output.total > 0 {
		if err := r.host.Respond(j.event.Query.ID, output.kept); err != nil {
			log.Printf(logs.Warn, "agent: Failed to respond to query '%s': %s", j.event.String(), err)
		}
	}
}

// Close lets what waits and runs end, for as long as ctx allows; then it kills what still runs.
func (r *Runner) Close(ctx context.Context) {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	stop := context.AfterFunc(ctx, func() {
		r.mu.Lock()
		r.queue = nil
		r.mu.Unlock()
		r.cancel()
	})
	r.wg.Wait()
	stop()
	r.cancel()
}
