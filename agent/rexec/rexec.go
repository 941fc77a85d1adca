// Package rexec runs commands that an operator sends to agents by `exec`: the event _rexec tells which job, the KV store
// has the job and takes what comes of it. Keys and their contents are Consul's, so that either's command line reads them:
//
//	PREFIX/SESSION/job            what to run, as JSON
//	PREFIX/SESSION/NODE/ack       this node has begun
//	PREFIX/SESSION/NODE/out/00000 pieces of output in order; an empty one says that it still runs
//	PREFIX/SESSION/NODE/exit      the exit code
//
// Nothing is written once the job is gone: the operator does not wait any more.
package rexec

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"concord/catalog"
	"concord/wire"
)

// Bounds of what an agent does for those who may fire events.
const (
	// MaxJobs is how many jobs run at once; more are refused with an exit code of 255.
	MaxJobs = 8
	// MaxTime is how long a job may run, MaxOutput how many bytes it may print.
	MaxTime   = time.Hour
	MaxOutput = 1 << 20
)

// Event is the payload of the event.
type Event struct {
	Prefix  string
	Session string
}

// Spec is a job: one of Command (for the shell), Args (for no shell) and Script.
type Spec struct {
	Command string `json:",omitempty"`
	Args    []string
	Script  []byte `json:",omitempty"`
	// Wait is how long the operator waits for a sign of life.
	Wait time.Duration
}

// Servers carry requests to who answers them.
type Servers interface {
	Do(ctx context.Context, req *wire.Request) *wire.Response
}

// Executor runs the jobs of an agent.
type Executor struct {
	node    string
	servers Servers
	log     hclog.Logger
	slots   chan struct{}
	ctx     context.Context // ends with the agent
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	closing sync.Mutex
}

// New returns an Executor of the named node.
func New(node string, servers Servers, log hclog.Logger) *Executor {
	x := &Executor{node: node, servers: servers, log: log, slots: make(chan struct{}, MaxJobs)}
	x.ctx, x.cancel = context.WithCancel(context.Background())
	return x
}

// Close ends the jobs and waits for them.
func (x *Executor) Close() {
	x.closing.Lock()
	x.cancel()
	x.closing.Unlock()
	x.wg.Wait()
}

// Start begins the job that an event tells of. It does not block.
func (x *Executor) Start(payload []byte) {
	var e Event
	if err := json.Unmarshal(payload, &e); err != nil || e.Prefix == "" || e.Session == "" {
		x.log.Warn("agent: dropped a remote exec event that cannot be read", "error", err)
		return
	}
	x.closing.Lock()
	defer x.closing.Unlock()
	if x.ctx.Err() != nil {
		return
	}
	j := &job{x: x, base: path.Join(e.Prefix, e.Session)}
	run := j.refuse
	select {
	case x.slots <- struct{}{}:
		run = func() { defer func() { <-x.slots }(); j.run() }
	default:
	}
	x.wg.Go(run)
}

// job is a job that runs here.
type job struct {
	x    *Executor
	base string // PREFIX/SESSION
}

// errGone tells that the operator does not wait any more.
var errGone = errors.New("the job is gone")

// What ends a job before its time.
var (
	errTooMuch = fmt.Errorf("it printed more than %d bytes", MaxOutput)
	errTooLong = fmt.Errorf("it ran for longer than %v", MaxTime)
)

// refuse tells that too many jobs are running.
func (j *job) refuse() {
	j.x.log.Warn("agent: refused a remote exec job: too many are running", "job", j.base, "most", MaxJobs)
	ctx := j.x.ctx
	_ = errors.Join(j.put(ctx, "ack", nil), j.put(ctx, "out/00000", fmt.Appendf(nil, "%d jobs are running on this node already, try again later\n", MaxJobs)),
		j.put(ctx, "exit", []byte("255"))) // who is told is who asked; if it cannot be, nobody is
}

func (j *job) run() {
	ctx := j.x.ctx
	spec, err := j.spec(ctx)
	if err != nil {
		j.x.log.Error("agent: failed to get a remote exec job", "job", j.base, "error", err)
		return
	}
	if err := j.put(ctx, "ack", nil); err != nil {
		j.x.log.Error("agent: failed to ack a remote exec job", "job", j.base, "error", err)
		return
	}
	j.x.log.Info("agent: remote exec", "job", j.base, "command", spec.what())
	code, err := j.execute(spec)
	if errors.Is(err, errGone) {
		j.x.log.Info("agent: ended a remote exec job that nobody waits for", "job", j.base)
		return
	}
	if err != nil {
		j.x.log.Warn("agent: remote exec", "job", j.base, "error", err)
	}
	if err := j.put(ctx, "exit", strconv.AppendInt(nil, int64(code), 10)); err != nil && !errors.Is(err, errGone) {
		j.x.log.Error("agent: failed to tell the end of a remote exec job", "job", j.base, "error", err)
	}
}

// what is what the log says of a job.
func (s *Spec) what() string {
	switch {
	case s.Command != "":
		return s.Command
	case len(s.Args) > 0:
		return strings.Join(s.Args, " ")
	}
	return "script"
}

// spec gets the job.
func (j *job) spec(ctx context.Context) (*Spec, error) {
	resp := j.x.servers.Do(ctx, &wire.Request{Read: &wire.Read{Query: &catalog.KVGetQuery{Key: j.base + "/job"}}})
	if resp.Code != wire.OK {
		return nil, errors.New(resp.Err)
	}
	entry, _ := resp.Answer.Value.(*catalog.DirEntry)
	if entry == nil {
		return nil, errGone
	}
	var s Spec
	if err := json.Unmarshal(entry.Value, &s); err != nil {
		return nil, err
	}
	if s.Command == "" && len(s.Args) == 0 && len(s.Script) == 0 {
		return nil, errors.New("there is nothing to run")
	}
	if s.Wait <= 0 {
		s.Wait = time.Second
	}
	return &s, nil
}

// put writes a key of this node's, as long as the job is there.
func (j *job) put(ctx context.Context, name string, value []byte) error {
	ops := []catalog.TxnOp{
		{Verb: catalog.TxnGet, KV: &catalog.DirEntry{Key: j.base + "/job"}},
		{Verb: catalog.TxnSet, KV: &catalog.DirEntry{Key: path.Join(j.base, j.x.node, name), Value: value}},
	}
	resp := j.x.servers.Do(ctx, &wire.Request{Command: wire.AppendCommand(nil, &catalog.TxnWrite{Ops: ops})})
	switch {
	case resp.Code != wire.OK:
		return errors.New(resp.Err)
	case resp.Result == nil || resp.Result.Txn == nil || resp.Result.Err != "":
		return errors.New("the servers run another version")
	case len(resp.Result.Txn.Errors) > 0:
		return errGone
	}
	return nil
}
