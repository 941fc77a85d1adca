package linearizability

import (
	_ "embed"
	"html/template"
	"io"
	"slices"
	"time"
)

// Span is something that lasted on a node, or between nodes: a fault, a term of leadership.
type Span struct {
	Lane       string // node or kind of fault
	Kind       string // "leader", "follower", "candidate", "pre-candidate"; anything else is a fault: "down", "paused", "partition", ...
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
	Counts  []count
	Lanes   chart
	Latency latencyChart
	Views   []keyView
	Left    int // keys that are not drawn
}

// count sums up a kind of operation.
type count struct {
	Kind                  string
	Done, Failed, Unknown int
	Median, P99, Slowest  time.Duration
}

// WriteHTML writes a page that needs nothing but itself: the verdict, counts and latencies of operations, lanes of
// nodes and faults over time, and keys with the order that explains their history, those without one first.
func (r *Report) WriteHTML(w io.Writer) error {
	all := r.History.All()
	_, end := bounds(all)
	for _, s := range r.Spans {
		end = max(end, s.End)
	}
	views, left, err := keyViews(r.History.Ops(), r.Spans)
	if err != nil {
		return err
	}
	return pageTemplate.Execute(w, pageData{Report: *r, Counts: counts(all), Lanes: lanesChart(r.Spans, end),
		Latency: newLatencyChart(all, r.Spans, end), Views: views, Left: left})
}

func counts(ops []Op) []count {
	var out []count
	for _, kind := range []Kind{Get, List, Put, CAS, Delete, DeleteTree, Txn} {
		c := count{Kind: kind.String()}
		var took []time.Duration
		for i := range ops {
			if ops[i].Kind != kind {
				continue
			}
			switch ops[i].Outcome {
			case Done:
				c.Done++
				took = append(took, ops[i].Return-ops[i].Call)
			case Failed:
				c.Failed++
			case Unknown:
				c.Unknown++
			}
		}
		if len(took) > 0 {
			slices.Sort(took)
			at := func(percent int) time.Duration {
				return took[min(len(took)-1, len(took)*percent/100)].Truncate(time.Microsecond)
			}
			c.Median, c.P99, c.Slowest = at(50), at(99), at(100)
		}
		out = append(out, c)
	}
	return out
}
