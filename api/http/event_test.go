package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"concord/agent/userevent"
	"concord/wire"
)

// eventsFake is a backend that keeps events.
type eventsFake struct {
	fake
	mu     sync.Mutex
	events []userevent.Event
	more   chan struct{}
	refuse error
	listed chan struct{}
}

func (f *eventsFake) FireEvent(_ context.Context, e userevent.Event) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse == nil {
		f.events = append(f.events, e)
		close(f.more)
		f.more = make(chan struct{})
	}
	return f.refuse
}

func (f *eventsFake) Events() ([]userevent.Event, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case f.listed <- struct{}{}:
	default:
	}
	return slices.Clone(f.events), f.more
}

func serveEvents(f *eventsFake, method, target, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	New(Config{Datacenter: "dc1"}, f, hclog.NewNullLogger()).ServeHTTP(w, httptest.NewRequest(method, target, strings.NewReader(body)))
	return w
}

func newEventsFake() *eventsFake {
	return &eventsFake{more: make(chan struct{}), listed: make(chan struct{}, 1)}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	f := newEventsFake()
	w := serveEvents(f, "GET", "/v1/event/list", "")
	require.Equal(t, "[]", w.Body.String())
	require.Equal(t, "1", w.Header().Get("X-Consul-Index"))
	w = serveEvents(f, "PUT", "/v1/event/fire/deploy?node=^n&service=web&tag=v1", "hi")
	require.Equal(t, 200, w.Code)
	var e userevent.Event
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &e))
	require.Equal(t, userevent.Event{ID: e.ID, Name: "deploy", Payload: []byte("hi"), NodeFilter: "^n", ServiceFilter: "web", TagFilter: "v1", Version: 1}, e)
	require.Equal(t, f.events[0], e)
	w = serveEvents(f, "PUT", "/v1/event/fire/other", "")
	require.Contains(t, w.Body.String(), `"Payload":null`)
	for target, want := range map[string]int{"": 2, "?name=deploy": 1, "?name=none": 0, "?service=web": 1, "?node=x": 0, "?name=deploy&tag=v1": 1} {
		var listed []userevent.Event
		w := serveEvents(f, "GET", "/v1/event/list"+target, "")
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &listed))
		require.Len(t, listed, want, target)
		if want > 0 {
			require.Equal(t, listed[len(listed)-1].Index(), parseIndex(t, w))
		}
	}
}

func parseIndex(t *testing.T, w *httptest.ResponseRecorder) uint64 {
	t.Helper()
	var index uint64
	require.NoError(t, json.Unmarshal([]byte(w.Header().Get("X-Consul-Index")), &index))
	return index
}

func TestEventsRefused(t *testing.T) {
	t.Parallel()
	f := newEventsFake()
	require.Equal(t, 400, serveEvents(f, "PUT", "/v1/event/fire/", "").Code)
	require.Equal(t, 405, serveEvents(f, "POST", "/v1/event/fire/a", "").Code)
	f.refuse = errors.New("user event exceeds configured limit of 512 bytes")
	w := serveEvents(f, "PUT", "/v1/event/fire/a", "x")
	require.Equal(t, 500, w.Code)
	require.Equal(t, f.refuse.Error(), w.Body.String())
	f.resp = &wire.Response{Code: wire.Refused, Err: "User event missing name"}
	w = serveEvents(f, "PUT", "/v1/event/fire/a?dc=dc2", "x")
	require.Equal(t, 500, w.Code)
	require.Equal(t, "User event missing name", w.Body.String())
	f.resp = &wire.Response{Operator: &wire.OperatorReply{}}
	require.Equal(t, 200, serveEvents(f, "PUT", "/v1/event/fire/a?dc=dc2", "x").Code)
	require.Equal(t, "dc2", f.asked.Datacenter)
	require.Equal(t, "a", f.asked.Operator.Event.Name)
	require.Empty(t, f.events)
}

// A list that waits for an event after the last one it showed is answered when there is one.
func TestEventsBlock(t *testing.T) {
	t.Parallel()
	f := newEventsFake()
	serveEvents(f, "PUT", "/v1/event/fire/first", "")
	index := serveEvents(f, "GET", "/v1/event/list", "").Header().Get("X-Consul-Index")
	<-f.listed
	answered := make(chan string)
	go func() { answered <- serveEvents(f, "GET", "/v1/event/list?index="+index, "").Body.String() }()
	<-f.listed // it has looked once
	select {
	case <-answered:
		t.Fatal("it does not wait")
	default:
	}
	serveEvents(f, "PUT", "/v1/event/fire/second", "")
	require.Contains(t, <-answered, "second")
	index = serveEvents(f, "GET", "/v1/event/list", "").Header().Get("X-Consul-Index")
	require.Contains(t, serveEvents(f, "GET", "/v1/event/list?wait=1ms&index="+index, "").Body.String(), "second", "its time is over")
	require.Contains(t, serveEvents(f, "GET", "/v1/event/list?index=1", "").Body.String(), "second", "other indexes do not wait")
}
