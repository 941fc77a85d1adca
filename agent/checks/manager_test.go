package checks

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"concord/agent"
)

type result struct{ id, status, output string }

// clock is a clock whose waits end when the test lets them.
type clock struct {
	waits chan time.Duration
	fire  chan time.Time
}

func newClock() *clock {
	return &clock{waits: make(chan time.Duration, 1000), fire: make(chan time.Time)}
}

func (c *clock) after(d time.Duration) <-chan time.Time {
	c.waits <- d
	return c.fire
}

// noJitter makes waits exact.
func noJitter(time.Duration) time.Duration { return 0 }

func collect() (Notify, chan result) {
	results := make(chan result, 1000)
	return func(id, status, output string) { results <- result{id, status, output} }, results
}

// runOnce makes a check once on a manager of its own.
func runOnce(t *testing.T, def agent.CheckDefinition) result {
	t.Helper()
	c := newClock()
	m := New(Config{After: c.after, Jitter: noJitter})
	defer m.Close()
	notify, results := collect()
	def.ID, def.Interval = "c", time.Minute
	if def.OutputMaxSize == 0 {
		def.OutputMaxSize = 100
	}
	m.Start(def, notify)
	c.fire <- time.Time{}
	return <-results
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/busy":
			w.WriteHeader(http.StatusTooManyRequests)
		case "/bad":
			w.WriteHeader(http.StatusInternalServerError)
		case "/moved":
			http.Redirect(w, r, "/ok", http.StatusFound)
			return
		case "/long":
			_, _ = fmt.Fprint(w, strings.Repeat("x", 1<<20))
			return
		case "/slow":
			<-r.Context().Done()
			return
		}
		_, _ = fmt.Fprintf(w, "%s host=%v x=%s ua=%s", r.Method, r.Host == "example.com", r.Header.Get("X"), r.UserAgent())
	}))
	defer srv.Close()
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
	defer secure.Close()

	for name, test := range map[string]struct {
		def            agent.CheckDefinition
		status, output string
	}{
		"passing":     {agent.CheckDefinition{HTTP: srv.URL + "/ok"}, "passing", "HTTP GET " + srv.URL + "/ok: 200 OK Output: GET host=false x= ua=Concord Health Check"},
		"warning":     {agent.CheckDefinition{HTTP: srv.URL + "/busy"}, "warning", "HTTP GET " + srv.URL + "/busy: 429 Too Many Requests Output: "},
		"critical":    {agent.CheckDefinition{HTTP: srv.URL + "/bad"}, "critical", ": 500 Internal Server Error Output: "},
		"redirect":    {agent.CheckDefinition{HTTP: srv.URL + "/moved"}, "passing", "/moved: 200 OK"},
		"no redirect": {agent.CheckDefinition{HTTP: srv.URL + "/moved", DisableRedirects: true}, "critical", ": 302 Found"},
		"timeout":     {agent.CheckDefinition{HTTP: srv.URL + "/slow", Timeout: time.Millisecond}, "critical", "deadline exceeded"},
		"method and header": {agent.CheckDefinition{HTTP: srv.URL + "/ok", Method: "PUT", Header: map[string][]string{"x": {"1"}, "host": {"example.com"}, "user-agent": {"me"}}},
			"passing", ": 200 OK Output: PUT host=true x=1 ua=me"},
		"untrusted": {agent.CheckDefinition{HTTP: secure.URL}, "critical", "certificate"},
		"trusted":   {agent.CheckDefinition{HTTP: secure.URL, TLSSkipVerify: true}, "passing", ": 200 OK"},
		"refused":   {agent.CheckDefinition{HTTP: "http://127.0.0.1:1/"}, "critical", "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			r := runOnce(t, test.def)
			require.Equal(t, test.status, r.status, r.output)
			require.Contains(t, r.output, test.output)
		})
	}
	long := runOnce(t, agent.CheckDefinition{HTTP: srv.URL + "/long", OutputMaxSize: 50})
	require.Equal(t, "passing", long.status)
	require.Equal(t, 50, strings.Count(long.output, "x"))
}

func TestTCP(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.Equal(t, result{"c", "passing", "TCP connect " + addr + ": Success"}, runOnce(t, agent.CheckDefinition{TCP: addr}))
	secure := httptest.NewTLSServer(nil)
	defer secure.Close()
	def := agent.CheckDefinition{TCP: secure.Listener.Addr().String(), TCPUseTLS: true}
	require.Equal(t, "critical", runOnce(t, def).status)
	def.TLSSkipVerify = true
	require.Equal(t, "passing", runOnce(t, def).status)
	require.NoError(t, l.Close())
	r := runOnce(t, agent.CheckDefinition{TCP: addr})
	require.Equal(t, "critical", r.status)
	require.Contains(t, r.output, "refused")
}

func TestIntervals(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	c := newClock()
	m := New(Config{After: c.after, Jitter: func(d time.Duration) time.Duration { return d / 2 }})
	defer m.Close()
	notify, results := collect()
	m.Start(agent.CheckDefinition{ID: "c", TCP: l.Addr().String(), Interval: time.Hour}, notify)
	require.Equal(t, maxStagger/2, <-c.waits, "the first run is staggered, but not by much")
	for range 3 {
		c.fire <- time.Time{}
		require.Equal(t, "passing", (<-results).status)
		require.Equal(t, time.Hour, <-c.waits)
	}
}

// A check that is stopped in the middle ends at once and says nothing more.
func TestStopInTheMiddle(t *testing.T) {
	t.Parallel()
	entered, left := make(chan struct{}, 10), make(chan struct{}, 10)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-r.Context().Done()
		left <- struct{}{}
	}))
	defer srv.Close()
	c := newClock()
	m := New(Config{After: c.after, Jitter: noJitter})
	notify, results := collect()
	def := agent.CheckDefinition{ID: "c", HTTP: srv.URL, Interval: time.Hour, Timeout: time.Hour}
	m.Start(def, notify)
	c.fire <- time.Time{}
	<-entered
	m.Stop("c")
	<-left
	m.Start(def, notify)
	c.fire <- time.Time{}
	<-entered
	m.Start(def, notify) // replaces
	<-left
	c.fire <- time.Time{}
	<-entered
	m.Close()
	<-left
	m.Start(def, notify)
	m.Stop("never started")
	require.Empty(t, results)
	require.Empty(t, m.checks)
}

// However many checks are due, only so many are made at once; and no goroutine remains.
func TestConcurrencyBound(t *testing.T) {
	before := runtime.NumGoroutine()
	const bound, total = 3, 40
	var now, most atomic.Int64
	entered, release := make(chan struct{}, total), make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		entered <- struct{}{}
		<-release
	}))
	m := New(Config{MaxConcurrent: bound, After: func(time.Duration) <-chan time.Time {
		c := make(chan time.Time, 1)
		c <- time.Time{}
		return c
	}, Jitter: noJitter})
	notify, results := collect()
	for i := range total {
		first := true
		m.Start(agent.CheckDefinition{ID: fmt.Sprint(i), HTTP: srv.URL, Interval: time.Hour, Timeout: time.Hour}, func(id, status, output string) {
			if first {
				notify(id, status, output)
			}
			first = false
		})
	}
	for range bound {
		<-entered
	}
	close(release)
	go func() {
		for range entered {
		}
	}()
	for range total {
		require.Equal(t, "passing", (<-results).status)
	}
	m.Close()
	srv.Close()
	close(entered)
	require.LessOrEqual(t, most.Load(), int64(bound))
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+2 }, 5*time.Second, time.Millisecond)
}
