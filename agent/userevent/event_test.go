package userevent

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"concord/catalog"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	for want, e := range map[string]Event{
		"User event missing name":                                              {},
		"Cannot provide tag filter without service filter":                     {Name: "a", TagFilter: "x"},
		"Invalid node filter: error parsing regexp: missing closing ): `(`":    {Name: "a", NodeFilter: "("},
		"Invalid service filter: error parsing regexp: missing closing ): `(`": {Name: "a", ServiceFilter: "("},
		"Invalid tag filter: error parsing regexp: missing closing ): `(`":     {Name: "a", ServiceFilter: "a", TagFilter: "("},
	} {
		err := e.Validate()
		require.EqualError(t, err, want)
		require.ErrorIs(t, err, ErrInvalid)
	}
	require.NoError(t, (&Event{Name: "a", NodeFilter: "^n", ServiceFilter: "s", TagFilter: "t"}).Validate())
}

func TestConcerns(t *testing.T) {
	t.Parallel()
	services := []catalog.NodeService{{Service: "web", Tags: []string{"v1", "blue"}}, {Service: "db"}}
	for _, c := range []struct {
		e    Event
		want bool
	}{
		{Event{}, true},
		{Event{Version: MaxVersion}, true},
		{Event{Version: MaxVersion + 1}, false},
		{Event{NodeFilter: "^node-[12]$"}, true},
		{Event{NodeFilter: "^ode"}, false},
		{Event{NodeFilter: "("}, false},
		{Event{ServiceFilter: "we"}, true},
		{Event{ServiceFilter: "^e"}, false},
		{Event{ServiceFilter: "web", TagFilter: "^blue$"}, true},
		{Event{ServiceFilter: "db", TagFilter: "blue"}, false},
		{Event{ServiceFilter: "d.|web", TagFilter: "blue"}, true},
		{Event{NodeFilter: "x", ServiceFilter: "web"}, false},
	} {
		require.Equal(t, c.want, c.e.Concerns("node-1", services), "%+v", c.e)
	}
	require.False(t, (&Event{ServiceFilter: ".*"}).Concerns("node-1", nil))
}

func TestIndex(t *testing.T) {
	t.Parallel()
	// As Consul 1.8 shows it.
	require.EqualValues(t, 3722850547733312865, (&Event{ID: "640509ed-6366-6b0e-57af-313422e55e6f"}).Index())
	require.Zero(t, (&Event{ID: "640509ed"}).Index())
	require.Zero(t, (&Event{ID: "x40509ed-6366-6b0e-57af-313422e55e6f"}).Index())
}

// The ring has the last events, in order.
func TestRing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 3*Kept).Draw(t, "events")
		var r Ring
		for i := range n {
			r.Add(Event{Name: fmt.Sprint(i)})
		}
		got := r.List()
		require.Len(t, got, min(n, Kept))
		for i, e := range got {
			require.Equal(t, fmt.Sprint(n-len(got)+i), e.Name)
		}
	})
}

// What was seen among the last is known; memory is bounded.
func TestSeen(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var s Seen
		var news []string // oracle
		for range rapid.IntRange(0, 3*Kept).Draw(t, "events") {
			id := fmt.Sprint(rapid.IntRange(0, 2*Kept).Draw(t, "id"))
			known := slices.Contains(news[max(0, len(news)-Kept):], id)
			require.Equal(t, !known, s.Add(id))
			if !known {
				news = append(news, id)
			}
			require.LessOrEqual(t, len(s.ids), Kept)
		}
	})
}
