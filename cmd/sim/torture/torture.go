// Package torture runs a cluster of real server processes under a workload and faults, and decides whether
// what its clients saw is linearizable.
package torture

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

const usage = `Usage: sim torture [options]

  Starts real servers, lets clients use their HTTP API (KV, catalog, health) while servers are killed, paused, restarted and,
  where the machine lets one build networks, cut off from each other. Then everything is healed, the cluster has to
  converge, and the history of what the clients saw is checked. The first interrupt ends the faults early; the second, everything.

  Exits with 0 if all is well, 1 if the history is not linearizable, 2 on bad usage or if the machine does not let it work,
  3 if a server crashed, 4 if the cluster did not converge.

      $ go run ./cmd/sim torture -duration=60s -html=report.html

Options:
`

// The exit codes of Main.
const (
	exitOK = iota
	exitNotLinearizable
	exitUsage
	exitCrash
	exitNotConverged
)

type options struct {
	servers, clients int
	duration         time.Duration
	seed             uint64
	html, binary     string
	keep             bool
	parent           string // folder of data and logs, "" for the machine's folder of temporary files
}

// Main runs "sim torture" with the arguments that follow these words and returns the exit code.
func Main(args []string) int {
	o, err := parse(args)
	if err != nil {
		return exitUsage
	}
	code, err := o.run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "sim torture:", err)
		return exitUsage
	}
	return code
}

func parse(args []string) (options, error) {
	var o options
	fs := flag.NewFlagSet("sim torture", flag.ContinueOnError)
	fs.Usage = func() {
		fmt.Fprint(os.Stderr, usage)
		fs.PrintDefaults()
	}
	fs.IntVar(&o.servers, "servers", 3, "how many servers")
	fs.IntVar(&o.clients, "clients", 8, "how many clients")
	fs.DurationVar(&o.duration, "duration", time.Minute, "how long faults last")
	fs.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano())%1_000_000, "what clients and faults are drawn from; the machine's timing is not")
	fs.StringVar(&o.html, "html", "", "write a report to this file (after a failure: torture-<seed>.html if this is empty)")
	fs.StringVar(&o.binary, "binary", "", "the server's binary (empty: build ./cmd/node)")
	fs.BoolVar(&o.keep, "keep", false, "keep data and logs of the servers even if all is well")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	var bad []error
	if fs.NArg() > 0 {
		bad = append(bad, fmt.Errorf("unexpected argument %q", fs.Arg(0)))
	}
	if o.servers < 1 || o.servers > maxServers {
		bad = append(bad, fmt.Errorf("-servers must be 1 to %d", maxServers))
	}
	if o.clients < 1 || o.clients > maxClients {
		bad = append(bad, fmt.Errorf("-clients must be 1 to %d", maxClients))
	}
	if o.duration <= 0 {
		bad = append(bad, errors.New("-duration must be positive"))
	}
	if err := errors.Join(bad...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		fs.Usage()
		return o, err
	}
	return o, nil
}

const (
	maxServers = 9
	maxClients = 32 // a search for an order is exponential in those that work at the same time
)

// args is the command line that gives these options.
func (o options) args() []string {
	out := []string{fmt.Sprintf("-servers=%d", o.servers), fmt.Sprintf("-clients=%d", o.clients), fmt.Sprintf("-duration=%v", o.duration),
		fmt.Sprintf("-seed=%d", o.seed)}
	if o.html != "" {
		out = append(out, "-html="+o.html)
	}
	if o.binary != "" {
		out = append(out, "-binary="+o.binary)
	}
	if o.keep {
		out = append(out, "-keep")
	}
	return out
}

// run gets binary and network ready and tortures.
func (o options) run() (int, error) {
	// What is started ends with the thread that started it (see server.start), so this one must not end before.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if program := os.Getenv(insideVar); program != "" {
		n, err := inNamespaces(o.servers)
		if err != nil {
			return 0, err
		}
		return o.torture(program, n)
	}
	program, clean, err := o.program()
	if err != nil {
		return 0, err
	}
	defer clean()
	if err := namespacesWork(); err == nil {
		return enterNamespace(program, o.args())
	} else {
		fmt.Printf("no partitions: this machine does not let this user build networks (%v)\n", err)
	}
	n, err := onLoopback(o.servers)
	if err != nil {
		return 0, err
	}
	return o.torture(program, n)
}

// program is the server's binary, built unless one is given. clean removes what was built.
func (o options) program() (path string, clean func(), err error) {
	if o.binary != "" {
		path, err := filepath.Abs(o.binary)
		return path, func() {}, err
	}
	dir, err := os.MkdirTemp("", "concord-torture-build-")
	if err != nil {
		return "", nil, err
	}
	path = filepath.Join(dir, "node")
	if err := run([]string{"go", "build", "-o", path, "concord/cmd/node"}); err != nil {
		os.RemoveAll(dir)
		return "", nil, fmt.Errorf("build the server: %w", err)
	}
	return path, func() { os.RemoveAll(dir) }, nil
}

func (o options) torture(program string, n *network) (code int, err error) {
	defer n.close()
	dir, err := os.MkdirTemp(o.parent, "concord-torture-")
	if err != nil {
		return 0, err
	}
	defer func() {
		if o.keep || err != nil || code != exitOK {
			fmt.Println("data and logs:", dir)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			fmt.Println(err)
		}
	}()
	t, err := newTest(o, dir, program, n)
	if err != nil {
		return 0, err
	}
	return t.run()
}
