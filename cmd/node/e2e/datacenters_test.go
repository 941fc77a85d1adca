package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"concord/internal/testcluster"
)

// wanTiming finds failures across datacenters within seconds.
var wanTiming = map[string]any{"gossip_wan": map[string]any{"preset": "fast"}, "gossip_lan": map[string]any{"preset": "fast"}}

type wanMember struct {
	Name   string
	Status int
	Tags   map[string]string
}

// seesAll waits until a server's WAN pool has so many members alive.
func seesAll(t *testing.T, p *testcluster.Agent, n int) {
	t.Helper()
	testcluster.Eventually(t, p.Name+" sees the servers of all datacenters", func() string {
		alive := 0
		members := testcluster.Get[[]wanMember](p, "/v1/agent/members?wan=1")
		for _, m := range members {
			if m.Status == 1 {
				alive++
			}
		}
		if alive != n {
			return fmt.Sprintf("%d of %d alive: %v", alive, n, members)
		}
		return ""
	})
}

// Two datacenters of three servers and a client agent each.
func TestDatacenters(t *testing.T) {
	if testing.Short() {
		t.Skip("starts eight agents")
	}
	t.Parallel()
	one, two := testcluster.StartDatacenter(t, "dc1", wanTiming), testcluster.StartDatacenter(t, "dc2", wanTiming)
	servers := append(append([]*testcluster.Agent{}, one.Servers...), two.Servers...)
	for _, p := range one.Servers {
		seesAll(t, p, 3) // they have met by themselves
	}

	begun := time.Now()
	out, code := one.Servers[0].Run("join", "-wan", fmt.Sprintf("127.0.0.1:%d", two.Servers[0].WAN))
	require.Zero(t, code, out)
	for _, p := range servers {
		seesAll(t, p, 6)
	}
	t.Logf("one join connected all six servers in %v", time.Since(begun))

	out, code = one.Servers[2].Run("members", "-wan")
	require.Zero(t, code, out)
	require.Contains(t, out, "dc2-server-3.dc2")
	self := testcluster.Get[[]wanMember](two.Servers[1], "/v1/agent/members?wan=1")[0]
	require.Equal(t, "dc1-server-1.dc1", self.Name)
	require.Equal(t, "consul", self.Tags["role"])
	require.Equal(t, "dc1", self.Tags["dc"])
	require.Equal(t, fmt.Sprint(one.Servers[0].RPC), self.Tags["port"])
	require.Empty(t, testcluster.Get[[]wanMember](one.Client, "/v1/agent/members?wan=1"))
}
