// Package progress is what a leader knows of one follower's log: how far it is known
// to match, what is on the way, and how boldly to send. It owns the transitions
// between its states.
package progress

import "concord/internal/invariant"

// State tells how a leader sends entries to a follower.
type State uint8

const (
	// Probe sends one message at a time, to find where the logs agree.
	Probe State = iota + 1
	// Replicate pipelines: it sends before earlier messages are answered.
	Replicate
	// Snapshot sends no entries: the follower needs what the log no longer has.
	Snapshot
)

// String returns the state's name.
func (s State) String() string {
	switch s {
	case Probe:
		return "probe"
	case Replicate:
		return "replicate"
	case Snapshot:
		return "snapshot"
	default:
		return "unknown"
	}
}

// Progress is a follower as its leader sees it. Its fields are changed by its methods only.
type Progress struct {
	// Match is the highest index known to be the leader's and on the follower's disk.
	Match uint64
	// Next is the index of the next entry to send.
	Next uint64
	// Received is the follower's last index as it last told, on disk or not.
	Received uint64

	state     State
	inflight  window
	probeSent bool
}

// New returns a follower of whom nothing is known: its log is guessed to end just
// before next. At most maxInflight messages are on the way to it at once.
func New(next uint64, maxInflight int) Progress {
	return Progress{Next: next, state: Probe, inflight: window{limit: maxInflight}}
}

// State returns the current state.
func (p *Progress) State() State { return p.state }

// Inflight returns how many messages with entries are not answered yet.
func (p *Progress) Inflight() int { return p.inflight.len() }

// Paused tells whether no entries may be sent now.
func (p *Progress) Paused() bool {
	switch p.state {
	case Probe:
		return p.probeSent
	case Replicate:
		return p.inflight.full()
	default:
		return true
	}
}

// SentEntries notes that entries up to last were sent, or a probe without entries when
// last is Next-1.
func (p *Progress) SentEntries(last uint64) {
	switch p.state {
	case Probe:
		p.probeSent = true
	case Replicate:
		if last >= p.Next {
			p.inflight.add(last)
			p.Next = last + 1
		}
	case Snapshot:
		invariant.Check(false, "progress: entries sent to a follower that awaits a snapshot")
	}
}

// Accepted notes an answer: the logs match up to match. It tells whether that was news.
// A follower being probed is found, and pipelining begins.
func (p *Progress) Accepted(match uint64) bool {
	news := match > p.Match
	p.Match = max(p.Match, match)
	p.Next = max(p.Next, p.Match+1)
	p.inflight.ackTo(match)
	if p.state == Probe { // an old answer does not end a snapshot; only BecomeProbe does
		p.probeSent = false
		if match+1 >= p.Next {
			p.replicate()
		}
	}
	return news
}

// Rejected notes that the follower does not have the entry at prev; next is where to try
// instead. It tells whether the answer was to be believed: an answer older than
// what is already known is not.
func (p *Progress) Rejected(prev, next uint64) bool {
	switch p.state {
	case Replicate:
		if prev <= p.Match {
			return false
		}
		p.BecomeProbe()
		return true
	case Probe:
		if p.Next-1 != prev {
			return false
		}
		p.Next = max(min(prev, next), p.Match+1, 1)
		p.probeSent = false
		return true
	default:
		return false
	}
}

// BecomeProbe starts again, cautiously, behind what is known to match.
func (p *Progress) BecomeProbe() {
	p.state = Probe
	p.Next = p.Match + 1
	p.probeSent = false
	p.inflight.reset()
}

// BecomeSnapshot stops sending entries until BecomeProbe.
func (p *Progress) BecomeSnapshot() {
	p.state = Snapshot
	p.probeSent = false
	p.inflight.reset()
}

func (p *Progress) replicate() {
	p.state = Replicate
	p.Next = p.Match + 1
	p.probeSent = false
	p.inflight.reset()
}

// CheckInvariants panics when a follower cannot be as it is; the leader's log ends at lastIndex.
func (p *Progress) CheckInvariants(lastIndex uint64) {
	if p.Match >= p.Next || p.Next > lastIndex+1 || p.state != Replicate && p.inflight.len() > 0 {
		invariant.Check(false, "progress: %v, match %d, next %d, %d messages in flight, log ends at %d", p.state, p.Match, p.Next, p.inflight.len(), lastIndex)
	}
}
