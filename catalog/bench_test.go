package catalog

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"concord/store"
	"concord/store/pebblestore"
)

var engines = []struct {
	name string
	open func(testing.TB) store.Store
}{{"memstore", mem}, {"pebblestore", pebble}}

func pebble(t testing.TB) store.Store {
	s, err := pebblestore.Open(t.TempDir(), pebblestore.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// BenchmarkKVSet sets keys in batches of 64, as a busy server applies them.
func BenchmarkKVSet(b *testing.B) {
	for _, e := range engines {
		b.Run(e.name, func(b *testing.B) {
			s := e.open(b)
			value := make([]byte, 256)
			keys := make([]string, 10_000)
			for i := range keys {
				keys[i] = fmt.Sprintf("service/config/%05d", i)
			}
			b.ReportAllocs()
			i := 0
			batch := s.NewBatch()
			for b.Loop() {
				i++
				value[i%256]++
				if _, _, err := Apply(batch, uint64(i), &KVWrite{Op: KVSet, Key: keys[i%len(keys)], Value: value}); err != nil {
					b.Fatal(err)
				}
				if i%64 == 0 {
					require.NoError(b, batch.Commit(store.NoSync))
					batch = s.NewBatch()
				}
			}
			require.NoError(b, batch.Close())
		})
	}
}

func BenchmarkKVGet(b *testing.B) {
	for _, e := range engines {
		b.Run(e.name, func(b *testing.B) {
			s := e.open(b)
			batch := s.NewBatch()
			for i := range 10_000 {
				_, _, err := Apply(batch, uint64(i+1), &KVWrite{Op: KVSet, Key: fmt.Sprintf("key/%05d", i), Value: make([]byte, 256)})
				require.NoError(b, err)
			}
			require.NoError(b, batch.Commit(store.NoSync))
			for name, q := range map[string]Query{"hit": &KVGetQuery{"key/05000"}, "miss": &KVGetQuery{"key/nosuch"}} {
				b.Run(name, func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						if _, err := Run(s, q); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		})
	}
}

func BenchmarkHealthService(b *testing.B) {
	for _, e := range engines {
		for _, n := range []int{3, 100, 1000} {
			b.Run(fmt.Sprintf("%s/%d", e.name, n), func(b *testing.B) {
				s := e.open(b)
				fill(b, s, n)
				b.ReportAllocs()
				for b.Loop() {
					if _, err := Run(s, &HealthServiceQuery{Service: "web"}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkCheckUpdate is what a TTL check that changes its output costs.
func BenchmarkCheckUpdate(b *testing.B) {
	for _, e := range engines {
		b.Run(e.name, func(b *testing.B) {
			s := e.open(b)
			fill(b, s, 1000)
			b.ReportAllocs()
			i := 2000
			batch := s.NewBatch()
			for b.Loop() {
				i++
				r := &Register{Node: fmt.Sprintf("node-%04d", i%1000), SkipNodeUpdate: true,
					Check: &HealthCheck{CheckID: "service:web", Name: "web", Status: HealthPassing, ServiceID: "web", Output: fmt.Sprint(i)}}
				if _, topics, err := Apply(batch, uint64(i), r); err != nil || len(topics) == 0 {
					b.Fatal(err, topics)
				}
				if i%64 == 0 {
					require.NoError(b, batch.Commit(store.NoSync))
					batch = s.NewBatch()
				}
			}
			require.NoError(b, batch.Close())
		})
	}
}

// BenchmarkTxn compares a transaction with the same writes one by one, and has a look at a large deletion.
func BenchmarkTxn(b *testing.B) {
	ops := make([]TxnOp, MaxTxnOps)
	for i := range ops {
		ops[i] = kvOp(TxnSet, fmt.Sprintf("key/%04d", i), 0)
	}
	run := func(b *testing.B, prepare func(m *machine), cmds ...Command) {
		m := newMachine()
		if prepare != nil {
			prepare(m)
		}
		index := uint64(1 << 20)
		b.ReportAllocs()
		for b.Loop() {
			batch := m.store.NewBatch()
			for _, cmd := range cmds {
				index++
				if _, _, err := Apply(batch, index, cmd); err != nil {
					b.Fatal(err)
				}
			}
			batch.Close()
		}
	}
	b.Run("64 keys", func(b *testing.B) { run(b, nil, &TxnWrite{ops}) })
	var singles []Command
	for i := range ops {
		singles = append(singles, &KVWrite{Op: KVSet, Key: ops[i].KV.Key, Value: ops[i].KV.Value})
	}
	b.Run("64 single writes", func(b *testing.B) { run(b, nil, singles...) })
	services := func(m *machine) {
		batch := m.store.NewBatch()
		for i := range uint64(2000) {
			if _, _, err := Apply(batch, i+1, withService("n", fmt.Sprintf("service-%d", i), "a", "b")); err != nil {
				b.Fatal(err)
			}
		}
		if err := batch.Commit(store.NoSync); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("node of 2000 services", func(b *testing.B) { run(b, services, &TxnWrite{[]TxnOp{nodeOp(TxnDelete, "n", 0)}}) })
	b.Run("the same alone", func(b *testing.B) { run(b, services, &Deregister{Node: "n"}) })
}
