// Package testcluster starts real agents for tests: the built binary on free loopback ports, used over HTTP, DNS,
// the command line, signals and kill -9.
package testcluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
)

// Patience bounds every wait; it is long because the machine may be slow, and nothing waits so long when
// all is well.
const Patience = 60 * time.Second

var (
	buildOnce sync.Once
	binary    string
	buildErr  error
)

// Program builds the binary once.
func Program(t testing.TB) string {
	t.Helper()
	buildOnce.Do(func() {
		dir, err := os.MkdirTemp("", "concord-e2e-")
		if err != nil {
			buildErr = err
			return
		}
		binary = filepath.Join(dir, "node")
		out, err := build(binary)
		if err != nil {
			buildErr = fmt.Errorf("%w: %s", err, out)
		}
	})
	require.NoError(t, buildErr)
	return binary
}

// build builds the binary of the module that this file belongs to.
func build(to string) ([]byte, error) {
	_, file, _, _ := runtime.Caller(0)
	cmd := exec.Command("go", "build", "-o", to, "./cmd/node")
	cmd.Dir = filepath.Join(filepath.Dir(file), "../..")
	return cmd.CombinedOutput()
}

// Clean removes the built binary; call it from TestMain when the tests are done.
func Clean() {
	if binary != "" {
		os.RemoveAll(filepath.Dir(binary))
	}
}

// ports hands out ports that are free for TCP and UDP, below the ephemeral range so that no outgoing
// connection takes them while an agent is down.
var ports = struct {
	sync.Mutex
	next int
}{next: 10000 + os.Getpid()%8000}

