// Package command has the verbs of the command line that talk to an agent, one file for each group.
package command

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/hashicorp/cli"

	"concord/cmd/node/client"
)

// verb is a command: what it is called, how it is described, its flags, and what it does.
type verb struct {
	name     string // with its group: "kv put"
	usage    string // arguments, for the first line of the help
	synopsis string
	about    string
	example  string
	offline  bool // talks to no agent, so it has no flags to find one
	gossip   bool // talks to a gossip-only agent, which has a protocol of its own
	// setup defines the verb's own flags and returns what runs it.
	setup func(fs *flag.FlagSet) func(*call) error
}

// call is a verb being run.
type call struct {
	args  []string
	api   *client.Client
	rpc   rpcAddress // for gossip verbs
	ui    cli.Ui
	stdin io.Reader
}

// usageError is an error of how a verb was called.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func badUsage(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// exit ends a verb with a code, when what there is to say was said.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// runner is a verb as the library runs it.
type runner struct {
	v     verb
	ui    cli.Ui
	stdin io.Reader
}

// Synopsis is the line in the list of commands.
func (r *runner) Synopsis() string { return r.v.synopsis }

// connection are the flags that every verb has.
type connection struct {
	addr, token, datacenter string
	stale                   bool
}

func (c *connection) flags(fs *flag.FlagSet) {
	fs.StringVar(&c.addr, "http-addr", "", "Address of the agent, host:port or a URL; by default CONSUL_HTTP_ADDR, else 127.0.0.1:8500.")
	fs.StringVar(&c.token, "token", "", "Token to send; by default CONSUL_HTTP_TOKEN. Accepted: there are no ACLs yet.")
	fs.StringVar(&c.datacenter, "datacenter", "", "Datacenter to ask.")
	fs.BoolVar(&c.stale, "stale", false, "Let any server answer reads.")
}

// finding are the flags to find an agent with, of either kind.
type finding struct {
	connection
	rpc rpcAddress
}

func (r *runner) flagSet() (*flag.FlagSet, *finding, func(*call) error) {
	fs := flag.NewFlagSet(r.v.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	run := r.v.setup(fs)
	var f finding
	switch {
	case r.v.gossip:
		f.rpc.flags(fs)
	case !r.v.offline:
		f.connection.flags(fs)
	}
	return fs, &f, run
}

// Help describes the verb.
func (r *runner) Help() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage: node %s %s\n\n  %s\n\n      $ node %s\n\nOptions:\n\n", r.v.name, r.v.usage, r.v.about, r.v.example)
	fs, _, _ := r.flagSet()
	fs.VisitAll(func(f *flag.Flag) { fmt.Fprintf(&b, "  -%s\n     %s\n", f.Name, f.Usage) })
	return b.String()
}

// Run runs the verb: 0 if it succeeded, 1 if not.
func (r *runner) Run(args []string) int {
	fs, conn, run := r.flagSet()
	if err := fs.Parse(args); err != nil {
		if err == flag.ErrHelp {
			r.ui.Output(r.Help())
			return 0
		}
		r.ui.Error(err.Error())
		r.ui.Error("See 'node " + r.v.name + " -help'.")
		return 1
	}
	c := &call{args: fs.Args(), api: client.New(conn.addr, conn.token, conn.datacenter, conn.stale), rpc: conn.rpc, ui: r.ui, stdin: r.stdin}
	switch err := run(c).(type) {
	case nil:
		return 0
	case exit:
		return int(err)
	case *usageError:
		r.ui.Error(err.Error())
		r.ui.Error("See 'node " + r.v.name + " -help'.")
		return 1
	default:
		r.ui.Error(err.Error())
		return 1
	}
}

// none is the setup of a verb without flags of its own.
func none(run func(*call) error) func(*flag.FlagSet) func(*call) error {
	return func(*flag.FlagSet) func(*call) error { return run }
}

// group is a command that only has others below it.
type group struct{ name, synopsis string }

// Synopsis is the line in the list of commands.
func (g *group) Synopsis() string { return g.synopsis }

// Help describes the group.
func (g *group) Help() string {
	return fmt.Sprintf("Usage: node %s <subcommand> [options] [args]\n\n  %s.\n\n      $ node %s -help", g.name, g.synopsis, g.name)
}

// Run shows the help.
func (g *group) Run([]string) int { return cli.RunResultHelp }

var groups = []group{
	{"kv", "Interacts with the key-value store"},
	{"catalog", "Interacts with the catalog"},
	{"services", "Registers and deregisters services with the agent"},
	{"snapshot", "Saves, restores and inspects snapshots of the servers' state"},
	{"operator", "Tools for operators of a cluster"},
	{"operator raft", "Looks at and changes the Raft configuration"},
	{"operator autopilot", "Looks at and changes autopilot"},
	{"gossip", "Membership, events and queries without servers, as Serf has them"},
}

// Commands returns the commands by name.
func Commands(ui cli.Ui, version string) map[string]cli.CommandFactory {
	out := map[string]cli.CommandFactory{}
	for i := range groups {
		g := &groups[i]
		out[g.name] = func() (cli.Command, error) { return g, nil }
	}
	verbs := append([]verb{versionVerb(version)}, clusterVerbs...)
	for _, vs := range [][]verb{verbs, kvVerbs, catalogVerbs, servicesVerbs, operatorVerbs, recoverVerbs, snapshotVerbs, gossipVerbs, rttVerbs, keyringVerbs, eventVerbs} {
		for _, v := range vs {
			r := &runner{v: v, ui: ui, stdin: os.Stdin}
			out[v.name] = func() (cli.Command, error) { return r, nil }
		}
	}
	return out
}

// table prints rows in columns, the first row being the heads.
func (c *call) table(rows [][]string) {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	w.Flush()
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	c.ui.Output(strings.Join(lines, "\n"))
}

// list is a flag that may be given more than once.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(v string) error { *l = append(*l, v); return nil }

// pairs are "key=value" arguments as a map.
func (l list) pairs() (map[string]string, error) {
	out := map[string]string{}
	for _, p := range l {
		k, v, ok := strings.Cut(p, "=")
		if !ok {
			return nil, badUsage("%q is not of the form key=value", p)
		}
		out[k] = v
	}
	return out, nil
}
