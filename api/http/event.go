package httpapi

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"concord/agent/userevent"
	"concord/wire"
)

// eventRoutes: https://developer.hashicorp.com/consul/api-docs/event
var eventRoutes = []route{
	{"/v1/event/fire/", put, (*request).fireEvent},
	{"/v1/event/list", get, (*request).listEvents},
}

func (q *request) fireEvent() (any, error) {
	if q.arg == "" {
		return nil, badRequest("Missing name")
	}
	payload, err := q.body(maxBody)
	if err != nil {
		return nil, err
	}
	e := userevent.Event{ID: uuid.NewString(), Name: q.arg, NodeFilter: q.params.Get("node"), ServiceFilter: q.params.Get("service"),
		TagFilter: q.params.Get("tag"), Version: userevent.MaxVersion}
	if len(payload) > 0 {
		e.Payload = payload
	}
	if q.dc == "" {
		return e, q.s.backend.FireEvent(q.r.Context(), e)
	}
	resp := q.do(&wire.Request{Operator: &wire.Operator{Kind: wire.FireEvent, Event: &e}})
	if resp.Code == wire.Refused {
		return nil, &status{http.StatusInternalServerError, resp.Err} // as Consul, and as in this datacenter
	}
	return e, failure(resp)
}

// listEvents lists the events that this agent got. It blocks while the newest one is that of ?index: the index is made
// of its ID, and so does not grow.
func (q *request) listEvents() (any, error) {
	var timeout <-chan time.Time
	if q.minIndex > 0 {
		timer := time.NewTimer(q.wait)
		defer timer.Stop()
		timeout = timer.C
	}
	for {
		events, more := q.s.backend.Events()
		events = slices.DeleteFunc(events, q.unwantedEvent)
		index := uint64(1) // not 0, so that who waits does not ask without end
		if len(events) > 0 {
			index = events[len(events)-1].Index()
		}
		if index == q.minIndex {
			select {
			case <-more:
				continue
			case <-timeout:
			case <-q.r.Context().Done():
			}
		}
		q.w.Header().Set("X-Consul-Index", strconv.FormatUint(index, 10))
		return append([]userevent.Event{}, events...), nil // never null
	}
}

// unwantedEvent tells whether an event is not the one that the request names, or was fired with other filters.
func (q *request) unwantedEvent(e userevent.Event) bool {
	for param, value := range map[string]string{"name": e.Name, "node": e.NodeFilter, "service": e.ServiceFilter, "tag": e.TagFilter} {
		if want := q.params.Get(param); want != "" && want != value {
			return true
		}
	}
	return false
}
