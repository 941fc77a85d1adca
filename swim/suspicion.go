package swim

import (
	"math"
	"slices"
	"time"
)

// suspicion is a running suspicion: its timeout shrinks with each independent confirmation
// (Lifeguard section IV-B, LHA-Suspicion).
type suspicion struct {
	start    time.Duration
	min, max time.Duration
	expected int      // confirmations that bring the timeout down to min
	authors  []string // who suspects; the first began it, each other one confirms
}

// newSuspicion begins a suspicion in a pool of n members.
//
// Lifeguard: "Min = alpha * log10(n) * protocol period, Max = beta * Min"; the log is kept at 1 or
// more so that small pools wait for a refutation, too. Where there are too few members to confirm,
// the shortest timeout holds from the beginning.
func newSuspicion(cfg *Config, n int, now time.Duration, author string) suspicion {
	scale := max(1, math.Log10(float64(max(1, n))))
	shortest := time.Duration(float64(cfg.SuspicionMult) * scale * float64(cfg.ProbeInterval))
	s := suspicion{start: now, min: shortest, max: shortest, authors: []string{author}}
	if k := cfg.SuspicionMult - 2; k > 0 && n-2 >= k && cfg.has(DynamicSuspicion) {
		s.expected = k
		s.max = time.Duration(cfg.SuspicionMaxMult) * shortest
	}
	return s
}

// confirm takes another member's word; it tells whether that was news.
func (s *suspicion) confirm(author string) bool {
	if len(s.authors) > s.expected || slices.Contains(s.authors, author) {
		return false
	}
	s.authors = append(s.authors, author)
	return true
}

// end returns when the suspicion is over: "Timeout = max(Min, Max - (Max - Min) *
// log(C+1)/log(K+1))" for C of K confirmations (Lifeguard section IV-B).
func (s *suspicion) end() time.Duration {
	if s.expected == 0 {
		return s.start + s.min
	}
	confirmed := float64(len(s.authors) - 1)
	part := math.Log(confirmed+1) / math.Log(float64(s.expected)+1)
	return s.start + max(s.min, s.max-time.Duration(part*float64(s.max-s.min)))
}
