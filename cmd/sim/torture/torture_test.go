package torture

import (
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"concord/internal/testcluster"
	lin "concord/linearizability"
)

func TestMain(m *testing.M) {
	code := m.Run()
	testcluster.Clean()
	os.Exit(code)
}

func tortured(t *testing.T, program string, duration time.Duration) (code int, report string) {
	t.Helper()
	runtime.LockOSThread() // see options.run
	defer runtime.UnlockOSThread()
	o := options{servers: 3, clients: 4, duration: duration, seed: 7, parent: t.TempDir(), html: filepath.Join(t.TempDir(), "report.html")}
	n, err := onLoopback(o.servers)
	require.NoError(t, err)
	code, err = o.torture(program, n)
	require.NoError(t, err)
	text, err := os.ReadFile(o.html)
	require.NoError(t, err)
	return code, string(text)
}

func TestAShortRun(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	t.Parallel()
	code, report := tortured(t, testcluster.Program(t), 4*time.Second)
	require.Equal(t, exitOK, code)
	require.Contains(t, report, "leader in term")
}

// A server that ends by itself is a crash, not something to wait for.
func TestACrash(t *testing.T) {
	t.Parallel()
	code, report := tortured(t, "/bin/false", time.Minute)
	require.Equal(t, exitCrash, code)
	require.Contains(t, report, "ended by itself")
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-servers=0"}, {"-clients=1000"}, {"-duration=0s"}, {"more"}, {"-nosuch"}} {
		_, err := parse(args)
		require.Error(t, err, "%v", args)
		require.Equal(t, exitUsage, Main(args), "%v", args)
	}
	o, err := parse([]string{"-seed=5", "-keep", "-html=a.html", "-binary=/bin/x"})
	require.NoError(t, err)
	again, err := parse(o.args())
	require.NoError(t, err)
	require.Equal(t, o, again, "the printed command must give the same options")
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	index := http.Header{"X-Consul-Index": {"9"}}
	kv, health := lin.Op{Kind: lin.Get, Key: "1/k"}, lin.Op{Kind: lin.List, Key: "web-1/"}
	put, cas := lin.Op{Kind: lin.Put}, lin.Op{Kind: lin.CAS}
	for _, c := range []struct {
		name    string
		op      lin.Op
		status  int
		header  http.Header
		body    string
		outcome lin.Outcome
		swapped bool
		got     map[string]string
		strange bool
	}{
		{name: "written", op: put, status: 200, body: "true\n", outcome: lin.Done, swapped: true},
		{name: "a put that is refused", op: put, status: 200, body: "false", strange: true},
		{name: "swapped", op: cas, status: 200, body: "true", outcome: lin.Done, swapped: true},
		{name: "not swapped", op: cas, status: 200, body: "false", outcome: lin.Done},
		{name: "leadership lost", op: put, status: 500, body: "leadership lost", outcome: lin.Unknown},
		{name: "too many", op: put, status: 429, outcome: lin.Failed},
		{name: "bad request", op: put, status: 400, body: "?", strange: true},
		{name: "read", op: kv, status: 200, header: index, body: `[{"Key":"1/k","Value":"dg==","ModifyIndex":8}]`, outcome: lin.Done, got: map[string]string{"1/k": "v"}},
		{name: "no such key", op: kv, status: 404, header: index, outcome: lin.Done, got: map[string]string{}},
		{name: "no index", op: kv, status: 404, strange: true},
		{name: "a read that fails", op: kv, status: 500, outcome: lin.Unknown},
		{name: "not JSON", op: kv, status: 200, header: index, body: "<html>", strange: true},
		{name: "instances", op: health, status: 200, header: index, body: `[{"Service":{"ID":"web-1/s0","Meta":{"value":"v"},"ModifyIndex":8}}]`,
			outcome: lin.Done, got: map[string]string{"web-1/s0": "v"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			op := c.op
			op.Outcome = lin.Unknown
			err := understand(&op, &http.Response{StatusCode: c.status, Header: c.header}, []byte(c.body))
			require.Equal(t, c.strange, err != nil, "%v", err)
			if c.strange {
				require.Equal(t, lin.Unknown, op.Outcome)
				return
			}
			require.Equal(t, c.outcome, op.Outcome)
			require.Equal(t, c.swapped, op.Swapped)
			require.Equal(t, c.got, op.Got)
		})
	}
}

func TestTheLogIsRead(t *testing.T) {
	t.Parallel()
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	defer f.Close()
	w := newWatch()
	l := &lines{server: "server-1", file: f, watch: w}
	for _, part := range []string{"x [INFO]  raft: entering lea", "der state: term=3\n", "[INFO] a panic: that is none\n"} {
		_, err := l.Write([]byte(part))
		require.NoError(t, err)
	}
	require.Equal(t, "server-1", w.leading())
	l.Write([]byte("raft: entering follower state: term=4\npanic: broken\n"))
	require.Empty(t, w.leading())
	<-w.crash
	spans, crashes, _ := w.result()
	require.Len(t, crashes, 1)
	require.Len(t, spans, 2)
	require.Equal(t, "leader", spans[0].Kind)
	require.GreaterOrEqual(t, spans[1].Start, spans[0].End)
}

func TestEpochsEnd(t *testing.T) {
	t.Parallel()
	var e epochs
	for range epochOps {
		require.Zero(t, e.begin())
	}
	require.Equal(t, 1, e.begin())
	for range epochUnknowns {
		e.unknown()
	}
	require.Equal(t, 2, e.begin(), "operations without an outcome make a search hard")
}
