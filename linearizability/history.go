// Package linearizability records what clients saw of a cluster and decides whether a single
// copy of the data could have answered so (Herlihy and Wing, "Linearizability", TOPLAS 1990).
//
// Three tiers look at the same history. Witness replays it in the order of the Raft indexes that the answers
// carry: complete and fast, but it believes those indexes. Gated lets Porcupine search for an
// order that agrees with the indexes. BlackBox ignores them, and lets Porcupine search key by key, and over all keys
// on small windows. An operation with an unknown outcome may have taken effect at any time after
// it began, or never; a search that could not be finished is a failure.
package linearizability

import (
	"math"
	"slices"
	"strings"
	"sync"
	"time"
)

// Kind is what an operation does to the ordered map of keys that a history is about.
type Kind uint8

const (
	Get Kind = iota + 1
	List
	Put
	CAS // puts Value if the value was Expect ("" means: no such key)
	Delete
	DeleteTree
	Txn // a CAS that, if it takes effect, puts Value at the keys in Also, too
)

var kindNames = map[Kind]string{Get: "get", List: "list", Put: "put", CAS: "cas", Delete: "delete", DeleteTree: "delete-tree", Txn: "txn"}

// String returns the operation's name.
func (k Kind) String() string { return kindNames[k] }

// Reads tells whether operations of the kind change nothing.
func (k Kind) Reads() bool { return k == Get || k == List }

// Outcome is how an operation ended for its client.
type Outcome uint8

const (
	// Done: the answer came.
	Done Outcome = iota + 1
	// Failed: it certainly had no effect.
	Failed
	// Unknown: it may or may not have had, or may still have, an effect.
	Unknown
)

var outcomeNames = map[Outcome]string{Done: "done", Failed: "failed", Unknown: "unknown"}

// String returns the outcome's name.
func (o Outcome) String() string { return outcomeNames[o] }

// Op is one operation of one client. Every written value is unique in its history.
type Op struct {
	Client  int
	Kind    Kind
	Key     string // List, DeleteTree: the prefix
	Value   string
	Expect  string
	Also    []string // Txn
	Call    time.Duration
	Return  time.Duration
	Outcome Outcome

	// Of a Done operation.
	Swapped bool              // CAS: it took effect
	Got     map[string]string // Get, List: the keys found
	Index   uint64            // of the write in the log, or the applied index that the read was served at; 0: not told
	Node    string            // who answered

	// Of a read over Consul's HTTP API, which does not tell the index it was served at.
	Modified   map[string]uint64 // the ModifyIndex of each key in Got
	QueryIndex uint64            // X-Consul-Index: when what the query is about changed last; 0: not told
}

// forever is the return time of an operation with an unknown outcome.
const forever = time.Duration(math.MaxInt64 / 2)

// History collects operations. It is safe for concurrent use.
type History struct {
	mu  sync.Mutex
	ops []Op
}

// Add records an operation that ended, or whose client gave up.
func (h *History) Add(op Op) {
	if op.Outcome == Unknown {
		op.Return = forever
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, op)
}

// Ops returns the operations that count, in the order they began: without the failed ones and the reads
// that nobody got an answer to.
func (h *History) Ops() []Op {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []Op
	for _, op := range h.ops {
		if op.Outcome == Failed || op.Outcome == Unknown && op.Kind.Reads() {
			continue
		}
		out = append(out, op)
	}
	slices.SortStableFunc(out, func(a, b Op) int { return int(min(1, max(-1, a.Call-b.Call))) })
	return out
}

// All returns every operation recorded.
func (h *History) All() []Op {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.ops)
}

// state is the naive model: an immutable ordered map, as a sorted list of pairs.
type state []pair

type pair struct{ key, value string }

func (s state) get(key string) (string, bool) {
	i, ok := slices.BinarySearchFunc(s, key, func(p pair, k string) int { return strings.Compare(p.key, k) })
	if !ok {
		return "", false
	}
	return s[i].value, true
}

func (s state) without(drop func(key string) bool) state {
	out := make(state, 0, len(s)+1)
	for _, p := range s {
		if !drop(p.key) {
			out = append(out, p)
		}
	}
	return out
}

func (s state) with(key, value string) state {
	out := append(s.without(func(k string) bool { return k == key }), pair{key, value})
	slices.SortFunc(out, func(a, b pair) int { return strings.Compare(a.key, b.key) })
	return out
}

func (s state) below(prefix string) map[string]string {
	out := map[string]string{}
	for _, p := range s {
		if strings.HasPrefix(p.key, prefix) {
			out[p.key] = p.value
		}
	}
	return out
}

// step applies an operation to the model. ok tells whether the model could have answered as op was answered.
// An operation whose outcome is unknown fits any state.
func (s state) step(op *Op) (next state, ok bool) {
	known := op.Outcome == Done
	switch op.Kind {
	case Get:
		v, has := s.get(op.Key)
		got, found := op.Got[op.Key]
		return s, has == found && v == got
	case List:
		return s, sameMap(s.below(op.Key), op.Got)
	case Put:
		return s.with(op.Key, op.Value), true
	case Delete:
		return s.without(func(k string) bool { return k == op.Key }), true
	case DeleteTree:
		return s.without(func(k string) bool { return strings.HasPrefix(k, op.Key) }), true
	case CAS, Txn:
		v, has := s.get(op.Key)
		fits := v == op.Expect && has == (op.Expect != "")
		if known && fits != op.Swapped {
			return s, false
		}
		if !fits {
			return s, true
		}
		s = s.with(op.Key, op.Value)
		for _, key := range op.Also {
			s = s.with(key, op.Value)
		}
		return s, true
	}
	return s, false
}

func sameMap(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if w, ok := b[k]; !ok || v != w {
			return false
		}
	}
	return true
}
