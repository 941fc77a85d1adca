package linearizability

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// Span is something that lasted on a node, or between nodes: a fault, a term of leadership.
type Span struct {
	Lane       string // node or kind of fault
	Kind       string // "leader", "down", "paused", "partition", ...
	Text       string
	Start, End time.Duration
}

// Report is what a run's page shows.
type Report struct {
	Title   string
	Replay  string // the command that shows the run again
	Verdict error  // nil: linearizable
	History *History
	Spans   []Span
	Facts   [][2]string // name and value of what else is worth knowing
}

//go:embed report.html
var page string

var pageTemplate = template.Must(template.New("report").Parse(page))

// pageData is what the template reads.
type pageData struct {
	Report
	Counts []count
	Lanes  []lane
	Width  int
	Height int
	Ticks  []tick
	Points []point
	Keys   []keyView
}

type count struct {
	Kind                  string
	Done, Failed, Unknown int
	Median, Slowest       time.Duration
}

type lane struct {
	Name string
	Y    int
	Bars []bar
}

type bar struct {
	X, W float64
	Kind string
	Text string
}

type tick struct {
	X    float64
	Text string
}

type point struct {
	X, Y float64
	Kind string
	Text string
}

type keyView struct {
	Key   string
	Count int
	HTML  string
}

const (
	chartWidth  = 1100
	chartLabel  = 110
	laneHeight  = 22
	pointHeight = 160
)

// WriteHTML writes a page that needs nothing but itself: verdict, counts and latencies of operations, lanes of
// nodes and faults over time, and for each key Porcupine's view of the history.
func (r *Report) WriteHTML(w io.Writer) error {
	all := r.History.All()
	end := time.Second
	for _, op := range all {
		if op.Outcome != Unknown {
			end = max(end, op.Return)
		}
	}
	for _, s := range r.Spans {
		end = max(end, s.End)
	}
	scale := func(t time.Duration) float64 {
		return chartLabel + float64(t)/float64(end)*float64(chartWidth-chartLabel)
	}
	d := pageData{Report: *r, Counts: counts(all), Width: chartWidth, Lanes: lanes(r.Spans, scale), Points: points(all, scale)}
	d.Height = len(d.Lanes)*laneHeight + 30
	for i := range 11 {
		t := end / 10 * time.Duration(i)
		d.Ticks = append(d.Ticks, tick{scale(t), fmt.Sprintf("%.1fs", t.Seconds())})
	}
	views, err := keyViews(r.History.Ops(), r.Spans)
	if err != nil {
		return err
	}
	d.Keys = views
	return pageTemplate.Execute(w, d)
}

func counts(ops []Op) []count {
	var out []count
	for _, kind := range []Kind{Get, List, Put, CAS, Delete, DeleteTree} {
		c := count{Kind: kind.String()}
		var took []time.Duration
		for _, op := range ops {
			if op.Kind != kind {
				continue
			}
			switch op.Outcome {
			case Done:
				c.Done++
				took = append(took, op.Return-op.Call)
			case Failed:
				c.Failed++
			case Unknown:
				c.Unknown++
			}
		}
		if len(took) > 0 {
			slices.Sort(took)
			c.Median, c.Slowest = took[len(took)/2].Truncate(time.Microsecond), took[len(took)-1].Truncate(time.Microsecond)
		}
		out = append(out, c)
	}
	return out
}

func lanes(spans []Span, scale func(time.Duration) float64) []lane {
	var names []string
	for _, s := range spans {
		if !slices.Contains(names, s.Lane) {
			names = append(names, s.Lane)
		}
	}
	slices.Sort(names)
	var out []lane
	for i, name := range names {
		l := lane{Name: name, Y: i * laneHeight}
		for _, s := range spans {
			if s.Lane == name {
				x := scale(s.Start)
				l.Bars = append(l.Bars, bar{X: x, W: max(1.5, scale(s.End)-x), Kind: s.Kind,
					Text: fmt.Sprintf("%s %s, %v to %v", s.Lane, s.Text, s.Start.Truncate(time.Millisecond), s.End.Truncate(time.Millisecond))})
			}
		}
		out = append(out, l)
	}
	return out
}

func points(ops []Op, scale func(time.Duration) float64) []point {
	slowest := time.Millisecond
	for _, op := range ops {
		if op.Outcome == Done {
			slowest = max(slowest, op.Return-op.Call)
		}
	}
	var out []point
	for i := range ops {
		op := &ops[i]
		p := point{X: scale(op.Call), Y: 4, Kind: "unknown", Text: op.describe()}
		if op.Outcome == Done {
			p.Kind = "write"
			if op.Kind.Reads() {
				p.Kind = "read"
			}
			p.Y = pointHeight - 4 - float64(op.Return-op.Call)/float64(slowest)*(pointHeight-12)
		}
		out = append(out, p)
	}
	return out
}

// keyViews lets Porcupine draw each key, with the spans as annotations.
func keyViews(ops []Op, spans []Span) ([]keyView, error) {
	var notes []porcupine.Annotation
	for _, s := range spans {
		notes = append(notes, porcupine.Annotation{Tag: s.Lane, Start: int64(s.Start), End: int64(s.End), Description: s.Kind, Details: s.Text})
	}
	var out []keyView
	for _, key := range keys(ops) {
		part := project(ops, key)
		end := time.Duration(0)
		for _, op := range part {
			if op.Return != forever {
				end = max(end, op.Return)
			}
		}
		drawn := operations(part)
		for i := range drawn {
			drawn[i].Return = min(drawn[i].Return, int64(end+time.Second)) // an axis to the end of time shows nothing
		}
		_, info := porcupine.CheckOperationsVerbose(blackBox, drawn, 10*time.Second)
		info.AddAnnotations(notes)
		var b bytes.Buffer
		if err := porcupine.Visualize(blackBox, info, &b); err != nil {
			return nil, fmt.Errorf("draw key %s: %w", key, err)
		}
		out = append(out, keyView{Key: key, Count: len(part), HTML: b.String()})
	}
	slices.SortFunc(out, func(a, b keyView) int { return strings.Compare(a.Key, b.Key) })
	return out, nil
}
