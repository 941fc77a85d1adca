package node

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"concord/agent"
	"concord/agent/userevent"
	"concord/wire"
)

// A server fires events for agents of other datacenters, and for its own; one that comes again is the same event.
func TestFireEvent(t *testing.T) {
	t.Parallel()
	n, w := border(t, 1)
	e := userevent.Event{ID: "11111111-2222-4333-8444-555555555555", Name: "deploy", Payload: []byte("v1"), NodeFilter: "^own$"}
	n.OnRequest(1, &wire.Request{Datacenter: "dc2", Operator: &wire.Operator{Kind: wire.FireEvent, Event: &e}})
	require.Equal(t, &e, w.request(0).Operator.Event, "it goes to a server of the other datacenter")
	for token := range uint64(2) {
		n.OnRequest(token+2, &wire.Request{Operator: &wire.Operator{Kind: wire.FireEvent, Event: &e}})
		require.Equal(t, wire.OK, w.lastAnswer().Code)
	}
	e.ID, e.NodeFilter = "second", "other"
	require.NoError(t, n.FireEvent(e))
	e.ID, e.NodeFilter, e.ServiceFilter = "third", "", "web"
	require.NoError(t, n.FireEvent(e))
	n.Drain()
	n.WithAgent(func(now time.Duration, a *agent.Local) {
		require.NoError(t, a.AddService(now, agent.ServiceDefinition{Name: "web"}))
	})
	e.ID = "fourth"
	require.NoError(t, n.FireEvent(e))
	n.Drain()
	require.Len(t, w.events, 2)
	require.Equal(t, []string{"11111111-2222-4333-8444-555555555555", "fourth"}, []string{w.events[0].ID, w.events[1].ID})
	require.Equal(t, []byte("v1"), w.events[0].Payload)
	require.EqualValues(t, 1, w.events[0].LTime)
	require.Equal(t, userevent.MaxVersion, w.events[0].Version)

	e.Payload = make([]byte, 500)
	n.OnRequest(9, &wire.Request{Operator: &wire.Operator{Kind: wire.FireEvent, Event: &e}})
	require.Equal(t, wire.Refused, w.lastAnswer().Code)
	require.Contains(t, w.lastAnswer().Err, "limit of 512 bytes")
	n.OnRequest(10, &wire.Request{Operator: &wire.Operator{Kind: wire.FireEvent}})
	require.Equal(t, wire.Refused, w.lastAnswer().Code)
	require.ErrorIs(t, n.FireEvent(userevent.Event{}), userevent.ErrInvalid)
}
