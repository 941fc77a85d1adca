package httpapi

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"concord/agent"
	"concord/agent/userevent"
	"concord/catalog"
	"concord/wire"
)

// fake is a backend with a fixed answer that remembers what it was asked.
type fake struct {
	asked *wire.Request
	resp  *wire.Response
	block bool // until the caller gives up
	local *agentFake
}

func (f *fake) Do(ctx context.Context, req *wire.Request) *wire.Response {
	f.asked = req
	if f.block {
		<-ctx.Done()
		return &wire.Response{Code: wire.Unknown, Err: "gone"}
	}
	return f.resp
}
func (f *fake) Leader(context.Context) (string, error)       { return "127.0.0.1:8300", nil }
func (f *fake) Peers(context.Context) ([]string, error)      { return []string{"127.0.0.1:8300"}, nil }
func (f *fake) Self(context.Context) (map[string]any, error) { return map[string]any{"Config": 1}, nil }
func (f *fake) Version() map[string]any                      { return map[string]any{"HumanVersion": "1"} }
func (f *fake) Leave(context.Context) error                  { return nil }
func (f *fake) Reload(context.Context) error                 { return nil }
func (f *fake) ForceLeave(context.Context, string, bool) error {
	return &agent.NotFoundError{Message: "no node"}
}
func (f *fake) Join(context.Context, []string, bool) (int, error) { return 1, nil }
func (f *fake) Members(context.Context, bool) ([]Member, error) {
	return []Member{{Name: "n1", Addr: "127.0.0.1", Port: 8301, Status: MemberAlive}}, nil
}
func (f *fake) Services(context.Context) ([]agent.Service, error) {
	return []agent.Service{{Service: catalog.NodeService{ID: "web1", Service: "web", Tags: []string{}, Meta: map[string]string{"k": "v"}}}}, nil
}
func (f *fake) Checks(context.Context) ([]agent.Check, error) {
	return []agent.Check{{Check: catalog.HealthCheck{CheckID: "c1", ServiceID: "web1", Status: catalog.HealthWarning}}}, nil
}
func (f *fake) FireEvent(context.Context, userevent.Event) error { return nil }
func (f *fake) Events() ([]userevent.Event, <-chan struct{})     { return nil, nil }
func (f *fake) Change(_ context.Context, change AgentChange) error {
	f.local = &agentFake{}
	return change(f.local)
}

// agentFake remembers what was changed.
type agentFake struct{ did string }

func (a *agentFake) AddService(d agent.ServiceDefinition) error { a.did = "add " + d.Name; return nil }
func (a *agentFake) AddServiceReplacingChecks(d agent.ServiceDefinition) error {
	a.did = "replace " + d.Name
	return nil
}
func (a *agentFake) RemoveService(id string) error          { a.did = "remove " + id; return nil }
func (a *agentFake) AddCheck(d agent.CheckDefinition) error { a.did = "check " + d.Name; return nil }
func (a *agentFake) RemoveCheck(id string) error            { a.did = "uncheck " + id; return nil }
func (a *agentFake) SetTTL(id, status, output string) error {
	a.did = id + " " + status + " " + output
	return nil
}
func (a *agentFake) Maintenance(id string, on bool, why string) error {
	a.did = "maintenance " + id + why
	return nil
}

func answer(v any) *wire.Response {
	return &wire.Response{Answer: &catalog.Answer{Value: v, Index: 7}, KnownLeader: true}
}

func request1(t *testing.T, f *fake, method, target, body string) *httptest.ResponseRecorder {
	t.Helper()
	return serve(t, f, method, target, body)
}

// serve is request1 with any backend.
func serve(t *testing.T, f Backend, method, target, body string) *httptest.ResponseRecorder {
	t.Helper()
	s := New(Config{Datacenter: "dc1"}, f, hclog.NewNullLogger())
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(method, target, strings.NewReader(body)))
	return w
}

var written = &wire.Response{Result: &catalog.Result{OK: true, Index: 9}}

