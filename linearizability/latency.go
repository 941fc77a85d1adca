package linearizability

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// latencyChart shows how long answers took, by when their operations began. Its height is a logarithm.
type latencyChart struct {
	chart
	Reads, Writes, Slowest string // points of a line each
	Missing                []bar  // when operations began that got no answer
	Levels                 []level
	Base                   int
}

type level struct {
	Y    string
	Text string
}

const (
	latencyHeight = 170
	latencyFloor  = 100 * time.Microsecond
	latencyTop    = 10 * time.Second
	latencySlots  = 160
)

func latencyY(d time.Duration) float64 {
	d = min(max(d, latencyFloor), latencyTop)
	return latencyHeight - 8 - math.Log(float64(d)/float64(latencyFloor))/math.Log(float64(latencyTop)/float64(latencyFloor))*(latencyHeight-16)
}

func newLatencyChart(ops []Op, spans []Span, end time.Duration) latencyChart {
	l := latencyChart{chart: newChart(0, end), Base: latencyHeight}
	l.Height = latencyHeight + axisHeight
	var reads, writes, all [latencySlots][]time.Duration
	for i := range ops {
		op := &ops[i]
		if op.Outcome != Done {
			x := l.x(op.Call)
			l.Missing = append(l.Missing, bar{X: number(x), Kind: op.Outcome.String()})
			continue
		}
		slot := min(latencySlots-1, int(float64(op.Call)/float64(l.end)*latencySlots))
		took := op.Return - op.Call
		all[slot] = append(all[slot], took)
		if op.Kind.Reads() {
			reads[slot] = append(reads[slot], took)
		} else {
			writes[slot] = append(writes[slot], took)
		}
	}
	l.Missing = slices.CompactFunc(l.Missing, func(a, b bar) bool { return a.X == b.X && a.Kind == b.Kind })
	median := func(took []time.Duration) time.Duration { return took[len(took)/2] }
	l.Reads, l.Writes = l.line(reads[:], median), l.line(writes[:], median)
	l.Slowest = l.line(all[:], func(took []time.Duration) time.Duration { return took[len(took)-1] })
	for d := latencyFloor; d <= latencyTop; d *= 10 {
		l.Levels = append(l.Levels, level{number(latencyY(d)), d.String()})
	}
	l.bands(spans)
	l.ticks()
	return l
}

// line is an SVG path with a gap where nothing was answered.
func (l *latencyChart) line(slots [][]time.Duration, of func(sorted []time.Duration) time.Duration) string {
	var b strings.Builder
	pen := "M"
	for i, took := range slots {
		if len(took) == 0 {
			pen = "M"
			continue
		}
		slices.Sort(took)
		x := l.x(l.end / latencySlots * time.Duration(i))
		fmt.Fprintf(&b, "%s%s %sh%s", pen, number(x), number(latencyY(of(took))), number((chartWidth-chartLabel)/float64(latencySlots)))
		pen = "L"
	}
	return b.String()
}
