// Package members measures Concord's gossip against hashicorp/memberlist: all members of a pool in this process, on loopback,
// with the same timing.
package members

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

const help = `peers members measures Concord's gossip, through gossip/runner, against hashicorp/memberlist: pools of members in one
process on 127.0.0.1, both with the timing for a LAN. The two take turns in every round; the table shows medians over the
rounds, and ratios.

Each measurement has a process of its own. It forms a pool, every member joining through a random earlier one; then it watches the pool at rest, kills members
one at a time (their sockets are closed, they do not leave), and at last starves the pool of processor time.

Examples:
  go run . members                                   everything: about two hours
  go run . members -rounds 1 -sizes 16 -kills 1 -rest 5s -busy 0
  go run . members -rounds 3 -kills 3 -rest 30s -busy 0
  go run . members -rounds 1 -kills 0 -rest 0 -busy 60s -burners 256
  go run . members -only concord -sizes 128 -rounds 1 -kills 0 -rest 30s -busy 0 -profile cpu.pb

Flags:
`

// options are what is to be measured.
type options struct {
	rounds, kills, burners int
	rest, busy             time.Duration
	sizes                  []int
	systems                []system
	json, coordinates      bool
	seed                   int64 // of the choices in a cell
	history, profile       string
}

// system is what takes part: a name and how a member of it is started.
type system struct {
	name  string
	start func(o options, name string, r *recorder) (member, error)
}

var systems = []system{{"memberlist", startMemberlist}, {"concord", startConcord}}

// Run is the subcommand. about describes commit and machine in the line that -json adds to the history.
func Run(args []string, about func() map[string]any) error {
	if len(args) > 0 && args[0] == burnCommand {
		return burn(args[1:])
	}
	if len(args) > 0 && args[0] == cellCommand {
		return runCell(args[1:])
	}
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	results, measured := &results{}, about()
	for round := range o.rounds {
		for _, size := range o.sizes {
			for _, s := range o.systems {
				c, err := measureApart(o, s, size, round)
				if err != nil {
					return fmt.Errorf("%s with %d members: %w", s.name, size, err)
				}
				fmt.Fprintf(os.Stderr, "round %d/%d  %s\n", round+1, o.rounds, c)
				results.add(c)
			}
		}
	}
	results.print(os.Stdout)
	if o.json {
		return results.append(o.history, measured, o)
	}
	return nil
}

func parse(args []string) (options, error) {
	o := options{}
	fs := flag.NewFlagSet("members", flag.ContinueOnError)
	fs.Usage = func() {
		fmt.Fprint(fs.Output(), help)
		fs.PrintDefaults()
	}
	fs.IntVar(&o.rounds, "rounds", 3, "how often everything is measured; medians count")
	fs.IntVar(&o.kills, "kills", 3, "members killed in each measurement, one after the other")
	fs.DurationVar(&o.rest, "rest", 30*time.Second, "how long a pool is watched at rest; 0: not")
	fs.DurationVar(&o.busy, "busy", time.Minute, "how long a pool is starved of processor time; 0: not")
	fs.IntVar(&o.burners, "burners", 64, "threads that compete for the processors meanwhile")
	sizes := fs.String("sizes", "16,64,128", "members of the pools, a list")
	only := fs.String("only", "", "concord or memberlist (default both)")
	fs.BoolVar(&o.coordinates, "coordinates", false, "let Concord's members keep network coordinates, as agents do and memberlist does not")
	fs.StringVar(&o.profile, "profile", "", "write a CPU profile of the pool measured last, at rest, to this file")
	fs.Int64Var(&o.seed, "seed", 0, "where the choices of whom to join and to kill begin; each round has the next one")
	fs.BoolVar(&o.json, "json", false, "add the figures to the history as a line of JSON")
	fs.StringVar(&o.history, "history", "../history.jsonl", "the file for -json")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	var problems []error
	for _, s := range strings.Split(*sizes, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil || n < 2 || n > 1024 || n <= o.kills {
			problems = append(problems, fmt.Errorf("-sizes: %q is not a number from 2 to 1024 and above -kills", s))
		}
		o.sizes = append(o.sizes, n)
	}
	for _, s := range systems {
		if *only == "" || *only == s.name {
			o.systems = append(o.systems, s)
		}
	}
	if len(o.systems) == 0 {
		problems = append(problems, fmt.Errorf("-only: %q is neither concord nor memberlist", *only))
	}
	if o.rounds < 1 || o.kills < 0 || o.rest < 0 || o.busy < 0 || o.burners < 1 || fs.NArg() > 0 {
		problems = append(problems, errors.New("-rounds and -burners must be positive, the others not negative, and there are no arguments besides flags; see -help"))
	}
	return o, errors.Join(problems...)
}
