package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"concord/sim"
)

// reproFile is where a run that was made small is written.
const reproFile = "repro.json"

// replay runs what a repro file says.
func replay(f flags) int {
	data, err := os.ReadFile(f.repro)
	if err != nil {
		return complain(err)
	}
	r, err := sim.DecodeRepro(data)
	if err != nil {
		return complain(fmt.Errorf("%s: %w", f.repro, err))
	}
	fmt.Print(r)
	return runOne(f, r.Options)
}

func single(f flags) int {
	o, err := sim.Preset(f.preset, f.seed)
	if err != nil {
		return complain(err)
	}
	return runOne(f, o)
}

func runOne(f flags, o sim.Options) int {
	var log func(string, ...any)
	if !f.quiet {
		log = func(format string, args ...any) { fmt.Printf(format+"\n", args...) }
	}
	began := time.Now()
	r := sim.Run(o, log)
	took := time.Since(began)
	fmt.Printf("seed %d: trace %s, %d events, %v simulated in %v (%.0fx), %d writes, %d reads, %d unknown\n", o.Seed, r.Hash, r.Stats.Events,
		r.Stats.Simulated.Truncate(time.Millisecond), took.Truncate(time.Millisecond), r.Stats.Simulated.Seconds()/took.Seconds(), r.Stats.Writes, r.Stats.Reads, r.Stats.Unknown)
	if f.coverage {
		printCoverage(r.Stats.Coverage)
	}
	if r.Failure != nil {
		fmt.Println(r.Err())
	}
	if f.html != "" {
		if err := writeReport(&r, f.html); err != nil {
			return complain(err)
		}
	}
	if r.Failure != nil && f.repro == "" {
		shrink(f, r)
	}
	return exitCode(r.Failure)
}

// shrink makes a failing run small and writes it down.
func shrink(f flags, r sim.Report) {
	if f.shrink <= 0 {
		return
	}
	fmt.Printf("making it smaller, for at most %v\n", f.shrink)
	small := sim.Shrink(r, f.shrink, func(s string) { fmt.Println(" ", s) })
	data, err := json.MarshalIndent(small, "", "  ")
	if err == nil {
		err = os.WriteFile(reproFile, append(data, '\n'), 0o644)
	}
	if err != nil {
		complain(err)
		return
	}
	fmt.Printf("%vreplay: go run ./cmd/sim -repro=%s\n", small, reproFile)
}

func writeReport(r *sim.Report, path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := r.WriteHTML(f); err != nil {
		return err
	}
	fmt.Println("report:", path)
	return f.Close()
}

func printCoverage(c map[string]int) {
	for _, what := range slices.Sorted(maps.Keys(c)) {
		fmt.Printf("%10d  %s\n", c[what], what)
	}
}
