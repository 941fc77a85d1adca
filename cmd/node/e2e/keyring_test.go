package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"concord/internal/testcluster"
)

// newKey is what `node keygen` prints.
func newKey(t *testing.T, p *testcluster.Agent) string {
	t.Helper()
	out, code := p.Run("keygen")
	require.Zero(t, code, out)
	return strings.TrimSpace(out)
}

const firstKey = "cg8StVXbQJ0gPvMd9o7yrg==" // AES-128

// TestKeyRotation: a key is replaced by another in both pools, while clients write, and nobody notices.
func TestKeyRotation(t *testing.T) {
	if testing.Short() {
		t.Skip("starts agents")
	}
	t.Parallel()
	c := testcluster.StartDatacenter(t, "dc1", map[string]any{"encrypt": firstKey, "gossip_lan": map[string]any{"preset": "fast", "label": "prod"}})
	for _, p := range c.Servers {
		seesAll(t, p, 3)
	}
	load := startLoad(c)
	next := newKey(t, c.Client)
	both := []int{4, 3} // members of the LAN pool, of the WAN pool
	begun := time.Now()
	for i, args := range [][]string{{"-install", next}, {"-use", next}, {"-remove", firstKey}} {
		out, code := c.Servers[i].Run(append([]string{"keyring", "-relay-factor", "1"}, args...)...)
		require.Zero(t, code, out)
	}
	t.Logf("rotated in both pools in %v", time.Since(begun))
	out, code := c.Servers[0].Run("keyring", "-list")
	require.Zero(t, code, out)
	require.Equal(t, fmt.Sprintf("==> Gathering installed encryption keys...\n\nWAN:\n  %s [%d/%d]\n\ndc1 (LAN):\n  %s [%d/%d]\n", next, both[1], both[1], next, both[0], both[0]), out)
	load.stop(t)

	for _, p := range c.All() {
		require.NotContains(t, p.Log(), "EventMemberFailed", "%s lost a member", p.Name)
		require.NotContains(t, p.Log(), next, "a key is in the log")
		require.NotContains(t, p.Log(), firstKey, "a key is in the log")
		self := string(p.Must("GET", "/v1/agent/self", nil))
		require.Contains(t, self, `"encrypted":"true"`)
		require.NotContains(t, self, firstKey)
	}
	refusesBadKeys(t, c, next)
	restartsWithItsKeyring(t, c, next)
	strangerStaysOut(t, c)
}

// load writes at each agent as fast as it answers, and looks at who is a member.
type load struct {
	end    chan struct{}
	wg     sync.WaitGroup
	mu     sync.Mutex
	writes int
	failed []string
}

func startLoad(c *testcluster.Cluster) *load {
	l := &load{end: make(chan struct{})}
	for i, p := range c.All() {
		l.wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-l.end:
					return
				default:
				}
				status, _, out, err := p.Try("PUT", fmt.Sprintf("/v1/kv/load/%d", i), fmt.Sprint(n))
				l.mu.Lock()
				if l.writes++; err != nil || status != 200 || string(out) != "true" {
					l.failed = append(l.failed, fmt.Sprintf("write at %s: %d %s %v", p.Name, status, out, err))
				}
				l.mu.Unlock()
				l.look(p, len(c.All()))
			}
		})
	}
	return l
}

// look finds out whether an agent takes all members for alive.
func (l *load) look(p *testcluster.Agent, members int) {
	status, _, out, err := p.Try("GET", "/v1/agent/members", nil)
	var list []wanMember
	if err != nil || status != 200 || json.Unmarshal(out, &list) != nil {
		return
	}
	alive := 0
	for _, m := range list {
		if m.Status == 1 {
			alive++
		}
	}
	if alive != members {
		l.mu.Lock()
		l.failed = append(l.failed, fmt.Sprintf("%s sees %d members alive: %s", p.Name, alive, out))
		l.mu.Unlock()
	}
}

func (l *load) stop(t *testing.T) {
	t.Helper()
	close(l.end)
	l.wg.Wait()
	require.Empty(t, l.failed)
	require.Greater(t, l.writes, 100)
	t.Logf("%d writes, none failed", l.writes)
}

func refusesBadKeys(t *testing.T, c *testcluster.Cluster, primary string) {
	for _, b := range []struct {
		flag, key, want string
	}{
		{"-install", "AAAA", "key size must be 16, 24 or 32 bytes"},
		{"-use", firstKey, "cannot use-key, nothing was changed"},
		{"-remove", primary, "Removing the primary key is not allowed"},
	} {
		out, code := c.Servers[0].Run("keyring", b.flag, b.key)
		require.Equal(t, 1, code, out)
		require.Contains(t, out, b.want)
	}
	out, code := c.Client.Run("keyring", "-list")
	require.Equal(t, 1, code)
	require.Contains(t, out, "keyring operations must run against a server node")
}

