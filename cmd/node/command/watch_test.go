package command

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/cli"
	"github.com/stretchr/testify/require"

	"concord/cmd/node/client"
)

func TestEventVerb(t *testing.T) {
	t.Parallel()
	a := &agent{answers: map[string]string{"PUT /v1/event/fire/deploy": `{"ID":"640509ed-6366-6b0e-57af-313422e55e6f","Name":"deploy"}`,
		"PUT /v1/event/fire/big": "500!user event exceeds configured limit of 512 bytes"}}
	code, out, errs := run(t, a, "", "event", "-name=deploy", "-node=^n", "-service=web", "-tag=v1", "payload")
	require.Equal(t, 0, code, errs)
	require.Equal(t, "Event ID: 640509ed-6366-6b0e-57af-313422e55e6f\n", out)
	require.Equal(t, []string{"PUT /v1/event/fire/deploy?node=%5En&service=web&tag=v1 payload"}, a.asked)
	for _, c := range [][]string{{"Event name must be specified", "event"}, {"Too many command line arguments", "event", "-name=a", "b", "c"},
		{"Cannot provide tag filter without service filter.", "event", "-name=a", "-tag=v1"}, {"limit of 512 bytes", "event", "-name=big"}} {
		code, _, errs := run(t, a, "", c[1:]...)
		require.Equal(t, 1, code)
		require.Contains(t, errs, c[0])
	}
}

const listedEvents = `[{"ID":"640509ed-6366-6b0e-57af-313422e55e6f","Name":"deploy","Payload":"YWJj","NodeFilter":"","ServiceFilter":"","TagFilter":"","Version":1,"LTime":2}]`

func TestWatchOnce(t *testing.T) {
	t.Parallel()
	a := &agent{answers: map[string]string{
		"GET /v1/agent/self": "{}", "GET /v1/kv/a": `[{"LockIndex":0,"Key":"a","Flags":3,"Value":"aGk=","CreateIndex":5,"ModifyIndex":7}]`,
		"GET /v1/kv/dir": `[{"Key":"dir/x"}]`, "GET /v1/catalog/services": `{"web":[]}`, "GET /v1/catalog/nodes": `[]`, "GET /v1/health/service/web": `[]`,
		"GET /v1/health/state/any": `[1]`, "GET /v1/health/state/critical": `[2]`, "GET /v1/health/checks/web": `[3]`, "GET /v1/event/list": listedEvents,
	}}
	for args, want := range map[string][2]string{
		"-type=key -key=a":                                {"/v1/kv/a", `{"Key":"a","CreateIndex":5,"ModifyIndex":7,"LockIndex":0,"Flags":3,"Value":"aGk=","Session":""}`},
		"-type=key -key=none":                             {"/v1/kv/none", "null"},
		"-type=keyprefix -prefix=dir":                     {"/v1/kv/dir?recurse=", `[{"Key":"dir/x"}]`},
		"-type=services":                                  {"/v1/catalog/services", `{"web":[]}`},
		"-type=nodes":                                     {"/v1/catalog/nodes", "[]"},
		"-type=service -service=web -tag=a -tag=b":        {"/v1/health/service/web?tag=a&tag=b", "[]"},
		"-type=service -service=web -passingonly=true":    {"/v1/health/service/web?passing=1", "[]"},
		"-type=checks":                                    {"/v1/health/state/any", "[1]"},
		"-type=checks -state=critical":                    {"/v1/health/state/critical", "[2]"},
		"-type=checks -service=web":                       {"/v1/health/checks/web", "[3]"},
		"-type=event -name=deploy":                        {"/v1/event/list?name=deploy", listedEvents},
		"-type=nodes -http-addr=127.0.0.1:1":              {"", ""},
		"-type=services -datacenter=dc2 -stale":           {"/v1/catalog/services?dc=dc2&stale=", `{"web":[]}`},
		"-type=service -service=web -passingonly=perhaps": {"", ""},
	} {
		a.asked = nil
		code, out, errs := run(t, a, "", append([]string{"watch"}, strings.Fields(args)...)...)
		if want[0] == "" {
			require.Equal(t, 1, code)
			require.NotEmpty(t, errs)
			continue
		}
		require.Equal(t, 0, code, errs)
		require.Equal(t, "GET "+want[0], a.asked[len(a.asked)-1])
		require.JSONEq(t, want[1], out, args)
	}
}

