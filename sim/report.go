package sim

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	lin "concord/linearizability"
)

// WriteHTML writes the page that shows the run (see linearizability.Report).
func (r *Report) WriteHTML(w io.Writer) error {
	s := r.Stats
	facts := [][2]string{
		{"servers, client agents, clients", fmt.Sprintf("%d, %d, %d", r.Options.Servers, r.Options.Agents, r.Options.Clients)},
		{"simulated time", s.Simulated.Truncate(time.Millisecond).String()},
		{"events", fmt.Sprint(s.Events)},
		{"messages, of which lost", fmt.Sprintf("%d, %d", s.Messages, s.Dropped)},
		{"elections", fmt.Sprint(s.Elections)},
		{"trace hash", r.Hash},
	}
	for _, kind := range slices.Sorted(maps.Keys(s.Coverage)) {
		facts = append(facts, [2]string{kind, fmt.Sprint(s.Coverage[kind])})
	}
	page := lin.Report{Title: fmt.Sprintf("Concord simulator, seed %d", r.Options.Seed), Verdict: r.Err(), History: r.History, Spans: r.Spans, Facts: facts,
		Replay: r.Options.Replay()}
	return page.WriteHTML(w)
}
