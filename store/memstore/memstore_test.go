package memstore_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"concord/store"
	"concord/store/memstore"
	"concord/store/storetest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(testing.TB) store.Store { return memstore.Open(memstore.NewDisk()) }, true)
}

// After a crash the store is what it was at the last synced commit or flush.
func TestCrash(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		disk := memstore.NewDisk()
		model, durable := map[string]string{}, []string{}
		for range rapid.IntRange(1, 5).Draw(t, "lives") {
			s := memstore.Open(disk)
			require.Equal(t, durable, storetest.Dump(t, s))
			clear(model)
			require.NoError(t, s.Scan(nil, nil, func(k, v []byte) bool { model[string(k)] = string(v); return true }))
			for range rapid.IntRange(0, 6).Draw(t, "commits") {
				b := s.NewBatch()
				storetest.Mutate(t, b, model)
				d := store.NoSync
				if rapid.Bool().Draw(t, "sync") {
					d = store.Sync
				}
				require.NoError(t, b.Commit(d))
				if d == store.Sync {
					durable = storetest.Contents(model)
				}
			}
			if rapid.Bool().Draw(t, "flush") {
				require.NoError(t, s.Flush())
				durable = storetest.Contents(model)
			}
		}
	})
}
