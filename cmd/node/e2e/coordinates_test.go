package e2e

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"concord/internal/testcluster"
)

// soon lets coordinates get into the catalog within a second, not half a minute.
var soon = map[string]any{"sync_coordinate_interval_min": "300ms", "sync_coordinate_rate_target": 64,
	"consul": map[string]any{"coordinate": map[string]any{"update_period": "200ms"}}}

type place struct {
	Node  string
	Coord struct {
		Vec           []float64
		Error, Height float64
	}
}

func TestCoordinates(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	c := testcluster.StartDatacenter(t, "dc1", soon)
	for _, p := range c.All() {
		p.WaitFor(t, "coordinates of all", "/v1/coordinate/nodes", 4)
	}
	testcluster.Eventually(t, "coordinates that are sure of themselves", func() string {
		for _, at := range testcluster.Get[[]place](c.Client, "/v1/coordinate/nodes") {
			if len(at.Coord.Vec) != 8 || at.Coord.Error >= 1.5 || at.Coord.Height <= 0 {
				return fmt.Sprint(at)
			}
		}
		return ""
	})
	require.Len(t, testcluster.Get[[]place](c.Client, "/v1/coordinate/node/"+c.Servers[0].Name), 1)
	code, _, _, err := c.Client.Try("GET", "/v1/coordinate/node/nobody", nil)
	require.NoError(t, err)
	require.Equal(t, 404, code)
	require.NotNil(t, testcluster.Get[map[string]any](c.Client, "/v1/agent/self")["Coord"])

	for _, p := range c.All() {
		p.Must("PUT", "/v1/agent/service/register", map[string]any{"Name": "web", "Port": 80})
	}
	for _, p := range c.All() {
		p.WaitFor(t, "web everywhere", "/v1/health/service/web", 4)
		require.Equal(t, p.Name, testcluster.Get[[]place](p, "/v1/catalog/nodes?near=_agent")[0].Node)
		require.Equal(t, p.Name, testcluster.Get[[]place](p, "/v1/catalog/service/web?near=_agent")[0].Node)
		require.Equal(t, p.Name, testcluster.Get[[]place](c.Client, "/v1/health/state/any?near="+p.Name)[0].Node)
		require.Equal(t, p.Name, testcluster.Get[[]struct{ Node place }](p, "/v1/health/service/web?near=_agent")[0].Node.Node)
	}

	out, exit := c.Client.Run("rtt", c.Servers[0].Name, c.Servers[1].Name)
	require.Zero(t, exit, out)
	require.Regexp(t, `^Estimated dc1-server-1 <-> dc1-server-2 rtt: \d+\.\d{3} ms \(using LAN coordinates\)\n$`, out)
	out, exit = c.Client.Run("rtt", c.Servers[2].Name)
	require.Zero(t, exit, out)
	require.Regexp(t, `^Estimated dc1-server-3 <-> dc1-client rtt: \d+\.\d{3} ms \(using LAN coordinates\)\n$`, out)
	testcluster.Eventually(t, "coordinates in the WAN pool", func() string {
		// At a server: which one a client agent asks, and whom that one has probed, is chance.
		out, exit := c.Servers[0].Run("rtt", "-wan", "dc1-server-1.dc1", "dc1-server-2.dc1")
		if exit != 0 {
			return out
		}
		require.Regexp(t, `^Estimated dc1-server-1.dc1 <-> dc1-server-2.dc1 rtt: \d+\.\d{3} ms \(using WAN coordinates\)\n$`, out)
		return ""
	})

	// A node that no agent runs on has a coordinate if somebody tells it.
	c.Client.Must("PUT", "/v1/catalog/register", map[string]any{"Node": "printer", "Address": "10.0.0.9"})
	c.Client.Must("PUT", "/v1/coordinate/update", map[string]any{"Node": "printer",
		"Coord": map[string]any{"Vec": []float64{1, 0, 0, 0, 0, 0, 0, 0}, "Error": 0.1, "Height": 0.001}})
	c.Client.WaitFor(t, "the printer's coordinate", "/v1/coordinate/node/printer", 1)
	far := testcluster.Get[[]place](c.Client, "/v1/catalog/nodes?near=_agent")
	require.Equal(t, "printer", far[len(far)-1].Node)
	require.Equal(t, "printer", testcluster.Get[[]place](c.Client, "/v1/catalog/nodes?near=printer")[0].Node)
}

// locatesOtherDatacenter sees the servers of both datacenters in the space of the WAN pool.
func locatesOtherDatacenter(t *testing.T, one *testcluster.Cluster) {
	testcluster.Eventually(t, "coordinates of all servers", func() string {
		maps := testcluster.Get[[]struct {
			Datacenter, AreaID string
			Coordinates        []place
		}](one.Client, "/v1/coordinate/datacenters")
		if len(maps) != 2 || len(maps[0].Coordinates) != 3 || len(maps[1].Coordinates) != 3 {
			return fmt.Sprint(maps)
		}
		require.Equal(t, "dc2", maps[1].Datacenter)
		require.Equal(t, "dc2-server-1", maps[1].Coordinates[0].Node)
		return ""
	})
	testcluster.Eventually(t, "a round trip between datacenters", func() string {
		out, exit := one.Client.Run("rtt", "-wan", "dc1-server-2.dc1", "dc2-server-3.dc2")
		if exit != 0 {
			return out
		}
		require.Regexp(t, `^Estimated dc1-server-2.dc1 <-> dc2-server-3.dc2 rtt: \d+\.\d{3} ms \(using WAN coordinates\)\n$`, out)
		return ""
	})
}
