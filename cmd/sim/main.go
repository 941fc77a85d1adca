// Command sim runs seeds of the simulator: one of them with a log and a report, or many for as long as one likes.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"concord/cmd/sim/gossip"
	"concord/cmd/sim/torture"
	"concord/sim"
)

const usage = `Usage: sim [options]

  Runs simulated clusters under faults and checks everything that they promise.

  One seed, with its log, and a report of what its clients saw:

      $ go run ./cmd/sim -seed=7 -html=report.html

  A thousand seeds from 1 on, two at a time, for at most ten minutes, and a table of what they met:

      $ go run ./cmd/sim -seeds=1000 -parallel=2 -duration=10m -coverage

  The first seed that fails is made as small as it gets, and written to repro.json; to run it again:

      $ go run ./cmd/sim -repro=repro.json -html=report.html

  Bugs are planted one at a time, each of which must be found:

      $ go run ./cmd/sim mutants -help

  Real servers, under kills, pauses and partitions:

      $ go run ./cmd/sim torture -help

  Pools of gossip alone, up to ten thousand members:

      $ go run ./cmd/sim gossip -help

Exit codes: 0 every property held, 1 a safety property was violated, 2 bad usage, 3 a node crashed by itself or did not start
again, 4 a healed cluster did not come to rest.

Presets: %s

Options:
`

// flags are the command line.
type flags struct {
	seed, from      uint64
	seeds, parallel int
	preset, html    string
	repro           string
	duration        time.Duration
	shrink          time.Duration
	quiet, coverage bool
	first, hashes   bool
}

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(800) // runs hold little and make much garbage
	}
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	if len(args) > 0 {
		switch args[0] {
		case "mutants":
			return plant(args[1:])
		case "torture":
			return torture.Main(args[1:])
		case "gossip":
			return gossip.Main(args[1:])
		}
	}
	var f flags
	fs := flag.NewFlagSet("sim", flag.ContinueOnError)
	fs.Usage = func() {
		fmt.Fprintf(os.Stderr, usage, strings.Join(sim.Presets(), ", "))
		fs.PrintDefaults()
	}
	fs.Uint64Var(&f.seed, "seed", 0, "run this seed alone")
	fs.IntVar(&f.seeds, "seeds", 100, "how many seeds to run")
	fs.Uint64Var(&f.from, "from", 1, "the first of them")
	fs.IntVar(&f.parallel, "parallel", runtime.NumCPU(), "how many at a time")
	fs.StringVar(&f.preset, "preset", "swarm", "how wild the runs are, or all: one preset after the other")
	fs.DurationVar(&f.duration, "duration", 0, "stop after this long (0: when all have run)")
	fs.DurationVar(&f.shrink, "shrink", time.Minute, "spend at most so long on making a failing run smaller (0: do not)")
	fs.StringVar(&f.repro, "repro", "", "run what this file, written by an earlier shrink, says")
	fs.StringVar(&f.html, "html", "", "write a report of the seed, or of the first that fails, to this file")
	fs.BoolVar(&f.quiet, "quiet", false, "do not log the events of a single seed")
	fs.BoolVar(&f.hashes, "hashes", false, "print preset, seed and trace hash of each run")
	fs.BoolVar(&f.first, "first", false, "stop at the first seed that fails")
	fs.BoolVar(&f.coverage, "coverage", false, "print how often each fault, transition and fault point was met")
	if err := fs.Parse(args); err != nil {
		return 2
	}
	if fs.NArg() > 0 || f.seeds < 1 || f.parallel < 1 {
		fs.Usage()
		return 2
	}
	switch {
	case f.repro != "":
		return replay(f)
	case f.seed != 0:
		return single(f)
	}
	return many(f)
}

// exitCode tells by a number how a run failed.
func exitCode(failure *sim.Failure) int {
	if failure == nil {
		return 0
	}
	return map[sim.Kind]int{sim.Correctness: 1, sim.Crash: 3, sim.Liveness: 4}[failure.Kind()]
}

func complain(err error) int {
	fmt.Fprintln(os.Stderr, "sim:", err)
	return 2
}
