package linearizability

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// keyView shows the operations on one key, or on all keys of a window, and the order that explains them, or how far there is one.
type keyView struct {
	Title     string
	Failing   bool
	Sentence  string
	Chart     chart
	Steps     []orderStep
	Porcupine string // its own page, for failing keys
}

// orderStep is a line of the order that was found.
type orderStep struct {
	Number  int
	Op      string
	Node    string
	After   string
	Blocked bool
}

const (
	maxViews     = 12  // of keys at which nothing is wrong
	maxFailing   = 12  // of keys at which something is
	maxDrawn     = 120 // operations of a key
	maxSteps     = 20  // lines of the order before the operation that does not fit
	drawnBefore  = 40  // operations drawn before one that does not fit
	drawnAfter   = 20  // and after it
	viewTimeout  = 10 * time.Second
	viewWindow   = 50 // operations over all keys, as BlackBox is usually given
	maxViewedOps = 4000
)

// keyViews are the keys that are not linearizable, the windows over all keys that are not, and a few at which nothing is wrong.
func keyViews(ops []Op, spans []Span) (views []keyView, left int, err error) {
	var fine []keyView
	failing := 0
	for _, key := range keys(ops) {
		part := project(ops, key)
		if len(fine) >= maxViews && check(key, blackBox, part, viewTimeout) == nil || failing >= maxFailing {
			left++
			continue
		}
		v, err := drawPart("key "+key, part, spans)
		if err != nil {
			return nil, 0, err
		}
		if v.Failing {
			failing++
			views = append(views, v)
		} else {
			fine = append(fine, v)
		}
	}
	for _, g := range Groups(ops) {
		for _, part := range windows(g.Ops, viewWindow) {
			if failing >= maxFailing || check("window", blackBox, part, viewTimeout) == nil {
				continue
			}
			v, err := drawPart("all keys "+g.Prefix, part, spans)
			if err != nil {
				return nil, 0, err
			}
			failing++
			views = append(views, v)
		}
	}
	return append(views, fine...), left, nil
}

func drawPart(title string, ops []Op, spans []Span) (keyView, error) {
	if len(ops) > maxViewedOps {
		ops = closed(ops[:maxViewedOps], ops[maxViewedOps].Call)
		title += fmt.Sprintf(" (its first %d operations)", maxViewedOps)
	}
	f, info := search(blackBox, ops, viewTimeout)
	v := keyView{Title: fmt.Sprintf("%s: %d operations", title, len(ops)), Failing: !f.ok}
	v.Sentence = "An order explains every answer. The numbers are the places in it."
	if !f.ok {
		v.Sentence = fmt.Sprintf("No order explains every answer. The longest that was found has %d operations.", len(f.order))
		if f.blocked >= 0 {
			v.Sentence += " Then this one, drawn in red, had to come, for it ended before the others that are left, but it does not fit: " + ops[f.blocked].describe() + "."
		}
		v.Steps = steps(ops, f)
		page, err := porcupinePage(info, spans)
		if err != nil {
			return v, fmt.Errorf("draw %s: %w", title, err)
		}
		v.Porcupine = page
	}
	v.Chart = opsChart(ops, f, spans)
	return v, nil
}

func porcupinePage(info porcupine.LinearizationInfo, spans []Span) (string, error) {
	var notes []porcupine.Annotation
	for _, s := range spans {
		notes = append(notes, porcupine.Annotation{Tag: s.Lane, Start: int64(s.Start), End: int64(s.End), Description: s.Kind, Details: s.Text})
	}
	info.AddAnnotations(notes)
	var b bytes.Buffer
	err := porcupine.Visualize(blackBox, info, &b)
	return b.String(), err
}

// steps replays the end of the order that was found, and adds what does not fit.
func steps(ops []Op, f found) []orderStep {
	var out []orderStep
	var s state
	for n, i := range f.order {
		s, _ = s.step(&ops[i])
		out = append(out, orderStep{Number: n + 1, Op: ops[i].describe(), Node: ops[i].Node, After: fmt.Sprint(s.below(""))})
	}
	out = out[max(0, len(out)-maxSteps):]
	if f.blocked >= 0 {
		out = append(out, orderStep{Op: ops[f.blocked].describe(), Node: ops[f.blocked].Node, After: "does not fit", Blocked: true})
	}
	return out
}

// opsChart draws a row for each client. Of many operations it draws those around the one that does not fit, or the first.
func opsChart(ops []Op, f found, spans []Span) chart {
	place := map[int]int{}
	for n, i := range f.order {
		place[i] = n + 1
	}
	from, to := 0, min(len(ops), maxDrawn)
	if f.blocked >= 0 {
		from, to = max(0, f.blocked-drawnBefore), min(len(ops), f.blocked+drawnAfter)
	}
	shown := ops[from:to]
	var clients []int
	for i := range shown {
		if !slices.Contains(clients, shown[i].Client) {
			clients = append(clients, shown[i].Client)
		}
	}
	slices.Sort(clients)
	first, last := bounds(shown)
	c := newChart(first, last+(last-first)/50+1)
	for _, id := range clients {
		c.row(fmt.Sprintf("client %d", id))
	}
	for i := range shown {
		op := &shown[i]
		row, _ := slices.BinarySearchFunc(clients, op.Client, func(a, b int) int { return cmp.Compare(a, b) })
		kind, label := "read", ""
		switch {
		case from+i == f.blocked:
			kind = "misfit"
		case op.Outcome == Unknown:
			kind = "open"
		case !op.Kind.Reads():
			kind = "write"
		}
		if n, ok := place[from+i]; ok {
			label = fmt.Sprint(n)
		}
		c.bar(row, kind, label, op.describe(), op.Call, min(op.Return, c.end))
	}
	c.bands(spans)
	c.ticks()
	return c
}
