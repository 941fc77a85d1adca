package swim

import (
	"net/netip"
	"testing"
	"time"

	"concord/internal/invariant"

	"github.com/stretchr/testify/require"
)

// Each invariant notices what it is there for.
func TestInvariantsBite(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(n *Node){
		"incarnation fell":       func(n *Node) { n.self.claim = ptr(aliveClaim(1, 0)) },
		"failed itself":          func(n *Node) { n.self.claim = ptr(claimOf(1, StateDead, 9)) },
		"failed miscounted":      func(n *Node) { n.failed = 3 },
		"negative":               func(n *Node) { n.failed = -1 },
		"lost from the index":    func(n *Node) { n.table.names.used-- },
		"watch lost":             func(n *Node) { n.watch = nil },
		"too many exiles":        func(n *Node) { n.exiles = make([]exile, maxExiles+1) },
		"too many relays":        func(n *Node) { n.relays = make([]relay, maxRelays+1) },
		"too many joins":         func(n *Node) { n.joins = make([]join, maxJoins+1) },
		"too many members":       func(n *Node) { n.cfg.MaxMembers = 3 },
		"digest wrong":           func(n *Node) { n.digest++ },
		"in the wrong list":      func(n *Node) { n.table.get(nodeName(2)).list = gone },
		"another one's place":    func(n *Node) { n.table.get(nodeName(2)).pos++ },
		"alive but watched":      func(n *Node) { n.watch.set(n.table.get(nodeName(2)), time.Hour) },
		"found by another name":  func(n *Node) { n.table.get(nodeName(2)).claim = ptr(aliveClaim(9, 1)) },
		"dead but not counted":   func(n *Node) { n.failed = 0 },
		"state beside its place": func(n *Node) { n.table.get(nodeName(2)).claim = ptr(claimOf(2, StateLeft, 1)) },
	} {
		n := solo(t, Config{})
		heard(n, 0, aliveClaim(2, 1), aliveClaim(3, 1), claimOf(4, StateDead, 1))
		all := func() {
			n.check()
			n.checkMembers()
		}
		require.NotPanics(t, all)
		spoil(n)
		func() {
			defer func() {
				_, violated := recover().(invariant.Violation)
				require.True(t, violated, name)
			}()
			all()
		}()
	}
}

// Joins under way are bounded, and those that are too many are told so.
func TestTooManyJoins(t *testing.T) {
	t.Parallel()
	n := solo(t, Config{})
	for range maxJoins + 5 {
		n.Join(0, []netip.AddrPort{address(2)})
	}
	out := n.Output()
	require.Len(t, out.Streams, maxJoins)
	require.Len(t, out.Joined, 5)
	require.ErrorIs(t, out.Joined[0].Err, ErrTooManyJoins)
	require.EqualValues(t, 5, n.Stats().JoinsRefused)
}
