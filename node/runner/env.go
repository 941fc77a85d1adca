package runner

import (
	"time"

	"concord/agent/userevent"
	"concord/node"
	"concord/transport"
	"concord/wire"
)

// env is the node's world: the Runner, seen by the loop.
type env Runner

func (e *env) Now() time.Duration  { return (*Runner)(e).now() }
func (e *env) Wall() time.Duration { return (*Runner)(e).wall() }

func (e *env) Send(m transport.Envelope) {
	if t := e.transports[m.Class]; t != nil {
		t.Send(m)
	}
}

// View is for those who read without the loop.
func (e *env) View(v node.ReadView) { e.view.Store(&v) }

func (e *env) Persist(t node.PersistTask) { e.writes.force(t) }
func (e *env) Apply(t node.ApplyTask)     { e.applies.force(t) }
func (e *env) Fetch(t node.FetchTask)     { e.fetches.force(t) }
func (e *env) Agent(t node.AgentTask)     { e.hosts.force(hostJob{task: t}) }

// Event hands a user event to whoever wants it.
func (e *env) Event(ev userevent.Event) {
	if e.opts.Event != nil {
		e.opts.Event(ev)
	}
}

func (e *env) Save(name string, data []byte)  { e.saves.force(save{name: name, data: data}) }
func (e *env) SaveKeyring(t node.KeyringTask) { e.saves.force(save{keyring: &t}) }

// Read lets a caller on this machine read for itself, and a worker for everybody else.
func (e *env) Read(t node.ReadTask) {
	if w := e.waiters[t.To.Token]; w != nil {
		delete(e.waiters, t.To.Token)
		w.reply <- result{read: &t}
		return
	}
	if t.To.Token != 0 {
		return // the caller is gone
	}
	e.reads <- t // the workers never wait for the loop, so this ends
}

func (e *env) Reply(token uint64, resp *wire.Response) {
	if w := e.waiters[token]; w != nil {
		delete(e.waiters, token)
		w.reply <- result{resp: resp}
	}
}

func (e *env) Log(level node.Level, component, message string, args ...any) {
	l := e.named[component]
	if l == nil {
		l = e.log.Named(component)
		e.named[component] = l
	}
	switch level {
	case node.Trace:
		l.Trace(message, args...)
	case node.Debug:
		l.Debug(message, args...)
	case node.Info:
		l.Info(message, args...)
	case node.Warn:
		l.Warn(message, args...)
	case node.Error:
		l.Error(message, args...)
	}
}
