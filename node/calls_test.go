package node

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"concord/catalog"
	"concord/internal/prng"
	"concord/wire"
)

// A client agent that knows no server says so, which is another thing than servers without a leader.
func TestNoServersKnown(t *testing.T) {
	t.Parallel()
	w := &world{}
	cfg := Config{ID: "11111111-0000-4000-8000-000000000001", Name: "own", Address: "10.1.0.1", RPCAddr: "10.1.0.1:8300"}
	cfg.LAN.Swim.Addr = netip.MustParseAddrPort("10.1.0.1:8301")
	n, err := New(cfg, w, prng.New(1), Disk{})
	require.NoError(t, err)
	n.startCall(Origin{Token: 1}, &wire.Request{Read: &wire.Read{Query: &catalog.NodesQuery{}}})
	for w.answers == nil {
		w.now = n.NextDeadline()
		n.OnTick()
	}
	require.Equal(t, "No known Consul servers", w.lastAnswer().Err)
	require.LessOrEqual(t, w.now, n.cfg.HoldTimeout)
}
