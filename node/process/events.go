package process

import (
	"context"
	"sync"

	"concord/agent/userevent"
	"concord/node"
)

// events are the user events that this agent got of late.
type events struct {
	mu   sync.Mutex
	ring userevent.Ring
	more chan struct{} // closed when the next one comes
}

func newEvents() *events { return &events{more: make(chan struct{})} }

func (e *events) add(ev userevent.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ring.Add(ev)
	close(e.more)
	e.more = make(chan struct{})
}

// onEvent takes an event that gossip brought. It is called by the node's loop.
func (p *Process) onEvent(e userevent.Event) {
	switch {
	case e.Name != userevent.RemoteExec:
	case p.exec == nil:
		p.log.Info("agent: ignoring remote exec event, disabled.", "event_name", e.Name, "event_id", e.ID)
		return
	default:
		p.exec.Start(e.Payload)
		return
	}
	p.log.Debug("agent: new event", "event_name", e.Name, "event_id", e.ID)
	p.events.add(e)
}

// Events are the user events of late, oldest first; the channel is closed when there is another.
func (p *Process) Events() ([]userevent.Event, <-chan struct{}) {
	p.events.mu.Lock()
	defer p.events.mu.Unlock()
	return p.events.ring.List(), p.events.more
}

// FireEvent tells the agents of this datacenter of an event.
func (p *Process) FireEvent(ctx context.Context, e userevent.Event) error {
	var refused error
	if err := p.runner.Call(ctx, func(n *node.Node) { refused = n.FireEvent(e) }); err != nil {
		return err
	}
	return refused
}
