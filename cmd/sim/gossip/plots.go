package gossip

import (
	"flag"
	"fmt"
	"os"
	"runtime/debug"

	"concord/sim/pool/plots"
)

const plotsUsage = `Usage: sim gossip plots [options]

  Measures pools of 16 to 10,000 members and writes the plots into a folder, and the page that shows them beside it. Takes about
  ten minutes on two processors.

      $ go run ./cmd/sim gossip plots -out docs/gossip

Options:
`

// plot is the command gossip plots.
func plot(args []string) int {
	fs := flag.NewFlagSet("sim gossip plots", flag.ContinueOnError)
	fs.Usage = func() {
		fmt.Fprint(os.Stderr, plotsUsage)
		fs.PrintDefaults()
	}
	o := plots.Options{Progress: func(line string) { fmt.Println(line) }}
	fs.StringVar(&o.Out, "out", "docs/gossip", "the folder for the plots")
	fs.BoolVar(&o.Quick, "quick", false, "measure little, in small pools, to try the command")
	fs.BoolVar(&o.Patient, "patient", false, "measure the pools of 4,096 and 10,000 members under losses up to 30 % as well, which takes half an hour more")
	fs.Uint64Var(&o.Seed, "seed", 0, "of all that is random")
	if err := fs.Parse(args); err != nil || fs.NArg() > 0 {
		return 2
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(75) // the pool of 10,000 holds some GiB
	}
	if err := plots.Run(o); err != nil {
		fmt.Fprintln(os.Stderr, "sim:", err)
		return 1
	}
	return 0
}
