package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/hashicorp/cli"

	"concord/gossip/agent"
	"concord/gossip/agent/logs"
)

// gossipAgentCommand runs a gossip-only agent until it is told to end.
type gossipAgentCommand struct{ ui cli.Ui }

// Synopsis is the line in the list of commands.
func (c *gossipAgentCommand) Synopsis() string { return "Runs a gossip-only agent" }

// Help describes the command.
func (c *gossipAgentCommand) Help() string {
	return `Usage: node gossip agent [options]

  Starts an agent that takes part in a pool of its own kind and runs until it is interrupted: membership, user events
  and queries without servers. Flags, configuration files, event handlers and RPC are Serf's.

      $ node gossip agent -node web-1 -tag role=web -retry-join 10.0.0.1

  A handler for deployments, and a file to rejoin from after a restart:

      $ node gossip agent -event-handler user:deploy=deploy.sh -snapshot /var/lib/concord/gossip.snapshot

Options:

` + agent.FlagHelp()
}

// Run runs the agent. It returns 0 if it was told to end, 1 if it could not start or go on.
func (c *gossipAgentCommand) Run(args []string) int {
	cfg, warnings, err := agent.Load(args)
	if errors.Is(err, flag.ErrHelp) {
		c.ui.Output(c.Help())
		return 0
	}
	for _, w := range warnings {
		c.say("%s", w)
	}
	if err != nil {
		return c.fail(err)
	}
	level, _ := logs.ParseLevel(cfg.LogLevel) // Load has looked at it
	gate := &gatedWriter{out: os.Stdout}
	log := logs.New(gate, "    ", level)
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	c.say("Starting Concord gossip agent...")
	a, err := agent.Start(cfg, log)
	if err != nil {
		return c.fail(err)
	}
	c.banner(&cfg, a)
	if err := c.startJoin(&cfg, a); err != nil {
		c.ui.Error("==> " + err.Error())
		a.Close()
		return 1
	}
	c.say("Log data will now stream in as it occurs:\n")
	gate.open()
	code := c.serve(a, args, cfg, log, signals)
	if err := a.Close(); err != nil {
		return c.fail(err)
	}
	return code
}

func (c *gossipAgentCommand) say(format string, args ...any) {
	c.ui.Output("==> " + fmt.Sprintf(format, args...))
}

func (c *gossipAgentCommand) fail(err error) int {
	for _, line := range strings.Split(err.Error(), "\n") {
		c.ui.Error("==> " + line)
	}
	return 1
}

func (c *gossipAgentCommand) banner(cfg *agent.Config, a *agent.Agent) {
	c.say("Concord gossip agent running!")
	for _, row := range [][2]string{
		{"Node name", "'" + cfg.NodeName + "'"}, {"Bind addr", "'" + a.Addr().String() + "'"}, {"RPC addr", "'" + cfg.RPCAddr + "'"},
		{"Encrypted", fmt.Sprint(cfg.Encrypted())}, {"Snapshot", fmt.Sprint(cfg.SnapshotPath != "")}, {"Profile", cfg.Profile},
	} {
		c.ui.Output(fmt.Sprintf("    %27s: %s", row[0], row[1]))
	}
	c.ui.Output("")
}

func (c *gossipAgentCommand) startJoin(cfg *agent.Config, a *agent.Agent) error {
	if len(cfg.StartJoin) == 0 {
		return nil
	}
	c.say("Joining cluster...(replay: %v)", cfg.ReplayOnJoin)
	n, err := a.StartJoin()
	if err == nil {
		c.say("Join completed. Synced with %d initial agents", n)
	}
	return err
}

// serve waits for a signal, or for the end of the agent, and returns the exit code.
func (c *gossipAgentCommand) serve(a *agent.Agent, args []string, cfg agent.Config, log *logs.Log, signals <-chan os.Signal) int {
	for {
		select {
		case <-a.Done():
			return a.ExitCode()
		case s := <-signals:
			c.say("Caught signal: %v", s)
			if s == syscall.SIGHUP {
				c.reload(a, args, log)
				continue
			}
			if s == os.Interrupt && !cfg.SkipLeaveOnInt || s == syscall.SIGTERM && cfg.LeaveOnTerm {
				return c.leave(a, signals)
			}
			return 1
		}
	}
}

func (c *gossipAgentCommand) reload(a *agent.Agent, args []string, log *logs.Log) {
	c.say("Reloading configuration...")
	cfg, _, err := agent.Load(args)
	if err == nil {
		err = a.Reload(context.Background(), cfg)
	}
	if err != nil {
		log.Printf(logs.Err, "agent: failed to reload, nothing was changed: %v", err)
	}
}

// leave leaves the pool; a second signal ends that at once.
func (c *gossipAgentCommand) leave(a *agent.Agent, signals <-chan os.Signal) int {
	c.say("Gracefully shutting down agent...")
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	left := make(chan error, 1)
	go func() { left <- a.Leave(ctx) }()
	select {
	case err := <-left:
		if err != nil {
			return c.fail(err)
		}
		return 0
	case <-signals:
		return 1
	}
}
