package conformance

import (
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/stretchr/testify/require"

	"concord/internal/testcluster"
)

// events fires events through one agent and reads them at another.
func events(t *testing.T, server, agent *api.Client) {
	_, meta, err := agent.Event().List("conformance", nil)
	require.NoError(t, err)
	require.EqualValues(t, 1, meta.LastIndex)
	type listed struct {
		events []*api.UserEvent
		meta   *api.QueryMeta
		err    error
	}
	woken := make(chan listed, 1)
	go func() {
		events, meta, err := agent.Event().List("conformance", &api.QueryOptions{WaitIndex: meta.LastIndex, WaitTime: time.Minute})
		woken <- listed{events, meta, err}
	}()
	id, wm, err := server.Event().Fire(&api.UserEvent{Name: "conformance", Payload: []byte("hello"), NodeFilter: "."}, nil)
	require.NoError(t, err)
	require.NotZero(t, wm.RequestTime)
	got := <-woken
	require.NoError(t, got.err)
	require.Len(t, got.events, 1)
	e := got.events[0]
	require.Equal(t, api.UserEvent{ID: id, Name: "conformance", Payload: []byte("hello"), NodeFilter: ".", Version: 1, LTime: e.LTime}, *e)
	require.NotZero(t, e.LTime)
	require.Equal(t, agent.Event().IDToIndex(id), got.meta.LastIndex)

	_, _, err = server.Event().Fire(&api.UserEvent{Name: "conformance", NodeFilter: "nobody"}, nil)
	require.NoError(t, err)
	second, _, err := server.Event().Fire(&api.UserEvent{Name: "conformance"}, nil)
	require.NoError(t, err)
	testcluster.Eventually(t, "the second event", func() string {
		events, _, err := agent.Event().List("conformance", nil)
		if err != nil || len(events) != 2 || events[1].ID != second {
			return "not there"
		}
		return ""
	})
	_, _, err = server.Event().Fire(&api.UserEvent{Name: "conformance", Payload: make([]byte, 512)}, nil)
	require.ErrorContains(t, err, "user event exceeds configured limit of 512 bytes")
	_, _, err = server.Event().Fire(&api.UserEvent{Name: "conformance", TagFilter: "x"}, nil)
	require.ErrorContains(t, err, "Cannot provide tag filter without service filter")
}
