package linearizability

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// chart is a picture with time from left to right and a row for each node or client.
type chart struct {
	start, end time.Duration
	Width      int
	Height     int
	Rows       []row
	Bars       []bar
	Bands      []bar
	Ticks      []mark
}

type row struct {
	Name string
	Y    int
}

// bar is something that lasted. X and W are numbers as text: a short one makes a short page.
type bar struct {
	X, W  string
	Y     int
	Kind  string
	Label string
	Text  string
}

type mark struct {
	X, Text string
}

const (
	chartWidth = 1100
	chartLabel = 120
	rowHeight  = 20
	axisHeight = 22
)

func newChart(start, end time.Duration) chart {
	return chart{start: start, end: max(end, start+1), Width: chartWidth, Height: axisHeight}
}

func (c *chart) x(t time.Duration) float64 {
	t = min(max(t, c.start), c.end)
	return chartLabel + float64(t-c.start)/float64(c.end-c.start)*float64(chartWidth-chartLabel)
}

func number(x float64) string { return fmt.Sprintf("%.1f", x) }

func (c *chart) row(name string) {
	c.Rows = append(c.Rows, row{Name: name, Y: len(c.Rows) * rowHeight})
	c.Height = len(c.Rows)*rowHeight + axisHeight
}

func (c *chart) bar(row int, kind, label, text string, from, to time.Duration) {
	x := c.x(from)
	c.Bars = append(c.Bars, bar{X: number(x), W: number(max(2, c.x(to)-x)), Y: row * rowHeight, Kind: kind, Label: label, Text: text})
}

// roles are the kinds of spans that are no faults.
var roles = []string{"leader", "follower", "candidate", "pre-candidate"}

// bands shades, over all rows, the time of each fault.
func (c *chart) bands(spans []Span) {
	for _, s := range spans {
		if slices.Contains(roles, s.Kind) || s.End < c.start || s.Start > c.end {
			continue
		}
		x := c.x(s.Start)
		c.Bands = append(c.Bands, bar{X: number(x), W: number(max(1, c.x(s.End)-x)), Kind: s.Kind, Text: s.describe()})
	}
}

// ticks marks about ten round times.
func (c *chart) ticks() {
	step := time.Duration(math.Pow(10, math.Ceil(math.Log10(float64(c.end-c.start)/10))))
	for _, part := range []time.Duration{5, 2} {
		if (c.end-c.start)/(step/part+1) <= 12 {
			step /= part
			break
		}
	}
	step = max(1, step)
	for t := (c.start + step - 1) / step * step; t <= c.end; t += step {
		c.Ticks = append(c.Ticks, mark{X: number(c.x(t)), Text: t.String()})
	}
}

func (s *Span) describe() string {
	return fmt.Sprintf("%s: %s, %v to %v", s.Lane, s.Text, s.Start.Truncate(time.Millisecond), s.End.Truncate(time.Millisecond))
}

// lanesChart has a row for each lane: what each node was, and which faults there were.
func lanesChart(spans []Span, end time.Duration) chart {
	var names []string
	for _, s := range spans {
		if !slices.Contains(names, s.Lane) {
			names = append(names, s.Lane)
		}
	}
	slices.Sort(names)
	c := newChart(0, end)
	for _, name := range names {
		c.row(name)
	}
	c.bands(spans)
	// Faults are drawn over roles, since a node that is paused is still what it was.
	for _, faults := range []bool{false, true} {
		for _, s := range spans {
			if slices.Contains(roles, s.Kind) != faults {
				i, _ := slices.BinarySearch(names, s.Lane)
				c.bar(i, s.Kind, "", s.describe(), s.Start, s.End)
			}
		}
	}
	c.ticks()
	return c
}
