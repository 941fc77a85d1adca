package torture

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	lin "concord/linearizability"
)

// tally counts for the progress line. It is safe for concurrent use.
type tally struct {
	mu       sync.Mutex
	outcomes map[lin.Outcome]int
	before   int // operations when the progress was told last
	told     time.Duration
	faults   map[string]int
	current  string // the fault that lasts
}

func newTally() *tally { return &tally{outcomes: map[lin.Outcome]int{}, faults: map[string]int{}} }

func (t *tally) add(op *lin.Op) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.outcomes[op.Outcome]++
}

// fault notes that a fault begins, or with "" that there is none now.
func (t *tally) fault(kind string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.current = kind
	if kind != "" {
		t.faults[kind]++
	}
}

// progress is the line that is printed every now and then.
func (t *tally) progress(now time.Duration) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	total := t.outcomes[lin.Done] + t.outcomes[lin.Failed] + t.outcomes[lin.Unknown]
	rate := float64(total-t.before) / max(0.001, (now-t.told).Seconds())
	t.before, t.told = total, now
	text := fmt.Sprintf("%6.1fs %6.0f ops/s  answered %d, failed %d, unknown %d  faults: %s", now.Seconds(), rate,
		t.outcomes[lin.Done], t.outcomes[lin.Failed], t.outcomes[lin.Unknown], t.faultsLocked())
	if t.current != "" {
		text += "  now: " + t.current
	}
	return text
}

func (t *tally) faultsLocked() string {
	if len(t.faults) == 0 {
		return "none"
	}
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(t.faults)) {
		parts = append(parts, fmt.Sprintf("%s %d", kind, t.faults[kind]))
	}
	return strings.Join(parts, ", ")
}

// fired is the count of each fault.
func (t *tally) fired() map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.faults)
}