func TestAnswers(t *testing.T) {
	t.Parallel()
	entry := &catalog.DirEntry{Key: "a", Value: []byte("hi"), Flags: 3, RaftIndex: catalog.RaftIndex{CreateIndex: 5, ModifyIndex: 7}}
	for _, c := range []struct {
		name, method, target, body string
		resp                       *wire.Response
		status                     int
		want                       string
	}{
		{"kv get", "GET", "/v1/kv/a", "", answer(entry), 200, `[{"LockIndex":0,"Key":"a","Flags":3,"Value":"aGk=","CreateIndex":5,"ModifyIndex":7}]`},
		{"kv raw", "GET", "/v1/kv/a?raw", "", answer(entry), 200, "hi"},
		{"kv missing", "GET", "/v1/kv/a", "", answer((*catalog.DirEntry)(nil)), 404, ""},
		{"kv no key", "GET", "/v1/kv/", "", nil, 400, "Missing key name"},
		{"kv conflict", "GET", "/v1/kv/a?recurse&keys", "", nil, 400, "Conflicting flags: keys=&recurse="},
		{"kv put", "PUT", "/v1/kv/a", "v", written, 200, "true"},
		{"kv cas", "PUT", "/v1/kv/a?cas=x", "v", nil, 400, `Invalid cas "x": the ModifyIndex of the key is expected`},
		{"kv too large", "PUT", "/v1/kv/a", strings.Repeat("x", maxValue+1), nil, 413, "Request body(524289 bytes) too large, max size: 524288 bytes. See https://www.consul.io/docs/agent/options.html#kv_max_value_size."},
		{"kv delete", "DELETE", "/v1/kv/a?recurse", "", written, 200, "true"},
		{"kv method", "POST", "/v1/kv/a", "", nil, 405, "method POST not allowed\n"},
		{"no leader", "GET", "/v1/kv/a", "", &wire.Response{Code: wire.NoLeader, Err: "x"}, 500, "No cluster leader"},
		{"busy", "PUT", "/v1/kv/a", "v", &wire.Response{Code: wire.Busy, Err: "try again"}, 429, "try again"},
		{"other datacenter", "GET", "/v1/kv/a?dc=dc9", "", noPath, 500, "No path to datacenter"},
		{"own datacenter", "GET", "/v1/kv/a?dc=dc1&raw", "", answer(entry), 200, "hi"},
		{"both consistencies", "GET", "/v1/kv/a?stale&consistent", "", nil, 400, "Cannot specify ?stale with ?consistent, conflicting semantics."},
		{"index", "GET", "/v1/kv/a?index=x", "", nil, 400, "Invalid index"},
		{"wait", "GET", "/v1/kv/a?index=1&wait=x", "", nil, 400, "Invalid wait time"},
		{"leader", "GET", "/v1/status/leader", "", nil, 200, `"127.0.0.1:8300"`},
		{"datacenters", "GET", "/v1/catalog/datacenters?dc=dc2", "", &wire.Response{Operator: &wire.OperatorReply{Datacenters: []string{"dc1", "dc0"}}}, 200, `["dc1","dc0"]`},
		{"no service", "GET", "/v1/catalog/service/", "", nil, 400, "Missing service name"},
		{"nodes", "GET", "/v1/catalog/nodes", "", answer([]*catalog.Node{}), 200, "[]"},
		{"unknown node", "GET", "/v1/catalog/node/x", "", answer((*catalog.NodeServices)(nil)), 200, "null"},
		{"not yet", "PUT", "/v1/session/create", "", nil, 501, "/v1/session/create is not served yet by Concord\n"},
		{"unknown", "GET", "/v1/nope", "", nil, 404, "Invalid URL path: not a recognized HTTP API endpoint\n"},
		{"bad json", "PUT", "/v1/catalog/register", "{", nil, 400, "Request decode failed: unexpected end of JSON input"},
		{"empty body", "PUT", "/v1/catalog/register", "", nil, 400, "Request decode failed: EOF"},
		{"register", "PUT", "/v1/catalog/register", `{"Node":"n","Address":"1.2.3.4"}`, written, 200, "true"},
		{"bad filter", "GET", "/v1/catalog/nodes?filter=((", "", answer([]*catalog.Node{}), 400, "Failed to create boolean expression evaluator"},
		{"service", "GET", "/v1/agent/service/web1", "", nil, 200, `"Service":"web"`},
		{"no such service", "GET", "/v1/agent/service/x", "", nil, 404, "unknown service ID: x"},
		{"health by id", "GET", "/v1/agent/health/service/id/web1?format=text", "", nil, 429, "warning"},
		{"health by unknown name", "GET", "/v1/agent/health/service/name/x", "", nil, 404, "ServiceName x Not Found"},
		{"force-leave", "PUT", "/v1/agent/force-leave/x", "", nil, 404, "no node"},
		{"one segment", "GET", "/v1/agent/members?segment=x", "", nil, 500, "Network segments are not supported in this version of Consul"},
		{"segments of the WAN", "GET", "/v1/agent/members?wan=1&segment=x", "", nil, 400, "Cannot provide a segment with wan=true"},
		{"status", "PUT", "/v1/agent/check/update/c", `{"Status":"fine"}`, nil, 400, "Invalid check status: 'fine'"},
		{"maintenance", "PUT", "/v1/agent/maintenance", "", nil, 400, "Missing value for enable"},
		{"peer", "DELETE", "/v1/operator/raft/peer", "", nil, 400, "Must specify either ?id"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := request1(t, &fake{resp: c.resp}, c.method, c.target, c.body)
			require.Equal(t, c.status, w.Code, w.Body.String())
			if c.want == "" {
				require.Empty(t, w.Body.String())
			}
			require.Contains(t, w.Body.String(), c.want)
		})
	}
}

