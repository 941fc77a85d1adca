// Package mutants proves that the simulator's checkers notice bugs: each mutant is a known bug, as a change of a few words of the
// product's source. The source itself is never touched: the go command builds the simulator with the changed file
// laid over the original (go build -overlay), and nothing of a mutant can be reached in the product.
package mutants

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Mutant is a bug to plant.
type Mutant struct {
	Name string
	What string // the bug, in a sentence
	File string // in the repository
	Old  string // what is there once in the file
	New  string // what is put in its place
	// Preset is where it is looked for: one of cmd/sim, or Pools; empty: where all are.
	Preset string
}

// Source returns the mutant's version of its file below root. It fails if what the mutant changes is not there exactly
// once.
func (m Mutant) Source(root string) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(root, m.File))
	if err != nil {
		return nil, err
	}
	if n := strings.Count(string(data), m.Old); n != 1 {
		return nil, fmt.Errorf("mutant %s: %d places in %s look like what it changes; it must be one: %q", m.Name, n, m.File, m.Old)
	}
	return []byte(strings.Replace(string(data), m.Old, m.New, 1)), nil
}

// Result is what became of a mutant.
type Result struct {
	Mutant  Mutant
	Found   bool
	Seeds   int    // how many were run until it was found
	Preset  string // and seed, that found it
	Seed    uint64
	Checker string // that fired
	Message string
	Took    time.Duration // without building
}

// Harness builds mutants and runs seeds against them.
type Harness struct {
	Root     string // of the repository
	Seeds    int    // most seeds for each
	Duration time.Duration
	Parallel int
}

// Try builds a mutant and looks for the first seed that finds it.
func (h Harness) Try(ctx context.Context, m Mutant) (Result, error) {
	dir, err := os.MkdirTemp("", "mutant")
	if err != nil {
		return Result{}, err
	}
	defer os.RemoveAll(dir)
	bin := filepath.Join(dir, "sim")
	if err := h.build(ctx, m, dir, bin); err != nil {
		return Result{}, fmt.Errorf("mutant %s does not build: %w", m.Name, err)
	}
	r := Result{Mutant: m}
	for _, preset := range m.presets() {
		if err := h.run(ctx, bin, preset, &r); err != nil || r.Found {
			return r, err
		}
	}
	return r, nil
}

// Pools stands for the simulator of pools (sim/pool) among the presets of the other one.
const Pools = "pools"

// presets are where a mutant is looked for, one after the other.
func (m Mutant) presets() []string {
	if m.Preset != "" {
		return []string{m.Preset}
	}
	return []string{"swarm", "torture"}
}

// arguments are those of cmd/sim for a preset.
func arguments(preset string) []string {
	if preset == Pools {
		return []string{"gossip", "-first"}
	}
	return []string{"-first", "-shrink=0", "-preset=" + preset}
}

// run runs seeds of a preset until one fails.
func (h Harness) run(ctx context.Context, bin, preset string, r *Result) error {
	ctx, cancel := context.WithTimeout(ctx, h.Duration+time.Minute)
	defer cancel()
	began := time.Now()
	cmd := exec.CommandContext(ctx, bin, append(arguments(preset), "-seeds="+strconv.Itoa(h.Seeds),
		"-parallel="+strconv.Itoa(h.Parallel), "-duration="+h.Duration.String())...)
	out, err := cmd.CombinedOutput()
	r.Took += time.Since(began)
	if ctx.Err() != nil {
		r.Seeds += h.Seeds // it hung, or was too slow: that is no finding
		return nil
	}
	r.Preset = preset
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return err
	}
	before := r.Seeds
	r.read(string(out))
	r.Seeds += before
	if err != nil && !r.Found { // it broke the process, or hung: nobody needs a checker to see that
		r.Found, r.Checker, r.Message = true, "crash", lastLine(string(out))
	}
	return nil
}

func (h Harness) build(ctx context.Context, m Mutant, dir, bin string) error {
	source, err := m.Source(h.Root)
	if err != nil {
		return err
	}
	changed, overlay := filepath.Join(dir, "changed.go"), filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(changed, source, 0o600); err != nil {
		return err
	}
	root, err := filepath.Abs(h.Root)
	if err != nil {
		return err
	}
	data, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(root, m.File): changed}})
	if err != nil {
		return err
	}
	if err := os.WriteFile(overlay, data, 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, "-o", bin, "./cmd/sim")
	cmd.Dir = h.Root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

var (
	violated = regexp.MustCompile(`^(.+) violated at \S+ of seed (\d+): (.*)$`)
	seedsRun = regexp.MustCompile(`^(\d+) seeds,`)
)

// read takes from what cmd/sim printed which seed found the mutant.
func (r *Result) read(out string) {
	lines := bufio.NewScanner(strings.NewReader(out))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if v := violated.FindStringSubmatch(lines.Text()); v != nil && !r.Found {
			r.Found, r.Checker, r.Message = true, v[1], v[3]
			r.Seed, _ = strconv.ParseUint(v[2], 10, 64)
		}
		if v := seedsRun.FindStringSubmatch(lines.Text()); v != nil {
			r.Seeds, _ = strconv.Atoi(v[1])
		}
	}
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	for _, l := range lines {
		if strings.HasPrefix(l, "panic:") || strings.HasPrefix(l, "fatal error:") {
			return l
		}
	}
	return lines[len(lines)-1]
}
