package invariants

import "fmt"

// SameOutcome: the same entry has the same result on every server that applies it: the state machine
// is deterministic.
type SameOutcome struct{ results map[uint64]string }

// Applied tells what came of the entry at an index.
func (p *SameOutcome) Applied(host string, index uint64, result string) error {
	if p.results == nil {
		p.results = map[uint64]string{}
	}
	if old, ok := p.results[index]; ok && old != result {
		return fmt.Errorf("%s: entry %d had the result %q, elsewhere it had %q", host, index, result, old)
	}
	p.results[index] = result
	return nil
}
