package torture

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	lin "concord/linearizability"
)

const (
	searchTimeout = 30 * time.Second // for each search; one that is not finished is a failure
	window        = 40               // operations over all keys that are searched without indexes
)

// check decides whether a single copy of the data could have answered as the cluster did.
func (t *test) check(strange []string) error {
	var found []error
	if len(strange) > 0 {
		found = append(found, fmt.Errorf("answers that the API may not give:\n%s", strings.Join(strange, "\n")))
	}
	ops := t.workload.history.Ops()
	indexed, err := lin.Observed(ops)
	if err != nil {
		found = append(found, err)
		indexed = ops
	}
	for _, g := range lin.Groups(indexed) {
		if err := lin.Gated(g.Ops, searchTimeout); err != nil {
			found = append(found, fmt.Errorf("keys %s: %w", g.Prefix, err))
		}
	}
	for _, g := range lin.Groups(ops) {
		if err := lin.BlackBox(g.Ops, window, searchTimeout); err != nil {
			found = append(found, fmt.Errorf("keys %s: %w", g.Prefix, err))
		}
	}
	return errors.Join(found...)
}

// page is the report of the run.
func (t *test) page(failure error, spans []lin.Span) *lin.Report {
	facts := [][2]string{
		{"servers, clients", fmt.Sprintf("%d, %d", t.options.servers, t.options.clients)},
		{"time", t.watch.now().Truncate(time.Millisecond).String()},
	}
	fired := t.tally.fired()
	for _, kind := range slices.Sorted(maps.Keys(fired)) {
		facts = append(facts, [2]string{"fault " + kind, fmt.Sprint(fired[kind])})
	}
	return &lin.Report{Title: fmt.Sprintf("Concord torture, seed %d", t.options.seed), Verdict: failure, History: t.workload.history,
		Spans: spans, Facts: facts, Replay: "go run ./cmd/sim torture " + strings.Join(t.options.args(), " ")}
}
