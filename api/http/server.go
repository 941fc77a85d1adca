package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Config is how the front door answers.
type Config struct {
	Datacenter string
	NodeName   string // of this agent
	// DisableCoordinates refuses requests about network coordinates.
	DisableCoordinates bool
	// Headers are added to every answer.
	Headers map[string]string
	// MaxConnsPerClient bounds the connections of one client address; 0: no bound.
	MaxConnsPerClient int
	// TempDir is where snapshots are kept for a while; empty: the system's folder for such files.
	TempDir string
}

// maxValue is the largest value of a key in bytes, maxBody that of any other body.
const (
	maxValue = 512 << 10
	maxBody  = 1 << 20
)

// Server is the front door.
type Server struct {
	cfg     Config
	backend Backend
	log     hclog.Logger
	http    *http.Server
	conns   connCount
	ctx     context.Context // ends with the server, so that blocking reads do
	cancel  context.CancelFunc
}

// New returns a server that does not serve yet.
func New(cfg Config, backend Backend, log hclog.Logger) *Server {
	s := &Server{cfg: cfg, backend: backend, log: log, conns: connCount{limit: cfg.MaxConnsPerClient, open: map[string]int{}}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.http = &http.Server{
		Handler: s, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog:    log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
		BaseContext: func(net.Listener) context.Context { return s.ctx },
		ConnState:   s.conns.changed,
	}
	return s
}

// Serve answers the connections of a listener until Close.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Close stops accepting, ends blocking reads and waits for the requests under way.
func (s *Server) Close(ctx context.Context) error {
	s.cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		return errors.Join(err, s.http.Close())
	}
	return nil
}

// connCount bounds the connections of each client address.
type connCount struct {
	limit int
	mu    sync.Mutex
	open  map[string]int
}

func (c *connCount) changed(conn net.Conn, state http.ConnState) {
	if c.limit <= 0 || state != http.StateNew && state != http.StateClosed && state != http.StateHijacked {
		return
	}
	host, _, err := net.SplitHostPort(conn.RemoteAddr().String())
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if state != http.StateNew {
		if c.open[host]--; c.open[host] <= 0 {
			delete(c.open, host)
		}
		return
	}
	if c.open[host]++; c.open[host] > c.limit {
		conn.Close()
	}
}

// handler answers one request. What it returns becomes the body as JSON, or an error.
type handler func(*request) (any, error)

// route is an endpoint. A path that ends with a slash has an argument behind it.
type route struct {
	path    string
	methods []string
	handle  handler
}

// exact and prefixed are the routes by path.
var exact, prefixed = index(routes)

func index(all []route) (exact map[string]*route, prefixed []*route) {
	exact = map[string]*route{}
	for i := range all {
		if r := &all[i]; strings.HasSuffix(r.path, "/") {
			prefixed = append(prefixed, r)
		} else {
			exact[r.path] = r
		}
	}
	// The longest prefix wins.
	slices.SortFunc(prefixed, func(a, b *route) int { return len(b.path) - len(a.path) })
	return exact, prefixed
}

func find(path string) (*route, string) {
	if r := exact[path]; r != nil {
		return r, ""
	}
	for _, r := range prefixed {
		if arg, ok := strings.CutPrefix(path, r.path); ok {
			return r, arg
		}
	}
	return nil, ""
}

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for k, v := range s.cfg.Headers {
		w.Header().Set(k, v)
	}
	path := r.URL.Path
	if strings.HasPrefix(path, "/v1/kv/") {
		s.serve(w, r, kvRoute, path[len("/v1/kv/"):])
		return
	}
	if path == "/" {
		fmt.Fprint(w, "Concord Agent\n")
		return
	}
	rt, arg := find(path)
	if rt == nil {
		s.notFound(w, path)
		return
	}
	s.serve(w, r, rt, arg)
}

// known are the endpoints of Consul that are not served.
var known = []string{"/v1/session/", "/v1/acl/", "/v1/query", "/v1/connect/", "/v1/config",
	"/v1/internal/", "/v1/operator/keyring", "/v1/operator/area", "/v1/operator/license", "/v1/operator/usage", "/v1/operator/segment", "/v1/agent/metrics",
	"/v1/agent/monitor", "/v1/agent/connect", "/v1/agent/token", "/v1/agent/host", "/v1/discovery-chain/", "/v1/namespace", "/v1/partition", "/v1/peering",
	"/v1/health/connect/", "/v1/health/ingress/", "/v1/catalog/connect/", "/v1/catalog/gateway-services/", "/v1/exported-services", "/v1/imported-services", "/v1/validate/"}

func (s *Server) notFound(w http.ResponseWriter, path string) {
	for _, k := range known {
		if strings.HasPrefix(path, k) {
			http.Error(w, path+" is not served yet by Concord", http.StatusNotImplemented)
			return
		}
	}
	http.Error(w, "Invalid URL path: not a recognized HTTP API endpoint", http.StatusNotFound)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, rt *route, arg string) {
	q := &request{s: s, w: w, r: r, arg: arg}
	if !slices.Contains(rt.methods, r.Method) {
		if r.Method == http.MethodOptions {
			w.Header().Set("Allow", strings.Join(append([]string{"OPTIONS"}, rt.methods...), ","))
			return
		}
		w.Header()["Allow"] = rt.methods
		http.Error(w, "method "+r.Method+" not allowed", http.StatusMethodNotAllowed)
		return
	}
	if err := q.parse(); err != nil {
		q.fail(err)
		return
	}
	body, err := rt.handle(q)
	if err != nil {
		q.fail(err)
		return
	}
	q.reply(body)
}