// restartsWithItsKeyring: the key of the configuration is the one that was removed; the keyring has the one that counts.
func restartsWithItsKeyring(t *testing.T, c *testcluster.Cluster, key string) {
	p := c.Servers[2]
	p.Kill()
	for _, name := range []string{"local.keyring", "remote.keyring"} {
		path := filepath.Join(p.Dir, "data", "serf", name)
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.JSONEq(t, `["`+key+`"]`, string(text))
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
	p.Start()
	p.WaitForLeader()
	for _, o := range c.Servers {
		seesAll(t, o, 3)
	}
	require.Contains(t, p.Log(), "LAN keyring exists but -encrypt given, using keyring")
}

// strangerStaysOut: agents with another key, another label or no key cannot join, and both sides say why.
func strangerStaysOut(t *testing.T, c *testcluster.Cluster) {
	label := map[string]any{"gossip_lan": map[string]any{"label": "prod"}}
	for _, s := range []struct {
		name, why string
		cfg       map[string]any
	}{
		{"wrong-key", "sealed with a key that is not in the keyring", map[string]any{"encrypt": firstKey, "gossip_lan": label["gossip_lan"]}},
		{"no-key", "message is not encrypted", label},
	} {
		p := testcluster.NewAgent(t, s.name, s.cfg)
		p.Start()
		allAlive(t, p, 1)
		out, code := p.Run("join", c.Servers[0].LANAddr())
		require.Equal(t, 1, code, out)
		require.Contains(t, out, "with the same encryption key?")
		testcluster.Eventually(t, "the stranger is told of", func() string {
			if !strings.Contains(c.Servers[0].Log(), s.why) {
				return "nothing in the log"
			}
			return ""
		})
		require.Equal(t, 0, p.Stop(syscall.SIGTERM))
	}
	out, code := c.Servers[0].Run("info")
	require.Zero(t, code, out)
	require.Regexp(t, `dropped_wrong_key = [1-9]`, out)
	require.Regexp(t, `dropped_plaintext = [1-9]`, out)
	for _, p := range c.All() {
		p.WaitFor(t, "the members", "/v1/agent/members", 4)
	}
}

// TestRollingEncryptionIn: a pool that runs in the clear is encrypted by three restarts of each agent.
func TestRollingEncryptionIn(t *testing.T) {
	if testing.Short() {
		t.Skip("starts agents")
	}
	t.Parallel()
	c := testcluster.StartCluster(t)
	steps := []map[string]any{
		{"encrypt": firstKey, "encrypt_verify_incoming": false, "encrypt_verify_outgoing": false},
		{"encrypt_verify_incoming": false, "encrypt_verify_outgoing": true},
		{"encrypt_verify_incoming": true, "encrypt_verify_outgoing": true},
	}
	for i, step := range steps {
		for _, p := range c.All() {
			text, err := json.Marshal(step)
			require.NoError(t, err)
			file := filepath.Join(p.Dir, fmt.Sprintf("step%d.json", i))
			require.NoError(t, os.WriteFile(file, text, 0o600))
			p.Args = append(p.Args, "-config-file", file)
			p.Kill()
			p.Start()
			p.WaitForLeader()
			for _, o := range c.All() {
				allAlive(t, o, 4)
			}
		}
	}
	out, code := c.Servers[1].Run("keyring", "-list")
	require.Zero(t, code, out)
	require.Contains(t, out, firstKey+" [4/4]")
	for _, p := range c.All() {
		require.NotContains(t, p.Log(), "message is not encrypted", "%s refused a member", p.Name)
	}
}

func allAlive(t *testing.T, p *testcluster.Agent, n int) {
	t.Helper()
	testcluster.Eventually(t, p.Name+" sees the members", func() string {
		status, _, out, err := p.Try("GET", "/v1/agent/members", nil)
		var list []wanMember
		if err != nil || status != 200 || json.Unmarshal(out, &list) != nil {
			return fmt.Sprint(status, err)
		}
		alive := 0
		for _, m := range list {
			if m.Status == 1 {
				alive++
			}
		}
		if alive != n {
			return fmt.Sprintf("%d of %d", alive, n)
		}
		return ""
	})
}

// TestKeysOfAllDatacenters: an operation at one server reaches the agents of every datacenter.
func TestKeysOfAllDatacenters(t *testing.T) {
	if testing.Short() {
		t.Skip("starts agents")
	}
	t.Parallel()
	var servers []*testcluster.Agent
	for _, dc := range []string{"dc1", "dc2"} {
		p := testcluster.NewAgent(t, dc+"-server", map[string]any{"datacenter": dc, "server": true, "bootstrap": true, "encrypt": firstKey,
			"gossip_lan": map[string]any{"preset": "fast"}, "gossip_wan": map[string]any{"preset": "fast"}})
		p.Start()
		p.WaitForLeader()
		servers = append(servers, p)
	}
	out, code := servers[0].Run("join", "-wan", fmt.Sprintf("127.0.0.1:%d", servers[1].WAN))
	require.Zero(t, code, out)
	for _, p := range servers {
		seesAll(t, p, 2)
	}
	next := newKey(t, servers[0])
	for _, args := range [][]string{{"-install", next}, {"-use", next}, {"-remove", firstKey}} {
		out, code := servers[0].Run(append([]string{"keyring"}, args...)...)
		require.Zero(t, code, out)
	}
	out, code = servers[1].Run("keyring", "-list-primary")
	require.Zero(t, code, out)
	require.Contains(t, out, "WAN:\n  "+next+" [2/2]\n\ndc2 (LAN):\n  "+next+" [1/1]\n\ndc1 (LAN):\n  "+next+" [1/1]\n")
	out, code = servers[1].Run("keyring", "-list", "-local-only")
	require.Zero(t, code, out)
	require.NotContains(t, out, "dc1")
	require.NotContains(t, out, "WAN")
	seesAll(t, servers[0], 2)
}
