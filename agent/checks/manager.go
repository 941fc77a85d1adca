// Package checks makes the health checks that need I/O: HTTP and TCP. TTL, alias and
// maintenance checks need none and are the business of package agent.
package checks

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"concord/agent"
)

const (
	defaultMaxConcurrent = 64
	defaultTimeout       = 10 * time.Second
	// maxStagger bounds how long the first run of a check waits, whatever its interval.
	maxStagger = 10 * time.Second
)

// Config is how checks are made.
type Config struct {
	// MaxConcurrent bounds how many checks are being made, and so how many connections are
	// open, at once (default 64). Others wait for their turn.
	MaxConcurrent int
	// After is time.After, or a test's clock.
	After func(time.Duration) <-chan time.Time
	// Jitter returns a random duration in [0, d).
	Jitter func(d time.Duration) time.Duration
}

// WithDefaults returns a copy in which unset values have their defaults.
func (c Config) WithDefaults() Config {
	if c.MaxConcurrent <= 0 {
		c.MaxConcurrent = defaultMaxConcurrent
	}
	if c.After == nil {
		c.After = time.After
	}
	if c.Jitter == nil {
		c.Jitter = jitter
	}
	return c
}

func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return rand.N(d)
}

// Notify takes the result of a check. It is called from the check's own goroutine and must not
// wait for a Stop or Close.
type Notify func(id, status, output string)

// Manager runs checks, each in a goroutine of its own. It is safe for concurrent use.
type Manager struct {
	cfg   Config
	slots chan struct{}

	mu     sync.Mutex
	closed bool
	checks map[string]*running
}

// running is a check that is being made again and again.
type running struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// probe makes a check once.
type probe interface {
	run(ctx context.Context) (status, output string)
}

// New returns a Manager without checks.
func New(cfg Config) *Manager {
	cfg = cfg.WithDefaults()
	return &Manager{cfg: cfg, slots: make(chan struct{}, cfg.MaxConcurrent), checks: map[string]*running{}}
}

// Start begins to make an HTTP or TCP check, instead of one with the same ID. Others, and all
// after Close, are ignored.
func (m *Manager) Start(def agent.CheckDefinition, notify Notify) {
	p := newProbe(&def)
	if p == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{cancel: cancel, done: make(chan struct{})}
	m.mu.Lock()
	old, closed := m.checks[def.ID], m.closed
	if !closed {
		m.checks[def.ID] = r
	}
	m.mu.Unlock()
	if closed {
		cancel()
		return
	}
	old.stop()
	go func() {
		defer close(r.done)
		m.loop(ctx, &def, p, notify)
	}()
}

// stop ends a check, if there is one, and waits for its end.
func (r *running) stop() {
	if r != nil {
		r.cancel()
		<-r.done
	}
}

// Stop ends a check. When it returns, the check does not notify any more.
func (m *Manager) Stop(id string) {
	m.mu.Lock()
	r := m.checks[id]
	delete(m.checks, id)
	m.mu.Unlock()
	r.stop()
}

// Close ends all checks and waits for them.
func (m *Manager) Close() {
	m.mu.Lock()
	all := m.checks
	m.checks, m.closed = map[string]*running{}, true
	m.mu.Unlock()
	for _, r := range all {
		r.cancel()
	}
	for _, r := range all {
		r.stop()
	}
}

func newProbe(def *agent.CheckDefinition) probe {
	switch def.Kind() {
	case agent.KindHTTP:
		return newHTTP(def)
	case agent.KindTCP:
		return newTCP(def)
	}
	return nil
}

// loop makes a check at its interval. The first run is staggered and the others have some
// jitter, so that the checks of an agent do not all come at once.
func (m *Manager) loop(ctx context.Context, def *agent.CheckDefinition, p probe, notify Notify) {
	wait := m.cfg.Jitter(min(def.Interval, maxStagger))
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.cfg.After(wait):
		}
		status, output, ok := m.once(ctx, def, p)
		if !ok {
			return
		}
		notify(def.ID, status, output)
		wait = def.Interval - def.Interval/20 + m.cfg.Jitter(def.Interval/10)
	}
}

// once makes a check when there is room for it; ok is false if the check was ended.
func (m *Manager) once(ctx context.Context, def *agent.CheckDefinition, p probe) (status, output string, ok bool) {
	select {
	case <-ctx.Done():
		return "", "", false
	case m.slots <- struct{}{}:
	}
	defer func() { <-m.slots }()
	timeout := def.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	status, output = p.run(limited)
	return status, output, ctx.Err() == nil
}
