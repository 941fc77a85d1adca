// Package e2e starts the real binary and uses it as a person does: over HTTP, DNS, the command line, signals
// and kill -9.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
)

// patience bounds every wait; it is long because the machine may be slow, and nothing waits so long when
// all is well.
const patience = 60 * time.Second

var (
	buildOnce sync.Once
	binary    string
	buildErr  error
)

// program builds the binary once.
func program(t *testing.T) string {
	t.Helper()
	buildOnce.Do(func() {
		dir, err := os.MkdirTemp("", "concord-e2e-")
		if err != nil {
			buildErr = err
			return
		}
		binary = filepath.Join(dir, "node")
		out, err := exec.Command("go", "build", "-o", binary, "concord/cmd/node").CombinedOutput()
		if err != nil {
			buildErr = fmt.Errorf("%w: %s", err, out)
		}
	})
	require.NoError(t, buildErr)
	return binary
}

func TestMain(m *testing.M) {
	code := m.Run()
	if binary != "" {
		os.RemoveAll(filepath.Dir(binary))
	}
	os.Exit(code)
}

// ports hands out ports that are free for TCP and UDP, below the ephemeral range so that no outgoing
// connection takes them while an agent is down.
var ports = struct {
	sync.Mutex
	next int
}{next: 10000 + os.Getpid()%8000}

func freePort(t *testing.T) int {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	for range 2000 {
		ports.next++
		addr := fmt.Sprintf("127.0.0.1:%d", ports.next)
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		u, err := net.ListenPacket("udp", addr)
		l.Close()
		if err != nil {
			continue
		}
		u.Close()
		return ports.next
	}
	t.Fatal("no free port")
	return 0
}

// proc is one agent.
type proc struct {
	t                   *testing.T
	name, dir           string
	http, dns, rpc, lan int
	args                []string
	cmd                 *exec.Cmd
	exited              chan struct{}
	log                 *os.File
}

// newAgent lays out an agent without starting it.
func newAgent(t *testing.T, name string, config map[string]any) *proc {
	t.Helper()
	p := &proc{t: t, name: name, dir: t.TempDir(), http: freePort(t), dns: freePort(t), rpc: freePort(t), lan: freePort(t)}
	c := map[string]any{
		"node_name": name, "datacenter": "dc1", "data_dir": filepath.Join(p.dir, "data"), "bind_addr": "127.0.0.1",
		"retry_interval": "200ms", "log_level": "debug",
		"ports":       map[string]any{"http": p.http, "dns": p.dns, "server": p.rpc, "serf_lan": p.lan, "serf_wan": -1, "grpc": -1},
		"performance": map[string]any{"raft_multiplier": 1},
	}
	for k, v := range config {
		c[k] = v
	}
	text, err := json.MarshalIndent(c, "", "  ")
	require.NoError(t, err)
	file := filepath.Join(p.dir, "agent.json")
	require.NoError(t, os.WriteFile(file, text, 0o644))
	p.args = []string{"agent", "-config-file", file}
	return p
}

func (p *proc) start() {
	p.t.Helper()
	log, err := os.OpenFile(filepath.Join(p.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	require.NoError(p.t, err)
	p.log = log
	p.cmd = exec.Command(program(p.t), p.args...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	require.NoError(p.t, p.cmd.Start())
	p.exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan struct{}) {
		cmd.Wait()
		close(exited)
	}(p.cmd, p.exited)
	p.t.Cleanup(p.cleanup)
}

func (p *proc) cleanup() {
	if p.cmd == nil {
		return
	}
	p.kill()
	p.log.Close()
	p.cmd = nil
	if p.t.Failed() {
		text, _ := os.ReadFile(filepath.Join(p.dir, "log"))
		lines := strings.Split(string(text), "\n")
		p.t.Logf("--- log of %s\n%s", p.name, strings.Join(lines[max(0, len(lines)-60):], "\n"))
	}
}

// kill ends the process at once.
func (p *proc) kill() {
	p.cmd.Process.Kill()
	<-p.exited
}

// signal sends a signal and waits for the end of the process.
func (p *proc) stop(s syscall.Signal) int {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(s))
	select {
	case <-p.exited:
	case <-time.After(patience):
		p.t.Fatalf("%s does not end on %v", p.name, s)
	}
	return p.cmd.ProcessState.ExitCode()
}

var client = &http.Client{Timeout: 30 * time.Second}

// try makes a request, and tells status and body.
func (p *proc) try(method, path string, body any) (int, http.Header, []byte, error) {
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	case []byte:
		r = bytes.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			return 0, nil, nil, err
		}
		r = bytes.NewReader(text)
	}
	req, err := http.NewRequest(method, fmt.Sprintf("http://127.0.0.1:%d%s", p.http, path), r)
	if err != nil {
		return 0, nil, nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, out, err
}

// must makes a request that has to succeed.
func (p *proc) must(method, path string, body any) []byte {
	p.t.Helper()
	status, _, out, err := p.try(method, path, body)
	require.NoError(p.t, err, "%s %s at %s", method, path, p.name)
	require.Equal(p.t, 200, status, "%s %s at %s: %s", method, path, p.name, out)
	return out
}

// get decodes what a GET returns.
func get[T any](p *proc, path string) T {
	p.t.Helper()
	var v T
	out := p.must("GET", path, nil)
	require.NoError(p.t, json.Unmarshal(out, &v), "%s", out)
	return v
}

// eventually waits until f says that what it looks at has come about; until then it says what is missing.
func eventually(t *testing.T, what string, f func() (missing string)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		missing := f()
		if missing == "" {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %s", what, missing)
		case <-tick.C:
		}
	}
}

// lookup asks the agent's DNS.
func (p *proc) lookup(name string, kind uint16) *dns.Msg {
	m := new(dns.Msg)
	m.SetQuestion(name, kind)
	r, _, err := (&dns.Client{Timeout: 5 * time.Second}).Exchange(m, fmt.Sprintf("127.0.0.1:%d", p.dns))
	if err != nil {
		return &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: dns.RcodeServerFailure}}
	}
	return r
}

// run runs a command of the binary against the agent.
func (p *proc) run(args ...string) (string, int) {
	p.t.Helper()
	cmd := exec.Command(program(p.t), args...)
	cmd.Env = append(os.Environ(), fmt.Sprintf("CONSUL_HTTP_ADDR=127.0.0.1:%d", p.http))
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		p.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func writeFile(path string, text []byte) error { return os.WriteFile(path, text, 0o644) }