var noPath = &wire.Response{Code: wire.NoPath, Err: "No path to datacenter"}

// What is asked of another datacenter goes there, whatever it is; what is about this agent, or names this datacenter, does not.
func TestDatacenterOfRequests(t *testing.T) {
	t.Parallel()
	for target, c := range map[string]struct{ method, body, want string }{
		"/v1/kv/a?dc=dc2":                       {"GET", "", "dc2"},
		"/v1/kv/a?dc=dc1":                       {"GET", "", ""},
		"/v1/kv/b?dc=dc2":                       {"PUT", "v", "dc2"},
		"/v1/kv/c?dc=dc2&recurse":               {"DELETE", "", "dc2"},
		"/v1/txn?dc=dc2":                        {"PUT", `[{"KV":{"Verb":"set","Key":"a","Value":"dg=="}}]`, "dc2"},
		"/v1/txn?dc=dc3":                        {"PUT", `[{"KV":{"Verb":"get","Key":"a"}}]`, "dc3"},
		"/v1/catalog/nodes?dc=dc2":              {"GET", "", "dc2"},
		"/v1/catalog/datacenters?dc=dc2":        {"GET", "", ""},
		"/v1/catalog/register?dc=dc2":           {"PUT", `{"Node":"n","Address":"1.2.3.4"}`, "dc2"},
		"/v1/catalog/register":                  {"PUT", `{"Node":"n","Address":"1.2.3.4","Datacenter":"dc3"}`, "dc3"},
		"/v1/catalog/deregister?dc=dc2":         {"PUT", `{"Node":"n","Datacenter":"dc1"}`, ""},
		"/v1/health/service/web?dc=dc2&passing": {"GET", "", "dc2"},
		"/v1/status/leader?dc=dc2":              {"GET", "", "dc2"},
		"/v1/status/peers?dc=dc2":               {"GET", "", "dc2"},
		"/v1/operator/raft/configuration?dc=d2": {"GET", "", "d2"},
		"/v1/operator/autopilot/health?dc=dc2":  {"GET", "", "dc2"},
		"/v1/snapshot?dc=dc2":                   {"GET", "", "dc2"},
	} {
		f := &fake{resp: noPath}
		request1(t, f, c.method, target, c.body)
		require.NotNil(t, f.asked, target)
		require.Equal(t, c.want, f.asked.Datacenter, target)
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	resp := answer([]*catalog.Node{})
	resp.Consistency, resp.LastContact = wire.Stale, 1500*time.Millisecond
	h := request1(t, &fake{resp: resp}, "GET", "/v1/catalog/nodes?stale", "").Header()
	require.Equal(t, "7", h.Get("X-Consul-Index"))
	require.Equal(t, "true", h.Get("X-Consul-KnownLeader"))
	require.Equal(t, "1500", h.Get("X-Consul-LastContact"))
	require.Equal(t, "stale", h.Get("X-Consul-Effective-Consistency"))
	require.Equal(t, "application/json", h.Get("Content-Type"))
}

func TestParametersReachTheQuery(t *testing.T) {
	t.Parallel()
	f := &fake{resp: answer([]*catalog.CheckServiceNode{})}
	request1(t, f, "GET", "/v1/health/service/web?passing&tag=a&tag=b&node-meta=k:v&consistent&index=9&wait=10s", "")
	require.Equal(t, &catalog.HealthServiceQuery{Service: "web", Tags: []string{"a", "b"}, NodeMeta: map[string]string{"k": "v"}, PassingOnly: true}, f.asked.Read.Query)
	require.Equal(t, wire.Consistent, f.asked.Read.Consistency)
	require.EqualValues(t, 9, f.asked.Read.MinIndex)
	require.GreaterOrEqual(t, f.asked.Read.Wait, 10*time.Second)
	require.LessOrEqual(t, f.asked.Read.Wait, 10*time.Second+10*time.Second/16)
	f = &fake{resp: written}
	request1(t, f, "PUT", "/v1/kv/a%20b/c?flags=4&cas=6", "v")
	cmd, err := wire.DecodeCommand(f.asked.Command)
	require.NoError(t, err)
	require.Equal(t, &catalog.KVWrite{Op: catalog.KVCAS, Key: "a b/c", Value: []byte("v"), Flags: 4, Index: 6}, cmd)
}

func TestFilter(t *testing.T) {
	t.Parallel()
	nodes := []*catalog.Node{{Node: "a", Meta: map[string]string{"rack": "1"}}, {Node: "b", Meta: map[string]string{"rack": "2"}}}
	w := request1(t, &fake{resp: answer(nodes)}, "GET", `/v1/catalog/nodes?filter=Meta.rack+==+"2"`, "")
	var got []catalog.Node
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
	require.Len(t, got, 1)
	require.Equal(t, "b", got[0].Node)
}

func TestAgentChanges(t *testing.T) {
	t.Parallel()
	for target, c := range map[string][2]string{
		"/v1/agent/service/register":                              {`{"Name":"web"}`, "add web"},
		"/v1/agent/service/register?replace-existing-checks=true": {`{"Name":"web"}`, "replace web"},
		"/v1/agent/service/deregister/web1":                       {"", "remove web1"},
		"/v1/agent/check/register":                                {`{"Name":"c","TTL":"5s"}`, "check c"},
		"/v1/agent/check/pass/c?note=fine":                        {"", "c passing fine"},
		"/v1/agent/check/update/c":                                {`{"Status":"critical","Output":"bad"}`, "c critical bad"},
		"/v1/agent/service/maintenance/web1?enable=true&reason=x": {"", "maintenance web1x"},
	} {
		f := &fake{}
		w := request1(t, f, "PUT", target, c[0])
		require.Equal(t, 200, w.Code, w.Body.String())
		require.Equal(t, c[1], f.local.did, target)
	}
}

func TestACallerThatGoesEndsABlockingRead(t *testing.T) {
	t.Parallel()
	s := New(Config{Datacenter: "dc1"}, &fake{block: true}, hclog.NewNullLogger())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/v1/kv/a?index=1", nil).WithContext(ctx))
		close(ended)
	}()
	cancel()
	<-ended
}

