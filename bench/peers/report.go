package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// key names a row of the table.
type key struct {
	shape
	system string
}

// results are the cells of all rounds, in the order in which their keys came first.
type results struct {
	order []key
	cells map[key][]cell
}

func newResults() *results { return &results{cells: map[key][]cell{}} }

func (r *results) add(k key, c cell) {
	if _, known := r.cells[k]; !known {
		r.order = append(r.order, k)
	}
	r.cells[k] = append(r.cells[k], c)
}

// row is the medians of a key's cells.
type row struct {
	System    string  `json:"system"`
	Nodes     int     `json:"nodes"`
	Proposers int     `json:"proposers"`
	Rate      float64 `json:"commits_per_s"`
	RateMin   float64 `json:"commits_per_s_min"`
	RateMax   float64 `json:"commits_per_s_max"`
	P50       float64 `json:"p50_us"`
	P99       float64 `json:"p99_us"`
	Allocs    float64 `json:"allocs_per_commit"`
	Bytes     float64 `json:"bytes_per_commit"`
	CPU       float64 `json:"cpu_us_per_commit"`
	Errors    uint64  `json:"errors,omitempty"`
	// Ratio is the median over the rounds of Concord's rate divided by this system's, both of the same round; 0: Concord was not measured.
	Ratio float64 `json:"concord_is_faster_by,omitempty"`
}

func (r *results) rows() []row {
	keys := slices.Clone(r.order)
	slices.SortStableFunc(keys, func(a, b key) int {
		if a.nodes != b.nodes {
			return a.nodes - b.nodes
		}
		return a.proposers - b.proposers
	})
	var out []row
	for _, k := range keys {
		cells := r.cells[k]
		w := row{System: k.system, Nodes: k.nodes, Proposers: k.proposers, RateMin: math.Inf(1)}
		for _, c := range cells {
			w.RateMin, w.RateMax = min(w.RateMin, c.rate), max(w.RateMax, c.rate)
			w.Errors += c.errors
		}
		w.Rate = median(cells, func(c cell) float64 { return c.rate })
		w.P50 = median(cells, func(c cell) float64 { return micros(c.p50) })
		w.P99 = median(cells, func(c cell) float64 { return micros(c.p99) })
		w.Allocs = median(cells, func(c cell) float64 { return c.allocs })
		w.Bytes = median(cells, func(c cell) float64 { return c.bytes })
		w.CPU = median(cells, func(c cell) float64 { return micros(c.cpu) })
		w.Ratio = r.ratio(k)
		out = append(out, w)
	}
	return out
}

// ratio compares round by round, so that what disturbs the machine for a while disturbs both.
func (r *results) ratio(k key) float64 {
	own := r.cells[key{k.shape, "concord"}]
	var ratios []float64
	for i, c := range r.cells[k] {
		if i < len(own) {
			ratios = append(ratios, own[i].rate/c.rate)
		}
	}
	return median(ratios, func(x float64) float64 { return x })
}

func median[T any](items []T, value func(T) float64) float64 {
	if len(items) == 0 {
		return 0
	}
	values := make([]float64, len(items))
	for i, item := range items {
		values[i] = value(item)
	}
	slices.Sort(values)
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func (r *results) print(out io.Writer) {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	head := "nodes\tproposers\tsystem\tcommits/s\tmin\tmax\tconcord/it\tp50 µs\tp99 µs\tallocs/commit\tbytes/commit\tCPU µs/commit\terrors\t"
	fmt.Fprintln(t, head)
	group := shape{}
	for _, w := range r.rows() {
		g := shape{w.Nodes, w.Proposers}
		if group != g && group != (shape{}) {
			fmt.Fprintln(t, strings.Repeat("\t", strings.Count(head, "\t")))
		}
		group = g
		ratio := "-"
		if w.Ratio != 0 {
			ratio = fmt.Sprintf("%.2f", w.Ratio)
		}
		fmt.Fprintf(t, "%d\t%d\t%s\t%.0f\t%.0f\t%.0f\t%s\t%.0f\t%.0f\t%.1f\t%.0f\t%.1f\t%d\t\n", w.Nodes, w.Proposers, w.System,
			w.Rate, w.RateMin, w.RateMax, ratio, w.P50, w.P99, w.Allocs, w.Bytes, w.CPU, w.Errors)
	}
	t.Flush()
	if r.busy() {
		fmt.Fprintln(out, "\nThe machine was busy: bare fsyncs took very different times. Measure again when it is quiet.")
	}
}

// busy tells whether something else had the disk or the cores: undisturbed, the p99 of a bare fsync is about twice its p50.
func (r *results) busy() bool {
	return slices.ContainsFunc(r.rows(), func(w row) bool { return strings.HasPrefix(w.System, "fsync-") && w.P99 > 5*w.P50 })
}

// append adds a line to the history of measurements.
func (r *results) append(path, commit string, o options) error {
	line, err := json.Marshal(map[string]any{
		"benchmark": "peers", "at": time.Now().UTC().Format(time.RFC3339), "commit": commit, "machine": machine(),
		"rounds": o.rounds, "seconds": o.length.Seconds(), "warm_seconds": o.warm.Seconds(), "command_bytes": len(command), "busy": r.busy(), "rows": r.rows(),
	})
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Write(append(line, '\n'))
	return err
}

// about is what a line of the history says of when and where it was measured.
func about() map[string]any {
	return map[string]any{"at": time.Now().UTC().Format(time.RFC3339), "commit": commit(), "machine": machine()}
}

// commit is the commit that is checked out, with "+" if files differ from it; empty without git.
func commit() string {
	head, err := exec.Command("git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return ""
	}
	changed, err := exec.Command("git", "status", "--porcelain", "--untracked-files=no", ":/", ":(exclude,top)bench/history.jsonl").Output()
	if err != nil || len(changed) > 0 {
		return strings.TrimSpace(string(head)) + "+"
	}
	return strings.TrimSpace(string(head))
}

func machine() map[string]any {
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	version, _, _ := strings.Cut(strings.TrimSpace(string(kernel)), "-") // without the build's name
	m := map[string]any{"cores": runtime.NumCPU(), "kernel": version, "go": runtime.Version()}
	cpus, _ := os.ReadFile("/proc/cpuinfo")
	for line := range bytes.Lines(cpus) {
		if name, value, ok := strings.Cut(string(line), ":"); ok && strings.TrimSpace(name) == "model name" {
			m["cpu"] = strings.TrimSpace(value)
			break
		}
	}
	return m
}
