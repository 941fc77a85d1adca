package members

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"
)

// results are the cells of all rounds.
type results struct {
	sizes []int
	cells map[int]map[string][]cell // by size and system
}

func (r *results) add(c cell) {
	size, system := c.Size, c.System
	if r.cells == nil {
		r.cells = map[int]map[string][]cell{}
	}
	if r.cells[size] == nil {
		r.cells[size] = map[string][]cell{}
		r.sizes = append(r.sizes, size)
	}
	r.cells[size][system] = append(r.cells[size][system], c)
}

// measureOf is a row of the table.
type measureOf struct {
	name, key string
	format    string
	values    func(c cell) []float64 // more than one: each counts for the median; none: not measured
}

func one(x float64) []float64 { return []float64{x} }

// atRest are the values of what is only measured at rest.
func atRest(f func(c cell) float64) func(cell) []float64 {
	return func(c cell) []float64 {
		if c.Goroutines == 0 {
			return nil
		}
		return one(f(c))
	}
}

// starved are the values of what is only measured under starvation.
func starved(f func(c cell) int) func(cell) []float64 {
	return func(c cell) []float64 {
		if !c.Starved {
			return nil
		}
		return one(float64(f(c)))
	}
}

var measures = []measureOf{
	{"killed until all others know, ms", "all_know_ms", "%.0f", func(c cell) []float64 { return millis(c.Kills) }},
	{"killed until the first other knows, ms", "first_knows_ms", "%.0f", func(c cell) []float64 { return millis(c.First) }},
	{"members falsely declared failed while starved", "false_victims", "%.0f", starved(func(c cell) int { return c.FalseVictims })},
	{"false declarations while starved, all members'", "false_declarations", "%.0f", starved(func(c cell) int { return c.Falsely })},
	{"members falsely declared failed at rest", "false_at_rest", "%.0f", func(c cell) []float64 { return one(float64(c.FalseAtRest)) }},
	{"datagrams per member and s", "datagrams", "%.2f", atRest(func(c cell) float64 { return c.Sent.Datagrams })},
	{"bytes in datagrams per member and s", "datagram_bytes", "%.1f", atRest(func(c cell) float64 { return c.Sent.Bytes })},
	{"connections per member and s", "streams", "%.4f", atRest(func(c cell) float64 { return c.Sent.Streams })},
	{"bytes over connections per member and s", "stream_bytes", "%.1f", atRest(func(c cell) float64 { return c.Sent.StreamBytes })},
	{"heap and stacks per member, KiB", "memory_kib", "%.1f", atRest(func(c cell) float64 { return c.Memory / 1024 })},
	{"goroutines per member", "goroutines", "%.2f", atRest(func(c cell) float64 { return c.Goroutines })},
	{"processor time per member and s at rest, µs", "cpu_us", "%.0f", atRest(func(c cell) float64 { return c.CPU })},
	{"first start until all know all, ms (at most 10 s)", "formed_ms", "%.0f", func(c cell) []float64 { return millis([]time.Duration{c.Formed}) }},
	{"members that miss somebody after 10 s", "holes", "%.0f", func(c cell) []float64 { return one(float64(c.Holes)) }},
}

func millis(ds []time.Duration) (out []float64) {
	for _, d := range ds {
		out = append(out, float64(d)/float64(time.Millisecond))
	}
	return out
}

// values are all that was measured of a row for one system.
func (m *measureOf) all(cells []cell) (out []float64) {
	for _, c := range cells {
		out = append(out, m.values(c)...)
	}
	return out
}

func median(values []float64) float64 {
	values = slices.Sorted(slices.Values(values))
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}

// row is a line of the table as the history keeps it. A system that was not measured is missing.
type row struct {
	Measure string              `json:"measure"`
	Members int                 `json:"members"`
	Median  map[string]float64  `json:"median"`
	Range   map[string][]string `json:"range"`
	// Ratio is Concord's median divided by memberlist's; missing where that is zero.
	Ratio float64 `json:"ratio,omitempty"`
}

func (r *results) rows() (out []row) {
	for _, m := range measures {
		for _, size := range r.sizes {
			w := row{Measure: m.key, Members: size, Median: map[string]float64{}, Range: map[string][]string{}}
			for system, cells := range r.cells[size] {
				if values := m.all(cells); len(values) > 0 {
					w.Median[system] = median(values)
					w.Range[system] = []string{fmt.Sprintf(m.format, slices.Min(values)), fmt.Sprintf(m.format, slices.Max(values))}
				}
			}
			if w.Median["memberlist"] > 0 {
				w.Ratio = w.Median["concord"] / w.Median["memberlist"]
			}
			if len(w.Median) > 0 {
				out = append(out, w)
			}
		}
	}
	return out
}

// print writes a table in Markdown.
func (r *results) print(out io.Writer) {
	fmt.Fprintln(out, "| | members | memberlist (least - most) | Concord (least - most) | Concord / memberlist |\n|---|---|---|---|---|")
	for _, w := range r.rows() {
		i := slices.IndexFunc(measures, func(m measureOf) bool { return m.key == w.Measure })
		text := func(system string) string {
			v, ok := w.Median[system]
			if !ok {
				return "-"
			}
			return fmt.Sprintf(measures[i].format+" (%s - %s)", v, w.Range[system][0], w.Range[system][1])
		}
		ratio := "-"
		if w.Ratio != 0 {
			ratio = fmt.Sprintf("%.2f", w.Ratio)
		}
		fmt.Fprintf(out, "| %s | %d | %s | %s | %s |\n", measures[i].name, w.Members, text("memberlist"), text("concord"), ratio)
	}
	r.printUnnoticed(out)
}

// printUnnoticed tells of deaths that some member had not learned of when the measurement was given up.
func (r *results) printUnnoticed(out io.Writer) {
	for _, size := range r.sizes {
		for _, system := range slices.Sorted(maps.Keys(r.cells[size])) {
			n := 0
			for _, c := range r.cells[size][system] {
				n += c.Unnoticed
			}
			if n > 0 {
				fmt.Fprintf(out, "\n%s with %d members: %d deaths were not known to all after %v, and count as that.\n", system, size, n, killLimit)
			}
		}
	}
}

// append adds a line to the history of measurements.
func (r *results) append(path string, about map[string]any, o options) error {
	line := maps.Clone(about)
	maps.Copy(line, map[string]any{"benchmark": "members", "rounds": o.rounds, "kills": o.kills, "rest_s": o.rest.Seconds(),
		"busy_s": o.busy.Seconds(), "burners": o.burners, "coordinates": o.coordinates, "rows": r.rows()})
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	return errors.Join(err, f.Close())
}

// String is the line that tells of the progress.
func (c cell) String() string {
	text := fmt.Sprintf("members %4d  %-10s  formed %v, %d with holes", c.Size, c.System, c.Formed.Round(time.Millisecond), c.Holes)
	if c.Goroutines > 0 {
		text += fmt.Sprintf("; at rest %.2f datagrams/s, %.1f B/s, %.0f µs/s, %.1f KiB, %.2f goroutines", c.Sent.Datagrams, c.Sent.Bytes, c.CPU, c.Memory/1024, c.Goroutines)
	}
	if len(c.Kills) > 0 {
		text += fmt.Sprintf("; all know after %.0f ms", millis(c.Kills))
	}
	if c.FalseAtRest > 0 {
		text += fmt.Sprintf("; %d falsely failed", c.FalseAtRest)
	}
	if c.Starved {
		text += fmt.Sprintf("; %d falsely failed while starved", c.FalseVictims)
	}
	return text
}
