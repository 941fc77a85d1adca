package process

import (
	"context"
	"errors"
	"time"

	"concord/agent"
	"concord/agent/checks"
	"concord/agent/definitions"
	"concord/node"
)

// host carries out what the local agent wants of the machine: it makes checks and keeps definitions.
type host struct {
	p      *Process
	checks *checks.Manager
	store  *definitions.Store // nil with -dev
}

func newHost(p *Process) *host {
	return &host{p: p, checks: checks.New(checks.Config{})}
}

// restore reads the definitions kept before and returns what gives them, and those of the configuration, to the
// local agent.
func (h *host) restore() (func(time.Duration, *agent.Local) error, error) {
	configured := func(now time.Duration, a *agent.Local) error {
		return a.LoadConfigServices(now, h.p.cfg.Services, h.p.cfg.Checks)
	}
	if h.p.data == nil {
		return configured, nil
	}
	var err error
	if h.store, err = definitions.Open(h.p.data.Path()); err != nil {
		return nil, err
	}
	kept, problems, err := h.store.Load(time.Now())
	if err != nil {
		return nil, err
	}
	for _, problem := range problems {
		h.p.log.Error("agent: a definition was set aside", "error", problem)
	}
	return func(now time.Duration, a *agent.Local) error {
		err := configured(now, a)
		a.Restore(now, kept)
		return err
	}, nil
}

// Carry carries out a task (runner.AgentHost).
func (h *host) Carry(t node.AgentTask) {
	for _, id := range t.Stop {
		h.checks.Stop(id)
	}
	for _, def := range t.Start {
		h.checks.Start(def, h.result)
	}
	if h.store == nil || len(t.Persist) == 0 {
		return
	}
	if err := h.store.Apply(t.Persist, time.Now()); err != nil {
		h.p.log.Error("agent: failed to keep a definition: it will be missing after a restart", "error", err)
	}
}

// result takes what a check found.
func (h *host) result(id, status, output string) {
	err := h.p.runner.Call(h.p.ctx, func(n *node.Node) {
		n.WithAgent(func(now time.Duration, a *agent.Local) {
			var unknown *agent.NotFoundError
			if err := a.UpdateCheck(now, id, status, output); err != nil && !errors.As(err, &unknown) {
				h.p.log.Warn("agent: failed to update a check", "check", id, "error", err)
			}
		})
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		h.p.log.Debug("agent: the result of a check is lost", "check", id, "error", err)
	}
}

func (h *host) close() error {
	h.checks.Close()
	return nil
}