// The context of a request ends with the server, too. Who still waits must not take the silence for success.
func TestRequestsUnderWayAtTheEndFail(t *testing.T) {
	t.Parallel()
	for _, r := range []*http.Request{
		httptest.NewRequest("PUT", "/v1/kv/a", strings.NewReader("v")),
		httptest.NewRequest("DELETE", "/v1/kv/a", nil),
		httptest.NewRequest("GET", "/v1/kv/a?index=1", nil),
		httptest.NewRequest("PUT", "/v1/catalog/deregister", strings.NewReader(`{"Node":"n","ServiceID":"s"}`)),
	} {
		s := New(Config{Datacenter: "dc1"}, &fake{block: true}, hclog.NewNullLogger())
		w := httptest.NewRecorder()
		require.NoError(t, s.Close(t.Context()))
		s.ServeHTTP(w, r.WithContext(s.ctx))
		require.Equal(t, http.StatusInternalServerError, w.Code, "%s %s", r.Method, r.URL)
		require.NotEmpty(t, w.Body.String())
	}
}

func TestConnectionsOfOneClientAreBounded(t *testing.T) {
	t.Parallel()
	c := connCount{limit: 1, open: map[string]int{}}
	ts := httptest.NewUnstartedServer(http.NotFoundHandler())
	ts.Config.ConnState = c.changed
	ts.Start()
	defer ts.Close()
	first := &http.Client{Transport: &http.Transport{}}
	resp, err := first.Get(ts.URL)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	resp.Body.Close()
	_, err = (&http.Client{Transport: &http.Transport{}}).Get(ts.URL)
	require.Error(t, err, "a second connection must be closed")
}

