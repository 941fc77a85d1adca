// Package gossip is the command gossip of cmd/sim: pools of gossip alone, under faults, at any size.
package gossip

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"time"
)

const usage = `Usage: sim gossip [options]
       sim gossip plots [options]

  Runs simulated pools of gossip under faults and checks what they promise. One seed, with its log:

      $ go run ./cmd/sim gossip -seed=7

  A thousand seeds from 1 on:

      $ go run ./cmd/sim gossip -seeds=1000

  Pools that are attacked by a stranger in their network:

      $ go run ./cmd/sim gossip -hostile -seeds=200

  A large pool at rest, and what it costs:

      $ GOMAXPROCS=1 go run ./cmd/sim gossip -nodes=10000 -quiet-pool=60s

  The figures and plots of docs/gossip.md:

      $ go run ./cmd/sim gossip plots -out docs/gossip

Exit codes: 0 every promise was kept, 1 one was not, 2 bad usage.

Options:
`

type flags struct {
	seed, from      uint64
	seeds, parallel int
	duration        time.Duration
	first, hashes   bool
	quiet, hostile  bool
	nodes           int
	loss            uint64
	quietPool       time.Duration
}

// Main runs the command and returns its exit code.
func Main(args []string) int {
	if len(args) > 0 && args[0] == "plots" {
		return plot(args[1:])
	}
	var f flags
	fs := flag.NewFlagSet("sim gossip", flag.ContinueOnError)
	fs.Usage = func() {
		fmt.Fprint(os.Stderr, usage)
		fs.PrintDefaults()
	}
	fs.Uint64Var(&f.seed, "seed", 0, "run this seed alone")
	fs.IntVar(&f.seeds, "seeds", 100, "how many seeds to run")
	fs.Uint64Var(&f.from, "from", 1, "the first of them")
	fs.IntVar(&f.parallel, "parallel", runtime.GOMAXPROCS(0), "how many at a time")
	fs.DurationVar(&f.duration, "duration", 0, "stop after this long (0: when all have run)")
	fs.BoolVar(&f.first, "first", false, "stop at the first seed that fails")
	fs.BoolVar(&f.hashes, "hashes", false, "print the trace hash of each seed")
	fs.BoolVar(&f.quiet, "quiet", false, "do not log the events of a single seed")
	fs.BoolVar(&f.hostile, "hostile", false, "run the seeds in which somebody without a key attacks the pool")
	fs.IntVar(&f.nodes, "nodes", 1000, "how many members the pool of -quiet-pool has")
	fs.DurationVar(&f.quietPool, "quiet-pool", 0, "form a pool of -nodes members and measure it for this long, in virtual time")
	fs.Uint64Var(&f.loss, "loss", 0, "lose this share of its datagrams while it is measured, in percent")
	if err := fs.Parse(args); err != nil {
		return 2
	}
	switch {
	case fs.NArg() > 0 || f.loss > 99 || f.seeds < 1 || f.parallel < 1 || f.nodes < 2:
		fs.Usage()
		return 2
	case f.quietPool > 0:
		return quietPool(f)
	case f.seed != 0:
		return single(f)
	}
	return many(f)
}
