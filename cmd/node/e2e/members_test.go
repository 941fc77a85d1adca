package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"concord/internal/testcluster"
)

// pool is many agents, each at a loopback address of its own with the same ports, as on so many machines.
type pool struct {
	servers, clients []*testcluster.Agent
	ports            testcluster.Ports
	join             []string
}

func (p *pool) all() []*testcluster.Agent { return slices.Concat(p.servers, p.clients) }

const poolServers, poolClients = 3, 29

func startPool(t *testing.T) *pool {
	p := &pool{ports: testcluster.FreePorts(t)}
	for i := range poolServers + poolClients {
		name, host := fmt.Sprintf("client-%d", i), fmt.Sprintf("127.0.32.%d", i+1)
		if i < poolServers {
			name = fmt.Sprintf("server-%d", i)
		}
		a := testcluster.NewAgentAt(t, name, host, p.ports, nil)
		if i < poolServers {
			p.servers, p.join = append(p.servers, a), append(p.join, host)
		} else {
			p.clients = append(p.clients, a)
		}
	}
	for i := range p.join {
		p.join[i] = fmt.Sprintf("%s:%d", p.join[i], p.ports.LAN)
	}
	for _, a := range p.servers {
		testcluster.AddConfig(a, server, p.join)
		a.Start()
	}
	for _, a := range p.clients {
		testcluster.AddConfig(a, nil, p.join)
		a.Start()
	}
	p.servers[0].WaitForLeader()
	return p
}

// states are the members as an agent shows them: state and address, by name.
func states(a *testcluster.Agent) map[string]string {
	var members []struct {
		Name, Addr string
		Status     int
	}
	status, _, out, err := a.Try("GET", "/v1/agent/members", nil)
	if err != nil || status != 200 || json.Unmarshal(out, &members) != nil {
		return nil
	}
	names := map[int]string{1: "alive", 2: "leaving", 3: "left", 4: "failed"}
	got := map[string]string{}
	for _, m := range members {
		got[m.Name] = names[m.Status] + " " + m.Addr
	}
	return got
}

// agree waits until all agents show the same members.
func agree(t *testing.T, what string, agents []*testcluster.Agent, want map[string]string) {
	t.Helper()
	for _, a := range agents {
		testcluster.Eventually(t, what+" at "+a.Name, func() string {
			got := states(a)
			if maps.Equal(got, want) {
				return ""
			}
			return fmt.Sprintf("%v, want %v", got, want)
		})
	}
}

// TestManyAgents kills five of 32 agents at once.
func TestManyAgents(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	testcluster.Program(t) // to build it takes time, too
	began := time.Now()
	p := startPool(t)
	want := map[string]string{}
	for _, a := range p.all() {
		want[a.Name] = "alive " + a.Host
	}
	agree(t, "all alive", p.all(), want)
	t.Logf("32 agents know one another %v after the first one's start", time.Since(began).Round(time.Millisecond))
	leader, _ := (&testcluster.Cluster{}).Leader(p.servers...)
	p.waitForPassing(t, leader)

	watch := watchCritical(leader)
	dead := p.clients[:5]
	p.clients = p.clients[5:]
	killed := time.Now()
	for _, a := range dead {
		a.Kill()
		want[a.Name] = "failed " + a.Host
	}
	agree(t, "five failed", p.all(), want)
	t.Logf("all 27 agree on the five that were killed after %v", time.Since(killed).Round(time.Millisecond))
	for _, a := range p.all() {
		require.Equal(t, names(dead), failedIn(a.Log()), "%s must hold nobody else for failed", a.Name)
	}
	reconciled(t, leader, watch.stop(t, len(dead)))

	prune(t, p, dead[0], want)
	p.restart(t, "a failed one", dead[1], "127.0.32.200", want)
	old := p.clients[0]
	p.clients = p.clients[1:]
	old.Kill()
	p.restart(t, "one just killed", old, "127.0.32.201", want)
}

func names(agents []*testcluster.Agent) (out []string) {
	for _, a := range agents {
		out = append(out, a.Name)
	}
	slices.Sort(out)
	return out
}

// waitForPassing waits until the catalog holds all agents for healthy.
func (p *pool) waitForPassing(t *testing.T, leader *testcluster.Agent) {
	t.Helper()
	testcluster.Eventually(t, "all in the catalog", func() string {
		var checks []struct{ CheckID string }
		_, _, out, err := leader.Try("GET", "/v1/health/state/passing", nil)
		if err != nil || json.Unmarshal(out, &checks) != nil || len(checks) != len(p.all()) {
			return string(out)
		}
		return ""
	})
}

var failedLine = regexp.MustCompile(`(?m)^(\S+) .*EventMemberFailed: (\S+)`)

