package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"time"

	"concord/sim/mutants"
)

const plantUsage = `Usage: sim mutants [options]

  Plants known bugs into the source, one at a time, builds the simulator with each and looks for a seed that finds it. To be run
  in the repository. Exits with 0 if all were found, 1 if not.

      $ go run ./cmd/sim mutants -only=endless-lease,ack-before-disk
      $ go run ./cmd/sim mutants -write=docs/mutants.md
      $ go run ./cmd/sim mutants -list

Options:
`

// plant is the command mutants.
func plant(args []string) int {
	fs := flag.NewFlagSet("sim mutants", flag.ContinueOnError)
	fs.Usage = func() {
		fmt.Fprint(os.Stderr, plantUsage)
		fs.PrintDefaults()
	}
	only := fs.String("only", "", "names of mutants, with commas between them; empty: all")
	list := fs.Bool("list", false, "list them and stop")
	write := fs.String("write", "", "write the table to this file")
	h := mutants.Harness{Root: "."}
	fs.IntVar(&h.Seeds, "seeds", 1000, "most seeds for each")
	fs.DurationVar(&h.Duration, "duration", 3*time.Minute, "most time for each")
	fs.IntVar(&h.Parallel, "parallel", runtime.NumCPU(), "how many seeds at a time")
	if err := fs.Parse(args); err != nil {
		return 2
	}
	chosen, err := choose(*only)
	if err != nil {
		return complain(err)
	}
	if *list {
		for _, m := range chosen {
			fmt.Printf("%-28s %s\n", m.Name, m.What)
		}
		return 0
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	results, code := tryAll(ctx, h, chosen)
	if *write != "" {
		if err := os.WriteFile(*write, []byte(page(results)), 0o644); err != nil {
			return complain(err)
		}
	}
	return code
}

func choose(only string) ([]mutants.Mutant, error) {
	if only == "" {
		return mutants.All(), nil
	}
	var chosen []mutants.Mutant
	for _, name := range strings.Split(only, ",") {
		m, err := mutants.Find(name)
		if err != nil {
			return nil, err
		}
		chosen = append(chosen, m)
	}
	return chosen, nil
}

func tryAll(ctx context.Context, h mutants.Harness, chosen []mutants.Mutant) (results []mutants.Result, code int) {
	for i, m := range chosen {
		r, err := h.Try(ctx, m)
		if ctx.Err() != nil {
			return results, 2
		}
		if err != nil {
			code = complain(err)
			continue
		}
		results = append(results, r)
		found := fmt.Sprintf("found by %s with %s seed %d", r.Checker, r.Preset, r.Seed)
		if !r.Found {
			found, code = "NOT FOUND", 1
		}
		fmt.Printf("%2d/%d %-28s %s (%d seeds, %v) %.120s\n", i+1, len(chosen), m.Name, found, r.Seeds, r.Took.Truncate(time.Millisecond), r.Message)
	}
	return results, code
}

// page is docs/mutants.md.
func page(results []mutants.Result) string {
	missed := 0
	for _, r := range results {
		if !r.Found {
			missed++
		}
	}
	return fmt.Sprintf(`# Mutants

Bugs that were planted, one at a time, to see whether the simulator finds them (package `+"`sim/mutants`"+`; written by
`+"`go run ./cmd/sim mutants -write=docs/mutants.md`"+`). Seeds is how many runs it took, two of them at a time; the checker is the first
that fired. "core" is an assertion in the code itself, "recovery" a server that cannot start from its own disk, "liveness" a healed cluster
that does not come to rest. Bugs of gossip that whole nodes would hardly show are hunted in pools alone (`+"`cmd/sim gossip`"+`). %d mutants, %d not found.

Taken out again, because nobody could notice them: votes of servers that are not asked for any; appends of a leader of an earlier term
taken by a follower that knows none (the answer's term ends that leader); the result of an entry that took the place of a proposal
(leaders answer their proposals before they can be replaced); failures of long ago that are gossiped as news (who is about to be forgotten
is not met again, so nobody takes them in); a sync that is not tried again (the full one is, every minute); an evaluation cached after a change that it did
not see (impossible in one thread; TestCacheIsNeverBehind has it).

%s`, len(results), missed, mutants.Table(results))
}
