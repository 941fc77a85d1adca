package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"concord/agent/userevent"
	"concord/internal/testcluster"
)

// startThree starts a server and two client agents; the second runs commands that others send.
func startThree(t *testing.T) (server, a, b *testcluster.Agent) {
	server = testcluster.NewAgent(t, "server", map[string]any{"server": true, "bootstrap_expect": 1})
	server.Start()
	join := []string{server.LANAddr()}
	a = testcluster.NewAgent(t, "client-a", map[string]any{"retry_join": join})
	b = testcluster.NewAgent(t, "client-b", map[string]any{"retry_join": join, "disable_remote_exec": false,
		"services": []map[string]any{{"name": "web", "tags": []string{"blue"}}}})
	for _, p := range []*testcluster.Agent{a, b} {
		p.Start()
	}
	for _, p := range []*testcluster.Agent{server, a, b} {
		p.WaitForLeader()
		p.WaitFor(t, "the members", "/v1/agent/members", 3)
	}
	return server, a, b
}

// An event reaches the agents that its filters let through, once; lists and watches show it; commands are run where that is
// allowed, and only there.
func TestEvents(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	server, a, b := startThree(t)
	all := []*testcluster.Agent{server, a, b}
	names := func(p *testcluster.Agent) string {
		var names []string
		for _, e := range testcluster.Get[[]userevent.Event](p, "/v1/event/list") {
			names = append(names, e.Name+"="+string(e.Payload))
		}
		return strings.Join(names, " ")
	}
	watched := watchEvents(t, a)
	for _, args := range [][]string{{"-name=deploy", "v1"}, {"-name=web-only", "-service=^w", "-tag=^blue$"}, {"-name=a-only", "-node=-a$"}, {"-name=deploy", "v2"}} {
		out, code := server.Run(append([]string{"event"}, args...)...)
		require.Equal(t, 0, code, out)
		require.Regexp(t, "^Event ID: [0-9a-f-]{36}\n$", out)
	}
	for p, want := range map[*testcluster.Agent]string{server: "deploy=v1 deploy=v2", a: "deploy=v1 a-only= deploy=v2", b: "deploy=v1 web-only= deploy=v2"} {
		testcluster.Eventually(t, "events at "+p.Name, func() string {
			if got := names(p); got != want {
				return got
			}
			return ""
		})
	}
	testcluster.Eventually(t, "the watch", func() string {
		text, _ := os.ReadFile(watched)
		if strings.Count(string(text), `"Name":"deploy"`) == 2 && strings.Count(string(text), `"Name":"a-only"`) == 1 {
			return ""
		}
		return string(text)
	})
	out, code := a.Run("event", "-name=big", strings.Repeat("x", 600))
	require.Equal(t, 1, code)
	require.Contains(t, out, "user event exceeds configured limit of 512 bytes")
	require.Equal(t, 0, b.Stop(syscall.SIGINT))
	b.Start()
	b.WaitForLeader()
	b.WaitFor(t, "the members", "/v1/agent/members", 3)
	b.WaitFor(t, "web", "/v1/health/service/web", 1)
	require.Empty(t, names(b), "what was fired before it began is not for it")
	remoteExec(t, all, server, b)
}

// watchEvents lets a process append each list of new events at an agent to a file.
func watchEvents(t *testing.T, p *testcluster.Agent) string {
	file := filepath.Join(t.TempDir(), "events")
	cmd := exec.Command(testcluster.Program(t), "watch", "-type=event", fmt.Sprintf("-http-addr=%s:%d", p.Host, p.HTTP), "cat >>"+file)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		require.NoError(t, cmd.Process.Signal(os.Interrupt))
		require.NoError(t, cmd.Wait(), out.String())
	})
	testcluster.Eventually(t, "the first list", func() string {
		if _, err := os.Stat(file); err != nil {
			return err.Error()
		}
		return ""
	})
	return file
}

func remoteExec(t *testing.T, all []*testcluster.Agent, server, b *testcluster.Agent) {
	out, code := server.Run("exec", "-wait=3s", "echo hi; echo there >&2; exit 3")
	require.Equal(t, 2, code, out)
	require.Equal(t, "    client-b: hi\n    client-b: there\n==> client-b: finished with exit code 3\n1 / 1 node(s) completed / acknowledged\n", out)
	out, code = b.Run("exec", "-wait=3s", "-service=web", "-shell=false", "printf", "a b")
	require.Equal(t, 0, code, out)
	require.Contains(t, out, "    client-b: a b\n")
	out, code = b.Run("exec", "-wait=1s", "-node=server", "true")
	require.Equal(t, 0, code, out)
	require.Contains(t, out, "0 / 0 node(s) completed / acknowledged")
	require.Contains(t, out, "disable_remote_exec = false")
	require.Contains(t, server.Log(), "ignoring remote exec event, disabled.")
	for _, p := range all {
		status, _, _, err := p.Try("GET", "/v1/kv/_rexec?recurse", nil)
		require.NoError(t, err)
		require.Equal(t, 404, status, "nothing is left")
	}
}

// firesInOtherDatacenter: an event fired for another datacenter reaches the agents there, and nobody here.
func firesInOtherDatacenter(t *testing.T, one, two *testcluster.Cluster) {
	out, code := one.Client.Run("event", "-datacenter=dc2", "-name=across", "hello")
	require.Equal(t, 0, code, out)
	for _, p := range two.All() {
		p.WaitFor(t, "the event", "/v1/event/list?name=across", 1)
	}
	for _, p := range one.All() {
		require.Empty(t, testcluster.Get[[]any](p, "/v1/event/list?name=across"), p.Name)
	}
	out, code = one.Client.Run("event", "-datacenter=dc2", "-name=across", strings.Repeat("x", 600))
	require.Equal(t, 1, code)
	require.Contains(t, out, "limit of 512 bytes")
}
