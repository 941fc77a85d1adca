package conformance

import (
	"testing"

	"github.com/hashicorp/consul/api"
	"github.com/stretchr/testify/require"

	"concord/internal/testcluster"
)

// TestKeyring changes the key of an encrypted server by Consul's client.
func TestKeyring(t *testing.T) {
	t.Parallel()
	const first, second = "cg8StVXbQJ0gPvMd9o7yrg==", "1WmvKqeWAD1OKdWNNzXxqkLBJOVAXjpBmBfcQLgKCz8="
	p := testcluster.NewAgent(t, "s1", map[string]any{"datacenter": "dc1", "server": true, "bootstrap": true, "encrypt": first})
	p.Start()
	p.WaitForLeader()
	op := clientOf(t, p).Operator()
	require.NoError(t, op.KeyringInstall(second, &api.WriteOptions{RelayFactor: 2}))
	list, err := op.KeyringList(&api.QueryOptions{LocalOnly: true})
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, map[string]int{first: 1, second: 1}, list[0].Keys)
	require.Equal(t, map[string]int{first: 1}, list[0].PrimaryKeys)
	require.NoError(t, op.KeyringUse(second, nil))
	require.ErrorContains(t, op.KeyringRemove(second, nil), "Removing the primary key is not allowed")
	require.NoError(t, op.KeyringRemove(first, nil))
	list, err = op.KeyringList(nil)
	require.NoError(t, err)
	require.Len(t, list, 2)
	for i, pool := range list {
		require.Equal(t, i == 0, pool.WAN)
		require.Equal(t, "dc1", pool.Datacenter)
		require.Equal(t, map[string]int{second: 1}, pool.Keys)
		require.Equal(t, 1, pool.NumNodes)
	}
}
