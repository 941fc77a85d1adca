package process

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"

	"concord/agent/rexec"
	dnsapi "concord/api/dns"
	"concord/internal/prng"
	"concord/node/datadir"
	"concord/node/runner"
)

// Process is a running agent.
type Process struct {
	cfg    Config
	log    hclog.Logger
	id     string
	data   *datadir.Dir // nil with -dev
	files  *runner.Files
	disk   *runner.Disk
	runner *runner.Runner
	host   *host
	events *events
	exec   *rexec.Executor // nil: commands from elsewhere are not run

	sockets sockets
	dns     []*dnsapi.Server
	http    *httpDoor

	ctx       context.Context // ends with the process
	cancel    context.CancelFunc
	encrypted bool           // gossip is
	failed    atomic.Bool    // the process has to end because of a failure
	closers   []func() error // in the order of opening
}

// Start starts an agent. On an error everything that was opened is closed again.
func Start(cfg Config) (*Process, error) {
	p := &Process{cfg: cfg, log: cfg.Log, events: newEvents()}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	for _, step := range []func() error{p.openFiles, p.openDisk, p.openSockets, p.openNode, p.openDoors} {
		if err := step(); err != nil {
			return nil, errors.Join(err, p.Close())
		}
	}
	if err := writePid(cfg.PidFile); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	p.joinAtStart()
	return p, nil
}

func (p *Process) onClose(f func() error) { p.closers = append(p.closers, f) }

func (p *Process) openFiles() error {
	if p.cfg.DataDir == "" {
		p.id = p.cfg.NodeID
		if p.id == "" {
			p.id = uuid.NewString()
		}
		return nil
	}
	var err error
	if p.data, err = datadir.Open(p.cfg.DataDir); err != nil {
		return err
	}
	p.onClose(p.data.Close)
	if p.id, err = p.data.NodeID(p.cfg.NodeID); err != nil {
		return err
	}
	p.files, err = runner.OpenFiles(filepath.Join(p.cfg.DataDir, "serf"))
	return err
}

func (p *Process) openDisk() error {
	if !p.cfg.Node.Server {
		return nil
	}
	var err error
	if p.data == nil {
		p.disk, err = runner.OpenMemory(p.id)
	} else {
		err = p.openData()
	}
	if err != nil {
		return fmt.Errorf("open the data directory: %w", err)
	}
	return nil
}

// diskFailed ends the process: a server whose disk does not keep its word must not go on.
func (p *Process) diskFailed(err error) {
	p.log.Error("agent: the disk failed, stopping", "error", err)
	p.fail()
}

func (p *Process) openNode() error {
	cfg := p.cfg.Node
	cfg.ID, cfg.Address = p.id, p.cfg.Advertise.String()
	if err := p.gossipIdentity(&cfg); err != nil {
		return err
	}
	if err := p.keyrings(&cfg); err != nil {
		return err
	}
	p.host = newHost(p)
	restore, err := p.host.restore()
	if err != nil {
		return err
	}
	seed := prng.New(uint64(time.Now().UnixNano())).Fork(p.id).Uint64()
	p.runner, err = runner.New(cfg, runner.Options{Disk: p.disk, Files: p.files, Host: p.host, Log: p.log, Seed: seed, Restore: restore,
		Event: p.onEvent})
	if err != nil {
		return err
	}
	if p.cfg.RemoteExec {
		p.exec = rexec.New(p.cfg.Node.Name, p, p.log)
	}
	p.sockets.attach(p.runner)
	p.runner.Start()
	p.onClose(p.host.close)
	p.onClose(p.stopRunner)
	p.onClose(p.endJobs)
	p.sockets.start(p.runner)
	go p.watchRunner()
	return nil
}

// endJobs ends the commands that run for others.
func (p *Process) endJobs() error {
	if p.exec != nil {
		p.exec.Close()
	}
	return nil
}

// stopRunner closes the transports first, so that nothing waits for a loop that has ended.
func (p *Process) stopRunner() error {
	return errors.Join(p.sockets.close(), p.runner.Stop())
}

func (p *Process) watchRunner() {
	<-p.runner.Stopped()
	p.cancel()
}

func (p *Process) openDoors() error {
	for _, addr := range p.cfg.DNS {
		d := dnsapi.New(p.cfg.DNSConfig, p, p.log)
		if err := d.Listen(addr); err != nil {
			return fmt.Errorf("cannot listen for DNS on %s: %w: choose another port with -dns-port, or -1 for none", addr, err)
		}
		p.dns = append(p.dns, d)
		p.onClose(func() error { return d.Close(p.closing()) })
		p.log.Info("agent: Started DNS server", "address", addr, "network", "tcp+udp")
	}
	door, err := openHTTP(p)
	if err != nil {
		return err
	}
	p.http = door
	p.onClose(door.close)
	return nil
}

// closing is a context that bounds an orderly end.
func (p *Process) closing() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	context.AfterFunc(ctx, cancel)
	return ctx
}

// Done is closed when the agent cannot go on, or has left.
func (p *Process) Done() <-chan struct{} { return p.ctx.Done() }

// Err is why the agent could not go on, nil if it left or was closed.
func (p *Process) Err() error {
	if p.runner == nil {
		return nil
	}
	return p.runner.Err()
}

// fail ends the process with an exit code that says so.
func (p *Process) fail() {
	p.failed.Store(true)
	p.cancel()
}

// ExitCode is what the process ends with once Done is closed.
func (p *Process) ExitCode() int {
	if p.failed.Load() || p.Err() != nil {
		return 1
	}
	return 0
}

// Close ends the agent without leaving the cluster.
func (p *Process) Close() error {
	p.cancel()
	var errs []error
	for i := len(p.closers) - 1; i >= 0; i-- {
		errs = append(errs, p.closers[i]())
	}
	p.closers = nil
	if p.disk != nil && p.runner == nil {
		errs = append(errs, p.disk.Close())
	}
	if p.cfg.PidFile != "" {
		os.Remove(p.cfg.PidFile)
	}
	return errors.Join(errs...)
}

// DNSAddr is where DNS listens first, nil if it does not.
func (p *Process) DNSAddr() net.Addr {
	if len(p.dns) == 0 {
		return nil
	}
	return p.dns[0].Addr()
}

// HTTPAddr is where the HTTP API listens first, nil if it does not.
func (p *Process) HTTPAddr() net.Addr { return p.http.addr() }
