package catalog

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"concord/swim/coordinate"
)

func at(node string, x float64) Coordinate {
	c := Coordinate{Node: node, Coord: coordinate.New()}
	c.Coord.Vec[0] = x
	return c
}

func TestUpdateCoordinatesIsRefused(t *testing.T) {
	t.Parallel()
	segment := at("n", 0)
	segment.Segment = "alpha"
	many := make([]Coordinate, MaxCoordinates+1)
	for i := range many {
		many[i] = at(fmt.Sprint("n", i), 0)
	}
	for want, updates := range map[error][]Coordinate{
		ErrNoNode:      {at("", 0)},
		ErrCoordinate:  {at("n", 0), at("n", 1e9)},
		ErrSegment:     {segment},
		ErrCoordinates: many,
	} {
		c := &UpdateCoordinates{updates}
		require.ErrorIs(t, Validate(c), want)
		m := newMachine()
		result, topics := m.apply(t, 1, c)
		require.Equal(t, want.Error(), result.Err)
		require.Empty(t, topics)
		require.Empty(t, m.dump(t, 0, 0xff))
	}
}

// A coordinate changes neither what watches nodes nor the node itself, and goes with its node.
func TestCoordinatesFollowTheirNode(t *testing.T) {
	t.Parallel()
	m := newMachine()
	m.apply(t, 1, &Register{Node: "a", Address: "1"})
	_, topics := m.apply(t, 2, &UpdateCoordinates{[]Coordinate{at("A", 0.5), at("stranger", 0.1)}})
	require.ElementsMatch(t, []Topic{{Kind: TopicCoordinates}, {Kind: TopicCoordinate, Name: "a"}}, topics)
	got := m.run(t, &CoordinatesQuery{})
	require.Equal(t, uint64(2), got.Index)
	text, err := json.Marshal(got.Value)
	require.NoError(t, err)
	require.Equal(t, `[{"Node":"a","Segment":"","Coord":{"Vec":[0.5,0,0,0,0,0,0,0],"Error":1.5,"Adjustment":0,"Height":0.00001}}]`, string(text))
	_, topics = m.apply(t, 3, &UpdateCoordinates{[]Coordinate{at("a", 0.5)}})
	require.Empty(t, topics, "the same again")
	m.apply(t, 4, &Deregister{Node: "a"})
	got = m.run(t, &CoordinateQuery{"a"})
	require.Equal(t, uint64(4), got.Index)
	require.Empty(t, got.Value)
}

func TestOnlyListsOfNodesAreSortedByDistance(t *testing.T) {
	t.Parallel()
	for _, q := range []Query{&ServicesQuery{}, &AutopilotQuery{}, &KVListQuery{}, &NearQuery{Query: &CoordinatesQuery{}}} {
		_, err := Run(newMachine().store, &NearQuery{Query: q, Node: "a"})
		require.Error(t, err, "%T", q)
	}
}
