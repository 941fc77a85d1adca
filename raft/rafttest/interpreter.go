package rafttest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"concord/raft"
)

// Interpreter runs the command language of raft/testdata. A file is a sequence of blocks:
//
//	# a comment
//	command argument key=value
//	another command
//	----
//	what they print
//
// separated by empty lines. The commands are those of the table below.
type Interpreter struct {
	c     *Cluster
	cfg   raft.Config
	out   strings.Builder
	quiet bool
}

// NewInterpreter returns an interpreter without servers.
func NewInterpreter() *Interpreter { return &Interpreter{} }

// command is a line, split.
type command struct {
	name string
	args []string
	opts map[string]string
}

func (c *command) id(i int) raft.ID {
	if i < len(c.args) {
		return raft.ID(c.args[i])
	}
	return ""
}

func (c *command) number(i int) uint64 {
	v, _ := strconv.ParseUint(string(c.id(i)), 10, 64)
	return v
}

func (c *command) ids(from int) []raft.ID {
	var ids []raft.ID
	for _, a := range c.args[from:] {
		ids = append(ids, raft.ID(a))
	}
	return ids
}

func parse(line string) command {
	fields := strings.Fields(line)
	c := command{name: fields[0], opts: map[string]string{}}
	for _, f := range fields[1:] {
		if k, v, ok := strings.Cut(f, "="); ok {
			c.opts[k] = v
		} else {
			c.args = append(c.args, f)
		}
	}
	return c
}

// Exec runs a block of commands and returns what they print.
func (in *Interpreter) Exec(block string) string {
	in.out.Reset()
	for line := range strings.Lines(block) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		in.quiet = strings.HasPrefix(line, "@") // @command: without the trace
		c := parse(strings.TrimPrefix(line, "@"))
		run, ok := commands[c.name]
		if !ok {
			in.printf("unknown command %q", c.name)
			continue
		}
		if err := run(in, &c); err != nil {
			in.printf("error: %v", err)
		}
	}
	if in.out.Len() == 0 {
		return "ok\n"
	}
	return in.out.String()
}

func (in *Interpreter) printf(format string, args ...any) {
	fmt.Fprintf(&in.out, format+"\n", args...)
}

func (in *Interpreter) cluster() *Cluster {
	if in.c == nil {
		in.c = New(in.cfg, 1)
		in.c.Trace = func(format string, args ...any) {
			if !in.quiet {
				in.printf(format, args...)
			}
		}
	}
	return in.c
}

// on runs f with the running server that the command names first.
func on(f func(in *Interpreter, c *command, s *Server) error) func(*Interpreter, *command) error {
	return func(in *Interpreter, c *command) error {
		s := in.cluster().Server(c.id(0))
		if s == nil {
			return fmt.Errorf("no server %q", c.id(0))
		}
		if s.Node == nil && c.name != "start" {
			return fmt.Errorf("%s is down", s.ID)
		}
		return f(in, c, s)
	}
}

var commands = map[string]func(*Interpreter, *command) error{
	"config":   setConfig,          // config lease=300ms max-entries=2 cache=1 ...: before the first server
	"cluster":  bootstrap,          // cluster a b c nonvoters=d,e
	"servers":  withLogs,           // servers a=1,1,4 b=1,1,2,2 ...: the terms of their logs, the first the configuration's
	"add":      add,                // add d: a new server with nothing on its disks
	"timeout":  on(timeout),        // timeout a: time passes to its next deadline; only it ticks
	"elect":    on(elect),          // elect a: timeout, and everything settles
	"pass":     pass,               // pass 100ms: time passes, nobody ticks
	"tick":     on(tickServer),     // tick a
	"run":      run,                // run 1s: time passes, and everything that it brings
	"settle":   settle,             // all messages and all work
	"deliver":  deliver,            // deliver [from=a] [to=b] [type=Append] [count=1]
	"drop":     drop,               // drop [from=a] [to=b] [type=Append]
	"work":     on(work),           // work a: its disk and state machine, no messages
	"network":  network,            // shows the messages on the way
	"cut":      cut,                // cut a b: b hears nothing from a
	"isolate":  isolate,            // isolate a b: from all others
	"heal":     heal,               //
	"crash":    on(crash),          // crash a [durable=1]: so many pending writes reach the disk
	"wipe":     on(wipe),           // wipe a: it crashes and loses its disks
	"start":    on(start),          // start a
	"hold":     on(hold),           // hold a disk|apply|reads
	"release":  on(release),        // release a disk|apply|reads
	"propose":  on(propose),        // propose a x y z
	"change":   on(change),         // change a add-voter d [prev=3]
	"transfer": on(transfer),       // transfer a [b]
	"read":     on(readIndex),      // read a 7
	"lease":    on(lease),          // lease a
	"lost":     on(connectionLost), // lost b: its leader's process is gone
	"gone":     on(unreachable),    // gone a b: messages from a to b are being lost
	"compact":  on(compact),        // compact a 5: flush, and delete the log below 5
	"status":   status,             // a line for each server
	"logs":     logs,               // the terms of the durable logs
	"follower": on(showFollowers),  // follower a: what leader a knows
	"step":     on(step),           // step a type=Append from=b term=3 ...: a message out of nowhere
}

func setConfig(in *Interpreter, c *command) error {
	for key, value := range c.opts {
		d, _ := time.ParseDuration(value)
		n, _ := strconv.Atoi(value)
		switch key {
		case "lease":
			in.cfg.LeaseTimeout = d
		case "max-entries":
			in.cfg.MaxAppendEntries = n
		case "inflight":
			in.cfg.MaxInflight = n
		case "cache":
			in.cfg.CacheBytes = n
		case "uncommitted":
			in.cfg.MaxUncommittedBytes = n
		default:
			return fmt.Errorf("unknown option %q", key)
		}
	}
	return nil
}

func bootstrap(in *Interpreter, c *command) error {
	var nonvoters []raft.ID
	for _, id := range strings.FieldsFunc(c.opts["nonvoters"], func(r rune) bool { return r == ',' }) {
		nonvoters = append(nonvoters, raft.ID(id))
	}
	return in.cluster().Bootstrap(c.ids(0), nonvoters)
}

func withLogs(in *Interpreter, c *command) error {
	var cfg raft.Configuration
	for id := range c.opts {
		cfg.Servers = append(cfg.Servers, raft.Server{ID: raft.ID(id), Suffrage: raft.Voter})
	}
	slices.SortFunc(cfg.Servers, func(a, b raft.Server) int { return compare(a.ID, b.ID) })
	for _, s := range cfg.Servers {
		st := raft.InitialState{FirstIndex: 1}
		for i, t := range strings.Split(c.opts[string(s.ID)], ",") {
			term, err := strconv.ParseUint(t, 10, 64)
			if err != nil {
				return err
			}
			e := raft.Entry{Term: term, Index: uint64(i) + 1, Type: raft.EntryCommand, Data: []byte(t)}
			if i == 0 {
				e.Type, e.Data, e.Config = raft.EntryConfig, nil, &cfg
			}
			st.Entries = append(st.Entries, e)
			st.HardState.Term = term
		}
		in.cluster().Add(s.ID, st)
	}
	return nil
}

func add(in *Interpreter, c *command) error {
	for _, id := range c.ids(0) {
		in.cluster().Add(id, raft.InitialState{})
	}
	return nil
}
