package node

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"concord/catalog"
	"concord/swim"
	"concord/wire"
)

// The leader brings in a member that it did not find in the catalog without undoing what the member may have told of itself since.
func TestReconcileLeavesWhatANodeSaysOfItself(t *testing.T) {
	t.Parallel()
	n, _ := border(t, 0)
	m := swim.Member{Update: swim.Update{State: swim.StateAlive, Name: "web", ID: "22222222-0000-4000-8000-000000000002", Addr: netip.MustParseAddrPort("10.1.0.7:8301")}}
	stored := &catalog.Node{ID: m.ID, Node: m.Name, Address: "10.1.0.7"}
	moved := &catalog.Node{ID: m.ID, Node: m.Name, Address: "10.1.0.8"}
	for name, c := range map[string]struct {
		node *catalog.Node
		skip bool
	}{"unknown": {nil, true}, "known": {stored, true}, "elsewhere": {moved, false}} {
		reg := registered{nodes: map[string]*catalog.Node{}}
		if c.node != nil {
			reg.nodes[m.Name] = c.node
		}
		n.calls.held = nil
		n.server.memberAlive(m, reg)
		require.Len(t, n.calls.held, 1, name)
		cmd, err := wire.DecodeCommand(n.calls.held[0].req.Command)
		require.NoError(t, err)
		require.Equal(t, c.skip, cmd.(*catalog.Register).SkipNodeUpdate, name)
	}
}