// The entry written by hand is what encoding/json writes.
func TestEntryJSON(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := &catalog.DirEntry{Key: rapid.String().Draw(t, "key"), Flags: rapid.Uint64().Draw(t, "flags"), LockIndex: rapid.Uint64().Draw(t, "lock"),
			Session: rapid.StringMatching(`[a-f<>&"]{0,5}`).Draw(t, "session"), Value: rapid.SliceOf(rapid.Byte()).Draw(t, "value")}
		e.CreateIndex, e.ModifyIndex = rapid.Uint64().Draw(t, "create"), rapid.Uint64().Draw(t, "modify")
		want, err := json.Marshal(e)
		require.NoError(t, err)
		require.Equal(t, string(want), string(appendEntry(nil, e)))
	})
}

func FuzzRequest(f *testing.F) {
	f.Add("GET", "/v1/kv/a?index=1&wait=5s", "")
	f.Add("PUT", "/v1/agent/service/register", `{"Name":"web","Check":{"TTL":"5s"}}`)
	s := New(Config{Datacenter: "dc1"}, &fake{resp: &wire.Response{Code: wire.Failed, Err: "x"}}, hclog.NewNullLogger())
	f.Fuzz(func(t *testing.T, method, target, body string) {
		r, err := http.NewRequest(method, "http://x", strings.NewReader(body))
		if err != nil || !strings.HasPrefix(target, "/") {
			return
		}
		if r.URL, err = r.URL.Parse(target); err != nil {
			return
		}
		s.ServeHTTP(httptest.NewRecorder(), r)
	})
}

func BenchmarkKV(b *testing.B) {
	entry := answer(&catalog.DirEntry{Key: "a", Value: make([]byte, 256)})
	value := strings.Repeat("x", 256)
	for name, c := range map[string]struct {
		method string
		resp   *wire.Response
		body   string
	}{"get": {"GET", entry, ""}, "put": {"PUT", written, value}} {
		b.Run(name, func(b *testing.B) {
			s := New(Config{Datacenter: "dc1"}, &fake{resp: c.resp}, hclog.NewNullLogger())
			b.ReportAllocs()
			for b.Loop() {
				s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(c.method, "/v1/kv/a", strings.NewReader(c.body)))
			}
		})
	}
}