// failedIn lists who a log says has failed.
func failedIn(log string) (out []string) {
	for _, m := range failedLine.FindAllStringSubmatch(log, -1) {
		out = append(out, m[2])
	}
	slices.Sort(out)
	return out
}

// criticalWatch notes when nodes are critical in the catalog.
type criticalWatch struct {
	mu   sync.Mutex
	at   map[string]time.Time
	done chan struct{}
	wg   sync.WaitGroup
}

// watchCritical follows the critical checks by blocking queries.
func watchCritical(a *testcluster.Agent) *criticalWatch {
	w := &criticalWatch{at: map[string]time.Time{}, done: make(chan struct{})}
	w.wg.Go(func() {
		index := "0"
		for {
			select {
			case <-w.done:
				return
			default:
			}
			var checks []struct{ Node, CheckID string }
			_, header, out, err := a.Try("GET", "/v1/health/state/critical?wait=1s&index="+index, nil)
			if err != nil || json.Unmarshal(out, &checks) != nil {
				continue
			}
			index = header.Get("X-Consul-Index")
			w.note(checks)
		}
	})
	return w
}

func (w *criticalWatch) note(checks []struct{ Node, CheckID string }) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range checks {
		if _, known := w.at[c.Node]; !known && c.CheckID == "serfHealth" {
			w.at[c.Node] = time.Now()
		}
	}
}

// stop waits for so many nodes and returns when each became critical.
func (w *criticalWatch) stop(t *testing.T, nodes int) map[string]time.Time {
	t.Helper()
	testcluster.Eventually(t, "critical in the catalog", func() string {
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.at) < nodes {
			return fmt.Sprint(w.at)
		}
		return ""
	})
	close(w.done)
	w.wg.Wait()
	return w.at
}

// reconciled compares when gossip told the leader of failures with when the catalog had them.
func reconciled(t *testing.T, leader *testcluster.Agent, critical map[string]time.Time) {
	t.Helper()
	var slowest time.Duration
	for _, m := range failedLine.FindAllStringSubmatch(leader.Log(), -1) {
		logged, err := time.Parse("2006-01-02T15:04:05.000Z0700", m[1])
		require.NoError(t, err)
		require.Contains(t, critical, m[2])
		slowest = max(slowest, critical[m[2]].Sub(logged))
	}
	t.Logf("critical in the catalog at most %v after the leader heard of the failure", slowest.Round(time.Millisecond))
	require.Less(t, slowest, time.Second)
}

// prune makes everybody forget a failed member.
func prune(t *testing.T, p *pool, gone *testcluster.Agent, want map[string]string) {
	out, code := p.clients[0].Run("force-leave", "-prune", gone.Name)
	require.Zero(t, code, out)
	delete(want, gone.Name)
	began := time.Now()
	agree(t, gone.Name+" is pruned", p.all(), want)
	t.Logf("pruned everywhere after %v", time.Since(began).Round(time.Millisecond))
	testcluster.Eventually(t, "gone from the catalog", func() string {
		if nodes := string(p.servers[0].Must("GET", "/v1/catalog/nodes", nil)); strings.Contains(nodes, `"`+gone.Name+`"`) {
			return nodes
		}
		return ""
	})
}

// restart starts a dead member's name anew, with an empty data directory at another address: all others must believe it
// within a probe round, of which the process's start takes a part.
func (p *pool) restart(t *testing.T, what string, old *testcluster.Agent, host string, want map[string]string) {
	// Of two claims of one incarnation that of the higher ID wins. This one must be believed although it loses.
	lowest := "00000000-0000-4000-8000-000000000" + host[strings.LastIndexByte(host, '.')+1:]
	successor := testcluster.NewAgentAt(t, old.Name, host, p.ports, map[string]any{"node_id": lowest})
	testcluster.AddConfig(successor, nil, p.join)
	began := time.Now()
	successor.Start()
	want[old.Name] = "alive " + successor.Host
	p.clients = append(p.clients, successor)
	agree(t, old.Name+" is back", p.all(), want)
	t.Logf("restart of %s: believed after %v", what, time.Since(began).Round(time.Millisecond))
	require.Less(t, time.Since(began), 4*time.Second)
	testcluster.Eventually(t, old.Name+" is healthy in the catalog", func() string {
		var node struct{ Node struct{ ID, Address string } }
		_, _, out, err := p.servers[0].Try("GET", "/v1/catalog/node/"+old.Name, nil)
		if err != nil || json.Unmarshal(out, &node) != nil || node.Node.ID != lowest || node.Node.Address != host {
			return string(out)
		}
		_, _, out, _ = p.servers[0].Try("GET", "/v1/health/node/"+old.Name, nil)
		if !strings.Contains(string(out), `"passing"`) {
			return string(out)
		}
		return ""
	})
}
