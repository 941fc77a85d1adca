// Command peers measures Concord's consensus against other Raft libraries in Go, on the same machine, disk and
// network, one after the other in rounds. docs/performance.md says how each is set up and what the figures mean.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"concord/bench/peers/members"
)

const help = `peers measures Concord's raft on Pebble against hashicorp/raft, etcd's raft and dragonboat: commands of 256 bytes,
all nodes in this process over TCP on loopback, logs fsynced on a real disk. Systems take turns in every round; the
table shows medians over the rounds.

Examples:
  go run .                                        everything: about a quarter of an hour
  go run . -rounds 1 -time 1s                     a quick look
  go run . -nodes 1 -proposers 1 -only concord,hashicorp-wal,fsync-overwrite
  go run . -only concord -nodes 3 -proposers 1024 -rounds 1 -time 10s -profile cpu.pb
  go run . -stages -time 10s                      where the microseconds of one Concord commit go
  go run . -json -rounds 5                        also add a line to ../history.jsonl
  go run . members -help                          gossip beside hashicorp/memberlist

Systems:
`

type options struct {
	rounds           int
	length, warm     time.Duration
	proposers, nodes []int
	chosen           []system
	dir, profile     string
	json, stages     bool
	history          string
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "members" {
		exit(members.Run(os.Args[2:], about))
		return
	}
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	switch {
	case err != nil:
	case o.stages:
		err = printStages(o)
	default:
		err = run(o)
	}
	exit(err)
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func parse(args []string) (options, error) {
	var o options
	fs := flag.NewFlagSet("peers", flag.ContinueOnError)
	fs.Usage = func() {
		fmt.Fprint(fs.Output(), help)
		for _, s := range systems {
			fmt.Fprintf(fs.Output(), "  %-18s %s\n", s.name, s.about)
		}
		fmt.Fprint(fs.Output(), "\nFlags:\n")
		fs.PrintDefaults()
	}
	fs.IntVar(&o.rounds, "rounds", 3, "how often everything is measured; medians count")
	fs.DurationVar(&o.length, "time", 3*time.Second, "length of a measurement")
	fs.DurationVar(&o.warm, "warm", time.Second, "load before each measurement, first with 1024 proposers and then as long with those to be measured")
	proposers := fs.String("proposers", "1,64,1024", "concurrent proposers, a list")
	nodes := fs.String("nodes", "1,3", "cluster sizes, a list")
	only := fs.String("only", "", "systems to measure, a list (default all)")
	fs.StringVar(&o.dir, "dir", "", "where the logs go: a folder on a real disk (default the system's temporary folder)")
	fs.StringVar(&o.profile, "profile", "", "write a CPU profile of the measurements to this file")
	fs.BoolVar(&o.stages, "stages", false, "only tell where the time of a commit on one Concord node goes, with one proposer")
	fs.BoolVar(&o.json, "json", false, "add the figures to the history as a line of JSON")
	fs.StringVar(&o.history, "history", "../history.jsonl", "the file for -json")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	var err1, err2, err3 error
	o.proposers, err1 = numbers("proposers", *proposers, maxProposers)
	o.nodes, err2 = numbers("nodes", *nodes, 9)
	o.chosen, err3 = choose(*only)
	err := errors.Join(err1, err2, err3)
	if o.rounds < 1 || o.length <= 0 || o.warm < 0 || fs.NArg() > 0 {
		err = errors.Join(err, errors.New("-rounds and -time must be positive, and there are no arguments besides flags; see -help"))
	}
	return o, err
}

func numbers(flag, list string, most int) ([]int, error) {
	var out []int
	for _, s := range strings.Split(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil || n < 1 || n > most {
			return nil, fmt.Errorf("-%s: %q is not a number from 1 to %d", flag, s, most)
		}
		out = append(out, n)
	}
	return out, nil
}

func choose(list string) ([]system, error) {
	if list == "" {
		return systems, nil
	}
	var out []system
	for _, name := range strings.Split(list, ",") {
		found := false
		for _, s := range systems {
			if s.name == strings.TrimSpace(name) {
				out, found = append(out, s), true
			}
		}
		if !found {
			return nil, fmt.Errorf("-only: there is no system %q; see -help", name)
		}
	}
	return out, nil
}

// run measures everything and prints the table.
func run(o options) error {
	dir, err := os.MkdirTemp(o.dir, "concord-peers-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	plan := o.plan()
	limit := time.Duration(o.rounds*len(plan))*(2*o.warm+o.length+openLimit) + time.Minute
	watchdog := time.AfterFunc(limit, func() {
		os.RemoveAll(dir)
		fatal(fmt.Errorf("not finished after %v: something hangs", limit))
	})
	defer watchdog.Stop()
	if o.profile != "" {
		f, err := os.Create(o.profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	results, measured := newResults(), commit()
	for round := range o.rounds {
		for _, p := range plan {
			got, err := o.measure(filepath.Join(dir, "data"), p)
			if err != nil {
				return fmt.Errorf("%s with %d node(s) and %d proposer(s): %w", p.system, p.nodes, p.proposers, err)
			}
			progress(round, o.rounds, p, got)
			results.add(p.key, got)
		}
	}
	results.print(os.Stdout)
	if o.json {
		return results.append(o.history, measured, o)
	}
	return nil
}
