package node

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"concord/catalog"
	"concord/internal/prng"
	"concord/raft"
	"concord/swim/coordinate"
	"concord/wire"
)

// silent is an Env that only takes log lines.
type silent struct{ Env }

func (silent) Log(Level, string, string, ...any) {}

// leading is a node that leads, as far as it goes without a log.
func leading(c CoordinateConfig) *server {
	n := &Node{cfg: Config{Coordinates: c.withDefaults(), MaxRequests: 100, RequestTimeout: time.Second}, env: silent{},
		calls: newCalls(prng.New(1))}
	n.server = &server{n: n, role: raft.Leader, gather: newGatherer()}
	return n.server
}

func (s *server) offer(name string, x float64) (code wire.Code) {
	u := &catalog.Coordinate{Node: name, Coord: coordinate.New()}
	u.Coord.Vec[0] = x
	s.gatherCoordinate(&call{req: &wire.Request{Operator: &wire.Operator{Kind: wire.CoordinateUpdate, Coordinate: u}},
		done: func(r *wire.Response) { code = r.Code }})
	return code
}

// batches are the names in the commands that were proposed.
func (s *server) batches(t *testing.T) (names [][]string) {
	for _, c := range s.proposals {
		cmd, err := wire.DecodeCommand(c.req.Command)
		require.NoError(t, err)
		var batch []string
		for _, u := range cmd.(*catalog.UpdateCoordinates).Updates {
			batch = append(batch, fmt.Sprint(u.Node, "@", u.Coord.Vec[0]))
		}
		names = append(names, batch)
	}
	return names
}

// The leader writes the newest coordinate of each node, sorted, in batches; what there is no room for is refused and counted.
func TestCoordinatesAreWrittenInBatches(t *testing.T) {
	t.Parallel()
	s := leading(CoordinateConfig{BatchSize: 2, MaxBatches: 2})
	for _, name := range []string{"d", "a", "c", "b"} {
		require.Equal(t, wire.OK, s.offer(name, 1))
	}
	require.Equal(t, wire.OK, s.offer("A", 2), "a node that is known needs no room")
	require.Equal(t, wire.Busy, s.offer("e", 1))
	require.Equal(t, wire.Refused, s.offer("f", 1e6))
	require.EqualValues(t, 1, s.gather.dropped)
	require.Equal(t, 5*time.Second, s.gather.at)
	s.gatherTick()
	require.Empty(t, s.proposals, "not yet")
	s.n.now = s.gather.at
	s.gatherTick()
	require.Equal(t, [][]string{{"A@2", "b@1"}, {"c@1", "d@1"}}, s.batches(t))
	require.Equal(t, never, s.gather.at)
	require.Equal(t, wire.OK, s.offer("e", 1), "there is room again")
	require.Equal(t, s.n.now+5*time.Second, s.gather.at)
}

func TestCoordinateDefaults(t *testing.T) {
	t.Parallel()
	require.Equal(t, CoordinateConfig{Interval: 15 * time.Second, Rate: 64, Period: 5 * time.Second, BatchSize: 128, MaxBatches: 5},
		CoordinateConfig{}.withDefaults())
}
