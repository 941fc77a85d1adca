package testcluster

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// NewGossipAgent lays out a gossip-only agent at a loopback address, without starting it. Its environment has HANDLED, the
// path of a file for what its handlers have to say.
func NewGossipAgent(t testing.TB, name, host string, ports Ports, args ...string) *Agent {
	t.Helper()
	p := &Agent{t: t, Name: name, Dir: t.TempDir(), Host: host, Ports: ports}
	p.Args = append([]string{"gossip", "agent", "-node=" + name, "-bind=" + p.LANAddr(), "-rpc-addr=" + p.RPCAddr(), "-profile=local"}, args...)
	p.Env = []string{"HANDLED=" + p.handled(), "SERF_RPC_ADDR=" + p.RPCAddr()}
	return p
}

// RPCAddr is where a gossip-only agent listens for its command line.
func (p *Agent) RPCAddr() string { return p.at(p.RPC) }

func (p *Agent) handled() string { return filepath.Join(p.Dir, "handled") }

// Handled is what handlers have written so far.
func (p *Agent) Handled() string {
	p.t.Helper()
	data, err := os.ReadFile(p.handled())
	if !os.IsNotExist(err) {
		require.NoError(p.t, err)
	}
	return string(data)
}

// Gossip runs a verb of the command line for gossip-only agents, which must succeed, and returns what it prints.
func (p *Agent) Gossip(args ...string) string {
	p.t.Helper()
	out, code := p.Run(append([]string{"gossip"}, args...)...)
	require.Zero(p.t, code, "%v: %s", args, out)
	return out
}

// AwaitGossip waits until a verb prints something.
func (p *Agent) AwaitGossip(want string, args ...string) {
	p.t.Helper()
	Eventually(p.t, fmt.Sprint(p.Name, ": ", args), func() string {
		out, code := p.Run(append([]string{"gossip"}, args...)...)
		if code == 0 && out == want {
			return ""
		}
		return fmt.Sprintf("code %d:\n%swant:\n%s", code, out, want)
	})
}
