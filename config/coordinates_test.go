package config

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"concord/node"
)

func TestCoordinates(t *testing.T) {
	t.Parallel()
	rt := load(t)
	require.True(t, rt.LAN.Coordinates && rt.WAN.Coordinates)
	require.Zero(t, rt.Coordinates)
	rt = load(t, "-hcl", `disable_coordinates = true`)
	require.False(t, rt.LAN.Coordinates || rt.WAN.Coordinates)
	rt = load(t, "-hcl", `sync_coordinate_interval_min = "1s" sync_coordinate_rate_target = 7
		consul { coordinate { update_period = "2s" update_batch_size = 3 update_max_batches = 4 } }`)
	require.Equal(t, node.CoordinateConfig{Interval: time.Second, Rate: 7, Period: 2 * time.Second, BatchSize: 3, MaxBatches: 4}, rt.Coordinates)
	for _, text := range []string{`sync_coordinate_rate_target = 0`, `consul { coordinate { update_batch_size = 129 } }`,
		`consul { coordinate { update_max_batches = -1 } }`, `sync_coordinate_interval_min = "soon"`} {
		_, _, err := Load([]string{"-node", "n1", "-data-dir", "/data", "-hcl", text})
		require.Error(t, err, text)
	}
}
