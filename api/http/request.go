package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-bexpr"

	"concord/agent"
	"concord/catalog"
	"concord/wire"
)

// request is a request being answered.
type request struct {
	s      *Server
	w      http.ResponseWriter
	r      *http.Request
	arg    string // what follows the route's path
	params url.Values
	code   int // of the answer, if it is not 200 nor an error

	dc       string // the other datacenter that is asked; empty: this one
	level    wire.Consistency
	minIndex uint64
	wait     time.Duration
}

// status is an error with the HTTP status that it is answered with.
type status struct {
	code int
	text string
}

func (e *status) Error() string { return e.text }

func badRequest(format string, args ...any) error {
	return &status{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

func missing(format string, args ...any) error {
	return &status{http.StatusNotFound, fmt.Sprintf(format, args...)}
}

// done is returned by handlers that wrote their answer themselves.
type done struct{}

// Times of blocking reads (https://developer.hashicorp.com/consul/api-docs/features/blocking).
const (
	defaultWait = 5 * time.Minute
	maxWait     = 10 * time.Minute
)

// parse reads the parameters that every endpoint knows.
func (q *request) parse() error {
	if q.r.URL.RawQuery == "" {
		return nil
	}
	var err error
	if q.params, err = url.ParseQuery(q.r.URL.RawQuery); err != nil {
		return badRequest("Invalid query: %v", err)
	}
	stale, consistent := q.has("stale"), q.has("consistent")
	switch {
	case stale && consistent:
		return badRequest("Cannot specify ?stale with ?consistent, conflicting semantics.")
	case stale:
		q.level = wire.Stale
	case consistent:
		q.level = wire.Consistent
	}
	q.inDatacenter(q.params.Get("dc"))
	return q.parseWait()
}

// inDatacenter lets the request be answered by a datacenter; "": by the one it is for already.
func (q *request) inDatacenter(dc string) {
	switch dc {
	case "":
	case q.s.cfg.Datacenter:
		q.dc = ""
	default:
		q.dc = dc
	}
}

// datacenter is the one that answers.
func (q *request) datacenter() string {
	if q.dc == "" {
		return q.s.cfg.Datacenter
	}
	return q.dc
}

// Do carries what the request needs to the servers of its datacenter.
func (q *request) Do(ctx context.Context, req *wire.Request) *wire.Response {
	req.Datacenter = q.dc
	return q.s.backend.Do(ctx, req)
}

func (q *request) do(req *wire.Request) *wire.Response { return q.Do(q.r.Context(), req) }

func (q *request) parseWait() error {
	if v := q.params.Get("index"); v != "" {
		index, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			return badRequest("Invalid index")
		}
		q.minIndex = index
	}
	q.wait = defaultWait
	if v := q.params.Get("wait"); v != "" {
		wait, err := time.ParseDuration(v)
		if err != nil {
			// A bare number counts seconds.
			seconds, numErr := strconv.Atoi(v)
			if numErr != nil {
				return badRequest("Invalid wait time")
			}
			wait = time.Duration(seconds) * time.Second
		}
		if wait > 0 {
			q.wait = min(wait, maxWait)
		}
	}
	// Many watchers of one thing are not to come back all at once.
	q.wait += time.Duration(rand.Int64N(int64(q.wait)/16 + 1))
	return nil
}

func (q *request) has(name string) bool {
	_, ok := q.params[name]
	return ok
}

// flag tells whether a parameter is given and not "false" or "0".
func (q *request) flag(name string) (bool, error) {
	v, ok := q.params[name]
	if !ok || len(v) == 0 || v[0] == "" {
		return ok, nil
	}
	b, err := strconv.ParseBool(v[0])
	if err != nil {
		return false, badRequest("Invalid value for ?%s", name)
	}
	return b, nil
}

// nodeMeta reads the parameters node-meta=key:value.
func (q *request) nodeMeta() map[string]string {
	pairs := q.params["node-meta"]
	if len(pairs) == 0 {
		return nil
	}
	meta := map[string]string{}
	for _, p := range pairs {
		k, v, _ := strings.Cut(p, ":")
		meta[k] = v
	}
	return meta
}

// read asks the catalog, with the parameters of the request, and sets the headers that describe the answer.
func (q *request) read(what catalog.Query) (any, error) {
	resp := q.do(&wire.Request{Read: &wire.Read{Query: what, Consistency: q.level, MinIndex: q.minIndex, Wait: q.wait}})
	if err := failure(resp); err != nil {
		return nil, err
	}
	q.describe(resp)
	return resp.Answer.Value, nil
}

func (q *request) describe(resp *wire.Response) {
	q.w.Header()["X-Consul-Index"] = []string{strconv.FormatUint(max(1, resp.Answer.Index), 10)}
	q.describeFreshness(resp)
}

// describeFreshness sets the headers about who answered.
func (q *request) describeFreshness(resp *wire.Response) {
	h := q.w.Header()
	h["X-Consul-Knownleader"] = knownLeader[resp.KnownLeader]
	contact := zero
	if ms := resp.LastContact.Milliseconds(); ms > 0 {
		contact = []string{strconv.FormatInt(ms, 10)}
	}
	h["X-Consul-Lastcontact"] = contact
	h["X-Consul-Effective-Consistency"] = levels[resp.Consistency]
}

var (
	knownLeader = map[bool][]string{true: {"true"}, false: {"false"}}
	levels      = map[wire.Consistency][]string{wire.Default: {"leader"}, wire.Consistent: {"consistent"}, wire.Stale: {"stale"}}
	zero        = []string{"0"}
	typeJSON    = []string{"application/json"}
)

// failure is the error that a response stands for, nil if it has an answer.
func failure(resp *wire.Response) error {
	switch resp.Code {
	case wire.OK:
		return nil
	case wire.Refused:
		return badRequest("%s", resp.Err)
	case wire.NoLeader:
		return &status{http.StatusInternalServerError, "No cluster leader"}
	case wire.Busy:
		return &status{http.StatusTooManyRequests, resp.Err}
	}
	return &status{http.StatusInternalServerError, resp.Err}
}

// write makes a command and returns its result.
func (q *request) write(c catalog.Command) (*catalog.Result, error) {
	if err := catalog.Validate(c); err != nil {
		return nil, badRequest("%s", err.Error())
	}
	resp := q.do(&wire.Request{Command: wire.AppendCommand(nil, c)})
	if err := failure(resp); err != nil {
		return nil, err
	}
	if resp.Result.Err != "" {
		return nil, &status{http.StatusInternalServerError, resp.Result.Err}
	}
	return resp.Result, nil
}

// body reads the request's body, at most limit bytes.
func (q *request) body(limit int64) ([]byte, error) {
	if n := q.r.ContentLength; n > limit {
		return nil, tooLarge(n, limit)
	}
	if n := q.r.ContentLength; n >= 0 {
		p := make([]byte, n)
		if _, err := io.ReadFull(q.r.Body, p); err != nil {
			return nil, badRequest("Request body is shorter than its length: %v", err)
		}
		return p, nil
	}
	p, err := io.ReadAll(io.LimitReader(q.r.Body, limit+1))
	if err != nil {
		return nil, badRequest("Failed to read the request body: %v", err)
	}
	if int64(len(p)) > limit {
		return nil, tooLarge(int64(len(p)), limit)
	}
	return p, nil
}

func tooLarge(n, limit int64) error {
	return &status{http.StatusRequestEntityTooLarge, fmt.Sprintf("Request body(%d bytes) too large, max size: %d bytes. See https://www.consul.io/docs/agent/options.html#kv_max_value_size.", n, limit)}
}

// decode reads the body as JSON into v.
func (q *request) decode(v any) error {
	p, err := q.body(maxBody)
	if err != nil {
		return err
	}
	if len(bytes.TrimSpace(p)) == 0 {
		return badRequest("Request decode failed: EOF")
	}
	if err := json.Unmarshal(p, v); err != nil {
		return badRequest("Request decode failed: %v", err)
	}
	return nil
}

// filtered applies the parameter filter (https://developer.hashicorp.com/consul/api-docs/features/filtering).
func (q *request) filtered(v any) (any, error) {
	expr := q.params.Get("filter")
	if expr == "" {
		return v, nil
	}
	f, err := bexpr.CreateFilter(expr)
	if err != nil {
		return nil, badRequest("Failed to create boolean expression evaluator: %v", err)
	}
	out, err := f.Execute(v)
	if err != nil {
		return nil, badRequest("Failed to filter: %v", err)
	}
	return out, nil
}

// fail answers with an error.
func (q *request) fail(err error) {
	var s *status
	var invalid *agent.InvalidError
	var unknown *agent.NotFoundError
	code := http.StatusInternalServerError
	switch {
	case errors.As(err, &s):
		code = s.code
	case errors.As(err, &invalid):
		code = http.StatusBadRequest
	case errors.As(err, &unknown):
		code = http.StatusNotFound
	}
	// A context that has ended does not tell that nobody waits: this server may be closing. Without an answer from
	// here it would be 200, and a write that may never have happened would look done.
	if code >= 500 && q.r.Context().Err() == nil {
		q.s.log.Error("http: Request error", "method", q.r.Method, "url", q.r.URL.Path, "from", q.r.RemoteAddr, "error", err)
	}
	q.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	q.w.WriteHeader(code)
	io.WriteString(q.w, err.Error())
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// reply answers with JSON, indented if the request asks for it.
func (q *request) reply(body any) {
	if _, written := body.(done); written {
		return
	}
	b := buffers.Get().(*bytes.Buffer)
	defer func() {
		if b.Cap() <= 4<<20 {
			buffers.Put(b)
		}
	}()
	b.Reset()
	if body != nil {
		e := json.NewEncoder(b)
		_, pretty := q.params["pretty"]
		if pretty {
			e.SetIndent("", "    ")
		}
		if err := e.Encode(body); err != nil {
			q.fail(err)
			return
		}
		if !pretty {
			b.Truncate(b.Len() - 1) // the encoder's line feed
		}
		q.w.Header()["Content-Type"] = typeJSON
	}
	q.w.Header()["Content-Length"] = []string{strconv.Itoa(b.Len())}
	if q.code != 0 {
		q.w.WriteHeader(q.code)
	}
	q.w.Write(b.Bytes())
}
