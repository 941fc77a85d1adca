package agent

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"concord/catalog"
	"concord/store"
	"concord/store/memstore"
	"concord/wire"
)

// TestCatalogTakesWhatIsSent: the real catalog stores records such that a full sync afterwards
// finds nothing to change, also after they went over the wire.
func TestCatalogTakesWhatIsSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testConfig(), 1)
	db := memstore.Open(memstore.NewDisk())
	index := uint64(0)
	serve := func() (commands int) {
		for w.drain(); len(w.ops) > 0; w.drain() {
			op := w.ops[0]
			w.ops = w.ops[1:]
			var r Reply
			if op.Command != nil {
				commands++
				index++
				cmd, err := wire.DecodeCommand(wire.AppendCommand(nil, op.Command))
				require.NoError(t, err)
				require.NoError(t, catalog.Validate(cmd))
				b := db.NewBatch()
				r.Result, _, err = catalog.Apply(b, index, cmd)
				require.NoError(t, err)
				require.Empty(t, r.Result.Err)
				require.NoError(t, b.Commit(store.NoSync))
			}
			for _, q := range op.Queries {
				snap, err := db.NewSnapshot()
				require.NoError(t, err)
				a, err := catalog.Run(snap, q)
				require.NoError(t, err)
				require.NoError(t, snap.Close())
				r.Answers = append(r.Answers, a)
			}
			w.local.Replied(w.now, op.ID, r)
		}
		return commands
	}
	w.local.Tick(0)
	l := w.local
	require.NoError(t, l.AddService(0, webService(
		CheckDefinition{HTTP: "http://x", Interval: time.Second, Header: map[string][]string{"A": {"b"}}, DeregisterCriticalServiceAfter: time.Hour},
		CheckDefinition{TCP: "x:1", Interval: time.Second, Timeout: time.Second},
	)))
	require.NoError(t, l.AddService(0, ServiceDefinition{Name: "Db", Tags: []string{}, Meta: map[string]string{},
		TaggedAddresses: map[string]catalog.ServiceAddress{"lan": {Address: "1.2.3.4", Port: 5}}, EnableTagOverride: true}))
	require.NoError(t, l.AddCheck(0, CheckDefinition{Name: "alias", AliasService: "web"}))
	require.NoError(t, l.Maintenance(0, "db", true, ""))
	require.Positive(t, serve())
	for _, change := range []func() error{
		func() error { return nil },
		func() error { return l.AddService(w.now, ServiceDefinition{ID: "WEB", Name: "web2"}) },
		func() error { return l.RemoveService(w.now, "db") },
		func() error { return l.RemoveCheck(w.now, "service:web:1") },
	} {
		require.NoError(t, change())
		serve()
		for _, s := range l.Services() {
			require.True(t, s.InSync, "service %+v", s)
		}
		for _, c := range l.Checks() {
			require.True(t, c.InSync, "check %+v", c)
		}
		w.now += 3 * time.Minute
		l.Tick(w.now)
		require.Zero(t, serve())
	}
	require.Len(t, l.Services(), 1)
}
