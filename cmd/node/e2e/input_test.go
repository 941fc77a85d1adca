package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"concord/internal/testcluster"
)

// refuse starts an agent that must not come up, and returns what it says.
func refuse(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(testcluster.Program(t), args...).CombinedOutput()
	require.Error(t, err, "it must exit with an error: %s", out)
	return string(out)
}

// said tells that one line, and only one, has the text.
func said(t *testing.T, out, text string) {
	t.Helper()
	n := 0
	for _, line := range strings.Split(out, "\n") {
		if strings.Contains(line, text) {
			n++
		}
	}
	require.Equal(t, 1, n, "want one line with %q:\n%s", text, out)
}

func TestBadInput(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	p := testcluster.NewAgent(t, "solo", map[string]any{"server": true, "bootstrap_expect": 1})
	p.Start()
	p.WaitForLeader()
	require.Regexp(t, `^(==> .*\n)*==> Starting Concord agent`, p.Log(), "what it logs comes behind the banner")
	require.Less(t, strings.Index(p.Log(), "Log data will now stream in"), strings.Index(p.Log(), "Started DNS server"))
	other := testcluster.NewAgent(t, "other", map[string]any{"server": true, "data_dir": filepath.Join(p.Dir, "data")})
	said(t, refuse(t, other.Args...), "in use by another process")
	taken := testcluster.NewAgent(t, "taken", nil)
	said(t, refuse(t, append(taken.Args, fmt.Sprint("-http-port=", p.HTTP))...), "cannot listen for HTTP")
	said(t, refuse(t, append(taken.Args, fmt.Sprint("-serf-lan-port=", p.LAN))...), "cannot listen on the serf_lan port")
	said(t, refuse(t, append(taken.Args, "-http-port=99999")...), "ports.http: 99999 is no port")
	said(t, refuse(t, append(taken.Args, "-hcl", "foo = 1")...), "invalid config key foo")
	p.Kill()
	said(t, refuse(t, append(p.Args, "-node-id=11111111-2222-4333-8444-555555555555")...), "use that ID or another -data-dir")
	broken := filepath.Join(p.Dir, "broken.json")
	require.NoError(t, os.WriteFile(broken, []byte(`{"server": tr`), 0o644))
	said(t, refuse(t, append(p.Args, "-config-file", broken)...), "not valid JSON")
	out, code := p.Run("validate", broken)
	require.Equal(t, 1, code)
	said(t, out, "not valid JSON")
	out, code = p.Run("members")
	require.Equal(t, 1, code)
	said(t, out, "cannot reach the agent")
}

// A log that was damaged on the disk is refused.
func TestDamagedData(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	p := testcluster.NewAgent(t, "solo", map[string]any{"server": true, "bootstrap_expect": 1})
	p.Start()
	p.WaitForLeader()
	p.Must("PUT", "/v1/kv/a", strings.Repeat("x", 1000))
	p.Kill()
	logs, err := filepath.Glob(filepath.Join(p.Dir, "data/server/raft/*.log"))
	require.NoError(t, err)
	require.NotEmpty(t, logs)
	f, err := os.OpenFile(logs[0], os.O_RDWR, 0)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte("damage"), 40)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	out := refuse(t, p.Args...)
	require.Contains(t, out, "remove this server's data directory, so that it joins anew")
	require.NotContains(t, out, "panic")
}

func TestReload(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	p := testcluster.NewAgent(t, "dev", nil)
	file := filepath.Join(p.Dir, "services.json")
	write := func(text string) { require.NoError(t, os.WriteFile(file, []byte(text), 0o644)) }
	write(`{"services": [{"name": "old", "port": 1}, {"name": "kept", "port": 2}]}`)
	p.Args = append(p.Args, "-server", "-bootstrap-expect=1", "-config-file", file)
	p.Start()
	p.WaitForLeader()
	p.WaitFor(t, "old", "/v1/catalog/service/old", 1)
	write(`{"services": [{"name": "new", "port": 3}, {"name": "kept", "port": 2}]}`)
	require.NoError(t, p.Cmd.Process.Signal(syscall.SIGHUP))
	p.WaitFor(t, "new", "/v1/catalog/service/new", 1)
	p.WaitFor(t, "old", "/v1/catalog/service/old", 0)
	p.WaitFor(t, "kept", "/v1/catalog/service/kept", 1)
	write(`{"services": [{"name": `)
	out, code := p.Run("reload")
	require.Equal(t, 1, code, out)
	p.WaitFor(t, "new, after a reload that failed", "/v1/catalog/service/new", 1)
}

// A client leaves when it is interrupted; a server keeps its place.
func TestSignals(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	server := testcluster.NewAgent(t, "server", map[string]any{"server": true, "bootstrap_expect": 1})
	server.Start()
	client := testcluster.NewAgent(t, "client", map[string]any{"retry_join": []string{fmt.Sprintf("127.0.0.1:%d", server.LAN)}})
	client.Start()
	client.WaitForLeader()
	server.WaitFor(t, "both nodes", "/v1/catalog/nodes", 2)
	require.Equal(t, 0, client.Stop(syscall.SIGINT))
	server.WaitFor(t, "the client has left", "/v1/catalog/nodes", 1)
	out, _ := server.Run("members")
	require.Regexp(t, `client .*left`, out)
	require.Equal(t, 0, server.Stop(syscall.SIGINT))
	server.Start()
	server.WaitForLeader()
	server.WaitFor(t, "the server again", "/v1/catalog/nodes", 1)
}
