package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/cli"
	"github.com/hashicorp/go-hclog"

	"concord/agent"
	"concord/config"
	"concord/config/logging"
	"concord/gossip"
	"concord/internal/version"
	"concord/node"
	"concord/node/process"
)

// agentCommand runs an agent until it is told to end.
type agentCommand struct{ ui cli.Ui }

// Synopsis is the line in the list of commands.
func (c *agentCommand) Synopsis() string { return "Runs a Concord agent" }

// Help describes the command.
func (c *agentCommand) Help() string {
	return `Usage: node agent [options]

  Starts the agent and runs until it is interrupted. An agent is a server, or a client that forwards to servers.

  A server in memory, for development:

      $ node agent -dev

  One of three servers that form a cluster once they have met:

      $ node agent -server -bootstrap-expect 3 -data-dir /var/lib/concord -retry-join 10.0.0.1

  A client agent with a configuration folder:

      $ node agent -data-dir /var/lib/concord -config-dir /etc/concord.d -retry-join 10.0.0.1

Options:

` + config.FlagHelp()
}

// Run runs the agent. It returns 0 if it was told to end, 1 if it could not start or go on.
func (c *agentCommand) Run(args []string) int {
	rt, warnings, err := config.Load(args)
	if errors.Is(err, config.ErrHelp) {
		c.ui.Output(c.Help())
		return 0
	}
	for _, w := range warnings {
		c.ui.Warn("==> " + w)
	}
	if err != nil {
		for _, line := range strings.Split(err.Error(), "\n") {
			c.ui.Error("==> " + line)
		}
		return 1
	}
	tune()
	level, _ := logging.ParseLevel(rt.LogLevel) // Load has looked at it
	gate := &gatedWriter{out: os.Stdout}
	log := logging.New(level, rt.LogJSON, gate)
	// Signals are caught before the agent starts, so that none is missed.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	p, err := process.Start(processConfig(rt, args, log))
	if err != nil {
		gate.open()
		for _, line := range strings.Split(err.Error(), "\n") {
			c.ui.Error("==> " + line)
		}
		return 1
	}
	c.banner(rt, p.Encrypted())
	gate.open()
	code := serve(p, rt, signals, log)
	if code != 0 {
		// After a failure something may wait for a disk that never answers. What was acknowledged is on it.
		time.AfterFunc(closeTimeout, func() { os.Exit(code) })
	}
	if err := p.Close(); err != nil {
		log.Error("agent: failed to close", "error", err)
		code = 1
	}
	log.Info("agent: Exit code", "code", code)
	return code
}

// tune sets what the runtime cannot know of, unless the environment says otherwise. A goroutine that waits for
// the disk in a system call occupies a processor until the scheduler notices: with a few more than there are
// cores, the others go on meanwhile. The heap is small, so collecting it half as often costs little.
func tune() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(2 * runtime.NumCPU())
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200)
	}
}

func (c *agentCommand) banner(rt config.Runtime, encrypted bool) {
	c.ui.Output(fmt.Sprintf(`==> Starting Concord agent...
           Version: '%s'
         Node name: '%s'
        Datacenter: '%s'
            Server: %v (Bootstrap: %v)
       Client Addr: %v (DNS: %v)
      Cluster Addr: %s (LAN: %d, WAN: %d)
           Encrypt: Gossip: %v

==> Log data will now stream in as it occurs:
`, version.Version, rt.NodeName, rt.Datacenter, rt.Server, rt.Bootstrap, rt.HTTP, rt.DNS, rt.Advertise, rt.SerfPort, rt.SerfWANPort, encrypted))
}