func TestWatchUsage(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"": "Watch type must be specified", "-type=zz": "Unsupported watch type: zz", "-type=key": "Must specify a single key to watch",
		"-type=keyprefix": "Must specify a single prefix to watch", "-type=service": "Must specify a single service to watch",
		"-type=checks -service=a -state=b": "Cannot specify service and state",
	} {
		code, _, errs := run(t, &agent{}, "", append([]string{"watch"}, strings.Fields(args)...)...)
		require.Equal(t, 1, code)
		require.Contains(t, errs, want)
	}
}

// The handler is run for each new value, with the index of its answer, and not for answers that show the same.
func TestWatchWithHandler(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := asked.Add(1)
		answers := []struct{ index, value string }{{"7", "1"}, {"7", "9"}, {"8", "1"}, {"9", "2"}}
		if int(n) > len(answers) {
			cancel()
			return
		}
		if n > 1 {
			require.NotEmpty(t, r.URL.Query().Get("index"))
		}
		w.Header().Set("X-Consul-Index", answers[n-1].index)
		io.WriteString(w, answers[n-1].value)
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "out")
	ui := cli.NewMockUi()
	c := &call{args: []string{fmt.Sprintf("(echo $CONSUL_INDEX; cat) >>%s", file)}, api: client.New(server.URL, "", "", false), ui: ui}
	require.NoError(t, c.watchWith(ctx, &watched{path: "/v1/x", value: raw}, "x", true), ui.ErrorWriter.String())
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "7\n1\n9\n2\n", string(text))
}

func TestWatchEndsWithItsHandler(t *testing.T) {
	t.Parallel()
	a := &agent{answers: map[string]string{"GET /v1/agent/self": "{}", "GET /v1/catalog/nodes": "[]"}}
	code, _, errs := run(t, a, "", "watch", "-type=nodes", "exit 3")
	require.Equal(t, 1, code)
	require.Contains(t, errs, "Error executing handler: exit status 3")
	code, _, errs = run(t, a, "", "watch", "-type=nodes", "-shell=false", "/does/not/exist")
	require.Equal(t, 1, code)
	require.Contains(t, errs, "Error executing handler: ")
}

func TestExecUsage(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"": "Must specify a command to execute", "-": "Must specify a script on standard input", "-wait=0s true": "-wait must be positive",
		"-tag=x true": "Cannot provide tag filter without service filter.", "true": "Failed to create job file: Unexpected response code: 404",
	} {
		a := &agent{}
		code, _, errs := run(t, a, "", append([]string{"exec"}, strings.Fields(args)...)...)
		require.Equal(t, 1, code)
		require.Contains(t, errs, want)
		require.LessOrEqual(t, len(a.asked), 1, "no event is fired for a job that is not there")
	}
}

// The job is taken away in the end, also when its event cannot be fired.
func TestExecCleansUp(t *testing.T) {
	t.Parallel()
	a := &jobAgent{agent: agent{answers: map[string]string{}}}
	server := httptest.NewServer(a)
	defer server.Close()
	c, err := Commands(cli.NewMockUi(), "1")["exec"]()
	require.NoError(t, err)
	require.Equal(t, 1, c.Run([]string{"-http-addr", server.URL, "-wait-repl=0s", "true"}))
	require.Len(t, a.asked, 3)
	require.Regexp(t, `^PUT /v1/kv/_rexec/[0-9a-f-]{36}/job \{"Command":"true","Args":null,"Wait":1000000000\}$`, a.asked[0])
	require.Regexp(t, `^PUT /v1/event/fire/_rexec \{"Prefix":"_rexec","Session":"[0-9a-f-]{36}"\}$`, a.asked[1])
	require.Regexp(t, `^DELETE /v1/kv/_rexec/[0-9a-f-]{36}\?recurse=$`, a.asked[2])
}

// jobAgent takes every key and refuses every event.
type jobAgent struct{ agent }

func (a *jobAgent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.answers[r.Method+" "+r.URL.Path] = "true"
	if strings.HasPrefix(r.URL.Path, "/v1/event") {
		a.answers[r.Method+" "+r.URL.Path] = "500!no"
	}
	a.agent.ServeHTTP(w, r)
}