func FreePort(t testing.TB) int {
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

// Ports are those that an agent listens on.
type Ports struct {
	HTTP, DNS, RPC, LAN int
	WAN                 int // -1: none
}

// FreePorts returns ports that are free, none for a WAN pool.
func FreePorts(t testing.TB) Ports {
	t.Helper()
	return Ports{HTTP: FreePort(t), DNS: FreePort(t), RPC: FreePort(t), LAN: FreePort(t), WAN: -1}
}

// Agent is one agent.
type Agent struct {
	Name, Dir string
	Host      string // the address that it listens at
	Ports
	Args   []string
	Env    []string // more of the environment, for the agent and its command line
	Cmd    *exec.Cmd
	Exited chan struct{} // closed when the process has ended
	t      testing.TB
	log    *os.File
}

// NewAgent lays out an agent on 127.0.0.1, with ports of its own, without starting it. One whose configuration names a
// datacenter has a WAN pool if it is a server.
func NewAgent(t testing.TB, name string, config map[string]any) *Agent {
	t.Helper()
	ports := FreePorts(t)
	if config["datacenter"] != nil {
		ports.WAN = FreePort(t)
	}
	return NewAgentAt(t, name, "127.0.0.1", ports, config)
}

// NewAgentAt lays out an agent at any loopback address. Those at different ones may have the same ports, as agents on
// different machines do.
func NewAgentAt(t testing.TB, name, host string, ports Ports, config map[string]any) *Agent {
	t.Helper()
	p := &Agent{t: t, Name: name, Dir: t.TempDir(), Host: host, Ports: ports}
	c := map[string]any{
		"node_name": name, "datacenter": "dc1", "data_dir": filepath.Join(p.Dir, "data"), "bind_addr": host, "client_addr": host,
		"retry_interval": "200ms", "log_level": "debug",
		"ports":       map[string]any{"http": p.HTTP, "dns": p.DNS, "server": p.RPC, "serf_lan": p.LAN, "serf_wan": p.WAN, "grpc": -1},
		"performance": map[string]any{"raft_multiplier": 1},
	}
	for k, v := range config {
		c[k] = v
	}
	text, err := json.MarshalIndent(c, "", "  ")
	require.NoError(t, err)
	file := filepath.Join(p.Dir, "agent.json")
	require.NoError(t, os.WriteFile(file, text, 0o644))
	p.Args = []string{"agent", "-config-file", file}
	return p
}

func (p *Agent) at(port int) string { return net.JoinHostPort(p.Host, strconv.Itoa(port)) }

// LANAddr is the address that others join it at.
func (p *Agent) LANAddr() string { return p.at(p.LAN) }

// Log is what the agent has logged so far.
func (p *Agent) Log() string {
	text, err := os.ReadFile(filepath.Join(p.Dir, "log"))
	require.NoError(p.t, err)
	return string(text)
}

func (p *Agent) Start() {
	p.t.Helper()
	log, err := os.OpenFile(filepath.Join(p.Dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	require.NoError(p.t, err)
	p.log = log
	p.Cmd = exec.Command(Program(p.t), p.Args...)
	p.Cmd.Stdout, p.Cmd.Stderr = log, log
	p.Cmd.Env = append(os.Environ(), p.Env...)
	require.NoError(p.t, p.Cmd.Start())
	p.Exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan struct{}) {
		cmd.Wait()
		close(exited)
	}(p.Cmd, p.Exited)
	p.t.Cleanup(p.cleanup)
}

func (p *Agent) cleanup() {
	if p.Cmd == nil {
		return
	}
	p.Kill()
	p.log.Close()
	p.Cmd = nil
	if p.t.Failed() {
		text, _ := os.ReadFile(filepath.Join(p.Dir, "log"))
		lines := strings.Split(string(text), "\n")
		p.t.Logf("--- log of %s\n%s", p.Name, strings.Join(lines[max(0, len(lines)-60):], "\n"))
	}
}

// kill ends the process at once.
func (p *Agent) Kill() {
	p.Cmd.Process.Kill()
	<-p.Exited
}

// signal sends a signal and waits for the end of the process.
func (p *Agent) Stop(s syscall.Signal) int {
	p.t.Helper()
	require.NoError(p.t, p.Cmd.Process.Signal(s))
	select {
	case <-p.Exited:
	case <-time.After(Patience):
		p.t.Fatalf("%s does not end on %v", p.Name, s)
	}
	return p.Cmd.ProcessState.ExitCode()
}

var client = &http.Client{Timeout: 30 * time.Second}

// try makes a request, and tells status and body.
func (p *Agent) Try(method, path string, body any) (int, http.Header, []byte, error) {
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
	req, err := http.NewRequest(method, "http://"+p.at(p.HTTP)+path, r)
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
func (p *Agent) Must(method, path string, body any) []byte {
	p.t.Helper()
	status, _, out, err := p.Try(method, path, body)
	require.NoError(p.t, err, "%s %s at %s", method, path, p.Name)
	require.Equal(p.t, 200, status, "%s %s at %s: %s", method, path, p.Name, out)
	return out
}

// get decodes what a GET returns.
func Get[T any](p *Agent, path string) T {
	p.t.Helper()
	var v T
	out := p.Must("GET", path, nil)
	require.NoError(p.t, json.Unmarshal(out, &v), "%s", out)
	return v
}

// Eventually waits until f says that what it looks at has come about; until then it says what is missing.
func Eventually(t testing.TB, what string, f func() (missing string)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
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
func (p *Agent) Lookup(name string, kind uint16) *dns.Msg {
	m := new(dns.Msg)
	m.SetQuestion(name, kind)
	r, _, err := (&dns.Client{Timeout: 5 * time.Second}).Exchange(m, p.at(p.DNS))
	if err != nil {
		return &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: dns.RcodeServerFailure}}
	}
	return r
}

// run runs a command of the binary against the agent.
func (p *Agent) Run(args ...string) (string, int) {
	p.t.Helper()
	cmd := exec.Command(Program(p.t), args...)
	cmd.Env = append(append(os.Environ(), "CONSUL_HTTP_ADDR="+p.at(p.HTTP)), p.Env...)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		p.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// Cluster is three servers and a client agent.
type Cluster struct {
	Servers []*Agent
	Client  *Agent
}

func (c *Cluster) All() []*Agent { return append(append([]*Agent{}, c.Servers...), c.Client) }

func StartCluster(t testing.TB) *Cluster { return startCluster(t, "server-%d", "client-1", nil, nil) }

// StartDatacenter starts a cluster in a datacenter of its own, whose servers have a WAN pool. config is added to that of each agent.
func StartDatacenter(t testing.TB, name string, config map[string]any) *Cluster {
	t.Helper()
	all := map[string]any{"datacenter": name}
	maps.Copy(all, config)
	return startCluster(t, name+"-server-%d", name+"-client", all, nil)
}

// startCluster starts three servers and a client agent; before, if not nil, is called before any of them runs.
func startCluster(t testing.TB, server, client string, config map[string]any, before func(servers []*Agent)) *Cluster {
	t.Helper()
	c := &Cluster{}
	var join []string
	for i := range 3 {
		p := NewAgent(t, fmt.Sprintf(server, i+1), config)
		c.Servers = append(c.Servers, p)
		join = append(join, fmt.Sprintf("127.0.0.1:%d", p.LAN))
	}
	if before != nil {
		before(c.Servers)
	}
	asServer := map[string]any{"server": true, "bootstrap_expect": 3, "autopilot": map[string]any{"server_stabilization_time": "2s"}}
	for _, p := range c.Servers {
		AddConfig(p, asServer, join)
		p.Start()
	}
	c.Client = NewAgent(t, client, config)
	AddConfig(c.Client, nil, join)
	c.Client.Start()
	for _, p := range c.All() {
		p.WaitForLeader()
		Eventually(t, p.Name+" sees the members", func() string {
			if n := len(Get[[]any](p, "/v1/agent/members")); n != 4 {
				return fmt.Sprint(n, " of 4")
			}
			return ""
		})
	}
	return c
}

// AddConfig adds to the configuration of an agent that has not started.
func AddConfig(p *Agent, more map[string]any, join []string) {
	p.t.Helper()
	var own []string
	for _, a := range join {
		if a != p.at(p.LAN) {
			own = append(own, a)
		}
	}
	extra := map[string]any{"retry_join": own}
	for k, v := range more {
		extra[k] = v
	}
	text, err := json.Marshal(extra)
	require.NoError(p.t, err)
	file := p.Dir + "/more.json"
	require.NoError(p.t, os.WriteFile(file, text, 0o644))
	p.Args = append(p.Args, "-config-file", file)
}

func (p *Agent) WaitForLeader() string {
	p.t.Helper()
	var leader string
	Eventually(p.t, p.Name+" knows a leader", func() string {
		status, _, out, err := p.Try("GET", "/v1/status/leader", nil)
		if err != nil || status != 200 || json.Unmarshal(out, &leader) != nil || leader == "" {
			return fmt.Sprint(status, string(out), err)
		}
		return ""
	})
	return leader
}

// leader tells which server leads, and one that does not.
func (c *Cluster) Leader(among ...*Agent) (leader, follower *Agent) {
	addr := among[0].WaitForLeader()
	for _, p := range among {
		if addr == p.at(p.RPC) {
			leader = p
		} else {
			follower = p
		}
	}
	require.NotNil(among[0].t, leader, "the leader %s is none of them", addr)
	return leader, follower
}

// waitFor waits until a list has so many elements.
func (p *Agent) WaitFor(t testing.TB, what, path string, n int) {
	t.Helper()
	Eventually(t, what+" at "+p.Name, func() string {
		status, _, out, err := p.Try("GET", path, nil)
		var list []any
		if err != nil || status != 200 || json.Unmarshal(out, &list) != nil || len(list) != n {
			return fmt.Sprintf("%d %s %v, want %d", status, out, err, n)
		}
		return ""
	})
}

type RaftServer struct {
	ID, Node, Address string
	Leader, Voter     bool
}

func (p *Agent) RaftServers() []RaftServer {
	var v struct{ Servers []RaftServer }
	status, _, out, err := p.Try("GET", "/v1/operator/raft/configuration", nil)
	if err != nil || status != 200 || json.Unmarshal(out, &v) != nil {
		return nil
	}
	return v.Servers
}