// serve waits for a signal, or for the end of the agent, and returns the exit code.
func serve(p *process.Process, rt config.Runtime, signals <-chan os.Signal, log hclog.Logger) int {
	for {
		select {
		case <-p.Done():
			return p.ExitCode()
		case s := <-signals:
			log.Info("agent: Caught", "signal", s.String())
			if s == syscall.SIGHUP {
				if err := p.Reload(context.Background()); err != nil {
					log.Error("agent: failed to reload, nothing was changed", "error", err)
				}
				continue
			}
			leave := s == os.Interrupt && !rt.SkipLeaveOnInterrupt || s == syscall.SIGTERM && rt.LeaveOnTerminate
			if !leave {
				log.Info("agent: shutting down without leaving the cluster")
				return 0
			}
			return leaveGracefully(p, signals, log)
		}
	}
}

// closeTimeout bounds the end of an agent that failed.
const closeTimeout = 5 * time.Second

// leaveTimeout bounds a graceful leave; a second signal ends it at once.
const leaveTimeout = 15 * time.Second

func leaveGracefully(p *process.Process, signals <-chan os.Signal, log hclog.Logger) int {
	log.Info("agent: Gracefully shutting down agent...")
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	left := make(chan error, 1)
	go func() { left <- p.Leave(ctx) }()
	select {
	case err := <-left:
		if err != nil {
			log.Error("agent: failed to leave", "error", err)
			return 1
		}
		return 0
	case s := <-signals:
		log.Warn("agent: Second signal, ending at once", "signal", s.String())
		return 1
	}
}

// processConfig is what the process needs of the configuration.
func processConfig(rt config.Runtime, args []string, log hclog.Logger) process.Config {
	e := rt.Encryption
	lan := gossip.Config{Swim: rt.LAN, Label: e.LabelLAN, AcceptPlaintext: !e.VerifyIncoming, SendPlaintext: !e.VerifyOutgoing}
	wan := gossip.Config{Swim: rt.WAN, Label: e.LabelWAN, AcceptPlaintext: !e.VerifyIncoming, SendPlaintext: !e.VerifyOutgoing}
	n := node.Config{Name: rt.NodeName, Datacenter: rt.Datacenter, Server: rt.Server, Build: version.Version, Meta: rt.NodeMeta,
		Bootstrap: rt.Bootstrap, Expect: rt.Expect, LAN: lan, WAN: wan, Autopilot: rt.Autopilot, HoldTimeout: rt.HoldTimeout, LeaveTimeout: rt.LeaveTimeout}
	n.Coordinates = rt.Coordinates
	n.Agent = agent.Config{CheckUpdateInterval: rt.CheckUpdateInterval}
	n.Raft = node.RaftTiming(rt.RaftMultiplier)
	return process.Config{
		Node: n, NodeID: rt.NodeID, DataDir: rt.DataDir, Bind: rt.Bind, Advertise: rt.Advertise, BindLAN: rt.BindLAN, BindWAN: rt.BindWAN,
		AdvertiseWAN: rt.AdvertiseWAN, ServerPort: rt.ServerPort, SerfPort: rt.SerfPort, SerfWANPort: rt.SerfWANPort,
		HTTP: rt.HTTP, DNS: rt.DNS, DNSConfig: rt.DNSConfig, MaxHTTPConns: rt.MaxHTTPConns, ResponseHeaders: rt.ResponseHeaders, RemoteExec: !rt.DisableRemoteExec,
		LAN: process.Joining(rt.JoinLAN), WAN: process.Joining(rt.JoinWAN), Rejoin: rt.Rejoin, EncryptKey: e.Key, DisableKeyringFile: e.DisableFile,
		Services: rt.Services, Checks: rt.Checks, Version: version.Version, Revision: version.Revision(), PidFile: rt.PidFile, Log: log, Debug: rt.Written,
		Reload: func() (process.Reloaded, error) {
			again, _, err := config.Load(args)
			if err != nil {
				return process.Reloaded{}, err
			}
			level, err := logging.ParseLevel(again.LogLevel)
			return process.Reloaded{Services: again.Services, Checks: again.Checks, LogLevel: level}, err
		},
	}
}
