package conformance

import (
	"fmt"
	"testing"

	"github.com/hashicorp/consul/api"
	"github.com/stretchr/testify/require"

	"concord/internal/testcluster"
)

// TestCoordinate reads and writes network coordinates, and has answers sorted by them.
func TestCoordinate(t *testing.T) {
	cluster := testcluster.StartDatacenter(t, "dc1", map[string]any{"sync_coordinate_interval_min": "300ms",
		"consul": map[string]any{"coordinate": map[string]any{"update_period": "200ms"}}})
	agent := clientOf(t, cluster.Client)
	var nodes []*api.CoordinateEntry
	testcluster.Eventually(t, "coordinates of all nodes", func() string {
		var err error
		if nodes, _, err = agent.Coordinate().Nodes(nil); err != nil || len(nodes) != 4 {
			return fmt.Sprint(nodes, err)
		}
		return ""
	})
	for _, n := range nodes {
		require.Len(t, n.Coord.Vec, 8)
		require.True(t, n.Coord.IsValid())
		require.Empty(t, n.Segment)
	}
	first := cluster.Servers[0].Name
	one, meta, err := agent.Coordinate().Node(first, nil)
	require.NoError(t, err)
	require.Len(t, one, 1)
	require.NotZero(t, meta.LastIndex)
	_, _, err = agent.Coordinate().Node("nobody", nil)
	require.ErrorContains(t, err, "404")
	dcs, err := agent.Coordinate().Datacenters()
	require.NoError(t, err)
	require.Len(t, dcs, 1)
	require.Equal(t, "dc1", dcs[0].Datacenter)
	require.Equal(t, "wan", dcs[0].AreaID)

	_, err = agent.Catalog().Register(&api.CatalogRegistration{Node: "far", Address: "192.0.2.9"}, nil)
	require.NoError(t, err)
	place := *one[0].Coord
	place.Vec = append([]float64{5}, place.Vec[1:]...)
	_, err = agent.Coordinate().Update(&api.CoordinateEntry{Node: "far", Coord: &place}, nil)
	require.NoError(t, err)
	testcluster.Eventually(t, "the coordinate that was written", func() string {
		at, _, err := agent.Coordinate().Node("far", nil)
		if err != nil || at[0].Coord.Vec[0] != 5 {
			return fmt.Sprint(at, err)
		}
		return ""
	})
	place.Vec = place.Vec[:3]
	_, err = agent.Coordinate().Update(&api.CoordinateEntry{Node: "far", Coord: &place}, nil)
	require.ErrorContains(t, err, "incompatible coordinate")

	for near, want := range map[string]string{"_agent": cluster.Client.Name, first: first, "far": "far"} {
		sorted, _, err := agent.Catalog().Nodes(&api.QueryOptions{Near: near})
		require.NoError(t, err)
		require.Equal(t, want, sorted[0].Node)
		if near != "far" {
			require.Equal(t, "far", sorted[len(sorted)-1].Node)
		}
	}
	self, err := agent.Agent().Self()
	require.NoError(t, err)
	require.Contains(t, self["Coord"], "Vec")
}
