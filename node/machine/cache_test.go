package machine

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"concord/catalog"
	"concord/raft"
	"concord/store"
	"concord/store/memstore"
	"concord/swim/coordinate"
	"concord/wire"
)

type memory struct{}

func (memory) Open() (store.Store, error)  { return memstore.Open(memstore.NewDisk()), nil }
func (memory) Fresh() (store.Store, error) { return memstore.Open(memstore.NewDisk()), nil }
func (memory) Adopt(store.Store) error     { return nil }

func registration(index uint64, port int) raft.Entry {
	return raft.Entry{Index: index, Term: 1, Type: raft.EntryCommand, Data: wire.AppendCommand(nil, &catalog.Register{Node: "n", Address: "192.0.2.1",
		Service: &catalog.NodeService{ID: "web", Service: "web", Port: port}})}
}

var lookup = &catalog.HealthServiceQuery{Service: "web"}

func port(t *testing.T, m *Machine) int {
	a, _, err := m.Read(lookup)
	require.NoError(t, err)
	if list := a.Value.([]*catalog.CheckServiceNode); len(list) > 0 {
		return list[0].Service.Port
	}
	return 0
}

// A read never tells less than what was applied before it began, nor than an earlier read told, while
// others fill the cache all the time.
func TestCacheIsNeverBehind(t *testing.T) {
	t.Parallel()
	m, err := Open(memory{})
	require.NoError(t, err)
	defer m.Close()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for newest := 0; ; {
				select {
				case <-stop:
					return
				default:
				}
				if p := port(t, m); p < newest {
					t.Errorf("read %d after %d", p, newest)
					return
				} else {
					newest = p
				}
			}
		}()
	}
	for i := 1; i <= 2000; i++ {
		_, err := m.Apply([]raft.Entry{registration(uint64(i), i)})
		require.NoError(t, err)
		require.Equal(t, i, port(t, m), "what was applied must be seen at once")
	}
	close(stop)
	wg.Wait()
}

func TestCacheServesTheSameAnswerUntilItChanges(t *testing.T) {
	t.Parallel()
	m, err := Open(memory{})
	require.NoError(t, err)
	defer m.Close()
	_, err = m.Apply([]raft.Entry{registration(1, 80)})
	require.NoError(t, err)
	first, _, err := m.Read(lookup)
	require.NoError(t, err)
	other := raft.Entry{Index: 2, Term: 1, Type: raft.EntryCommand, Data: wire.AppendCommand(nil, &catalog.KVWrite{Op: catalog.KVSet, Key: "k"})}
	_, err = m.Apply([]raft.Entry{other})
	require.NoError(t, err)
	second, applied, err := m.Read(lookup)
	require.NoError(t, err)
	require.EqualValues(t, 2, applied, "the answer is that of the state as it is now")
	require.Same(t, first.Value.([]*catalog.CheckServiceNode)[0], second.Value.([]*catalog.CheckServiceNode)[0], "it was evaluated again")
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	var c cache
	for i := range 4 * maxWeight {
		q := &catalog.HealthServiceQuery{Service: string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676))}
		c.put(cacheKey(q), 0, q, catalog.Answer{Value: []*catalog.CheckServiceNode{}})
		require.LessOrEqual(t, c.weight, maxWeight)
	}
}

// The order by distance is that of the coordinates as they are, although nothing that the query watches has changed.
func TestNearIsNotCached(t *testing.T) {
	t.Parallel()
	m, err := Open(memory{})
	require.NoError(t, err)
	defer m.Close()
	for _, node := range []string{"a", "b", "c"} {
		do(t, m, &catalog.Register{Node: node, Address: "192.0.2.1"})
	}
	order := func() (names string, index uint64) {
		a, _, err := m.Read(&catalog.NearQuery{Query: &catalog.NodesQuery{}, Node: "a"})
		require.NoError(t, err)
		for _, n := range a.Value.([]*catalog.Node) {
			names += n.Node
		}
		return names, a.Index
	}
	place := func(node string, x float64) {
		c := catalog.Coordinate{Node: node, Coord: coordinate.New()}
		c.Coord.Vec[0] = x
		do(t, m, &catalog.UpdateCoordinates{Updates: []catalog.Coordinate{c}})
	}
	names, before := order()
	require.Equal(t, "abc", names)
	place("a", 0)
	place("c", 1)
	names, _ = order()
	require.Equal(t, "acb", names)
	place("b", 0.5)
	names, after := order()
	require.Equal(t, "abc", names)
	require.Equal(t, before, after)
}
