package process

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"time"

	"concord/agent"
	httpapi "concord/api/http"
	"concord/gossip"
	"concord/node"
	"concord/raft"
	"concord/swim"
	"concord/swim/coordinate"
	"concord/wire"
)

// Do carries a request to whoever can answer it.
func (p *Process) Do(ctx context.Context, req *wire.Request) *wire.Response {
	return p.runner.Do(ctx, req)
}

// Leader is the server RPC address of the leader, "" if nobody leads. A client agent asks a server.
func (p *Process) Leader(ctx context.Context) (string, error) {
	if p.cfg.Node.Server {
		var leader string
		err := p.runner.Call(ctx, func(n *node.Node) { leader = string(n.LeaderAddr()) })
		return leader, err
	}
	for _, s := range p.raftServers(ctx) {
		if s.Leader {
			return s.Address, nil
		}
	}
	return "", nil
}

// Peers are the server RPC addresses of the servers in the Raft configuration.
func (p *Process) Peers(ctx context.Context) ([]string, error) {
	peers := []string{}
	if p.cfg.Node.Server {
		err := p.runner.Call(ctx, func(n *node.Node) {
			for _, a := range n.Peers() {
				peers = append(peers, string(a))
			}
		})
		return peers, err
	}
	for _, s := range p.raftServers(ctx) {
		peers = append(peers, s.Address)
	}
	return peers, nil
}

// raftServers asks the servers for the Raft configuration; without a leader there is no answer.
func (p *Process) raftServers(ctx context.Context) []wire.RaftServer {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	resp := p.Do(ctx, &wire.Request{Operator: &wire.Operator{Kind: wire.RaftConfiguration}, Timeout: 2 * time.Second})
	if resp.Code != wire.OK || resp.Operator == nil {
		return nil
	}
	return resp.Operator.Servers
}

// Members lists the members of the LAN pool, or those of the WAN pool, of which there are none at a client agent.
func (p *Process) Members(ctx context.Context, wan bool) ([]httpapi.Member, error) {
	out := []httpapi.Member{}
	err := p.runner.Call(ctx, func(n *node.Node) {
		members := n.Members
		if wan {
			members = n.WANMembers
		}
		for _, m := range members() {
			out = append(out, member(m))
		}
	})
	return out, err
}

var memberStatus = map[swim.State]int{swim.StateAlive: httpapi.MemberAlive, swim.StateSuspect: httpapi.MemberAlive,
	swim.StateDead: httpapi.MemberFailed, swim.StateLeft: httpapi.MemberLeft}

func member(m swim.Member) httpapi.Member {
	return httpapi.Member{Name: m.Name, Addr: m.Addr.Addr().String(), Port: m.Addr.Port(), Tags: m.Tags, Status: memberStatus[m.State],
		ProtocolMin: 1, ProtocolMax: 5, ProtocolCur: 2, DelegateMin: 2, DelegateMax: 5, DelegateCur: 4}
}

// ForceLeave takes a failed member for one that has left.
func (p *Process) ForceLeave(ctx context.Context, name string, prune bool) error {
	var refused error
	if err := p.runner.Call(ctx, func(n *node.Node) { refused = n.ForceLeave(name, prune) }); err != nil {
		return err
	}
	if errors.Is(refused, swim.ErrUnknownMember) {
		return fmt.Errorf("agent: No node found with name '%s'", name) // an internal error to Consul's clients
	}
	return refused
}

// Leave takes the node out of the cluster; the process then ends.
func (p *Process) Leave(ctx context.Context) error {
	left := make(chan struct{})
	if err := p.runner.Call(ctx, func(n *node.Node) { n.Leave(func() { close(left) }) }); err != nil {
		return err
	}
	select {
	case <-left:
	case <-p.runner.Stopped():
	case <-ctx.Done():
		return fmt.Errorf("leave: %w", ctx.Err())
	}
	if p.files != nil && !p.cfg.Rejoin {
		if err := errors.Join(p.files.Write(node.SavedPeers, nil), p.files.Write(node.SavedRemotePeers, nil)); err != nil {
			p.log.Warn("agent: failed to forget the members", "error", err)
		}
	}
	p.log.Info("agent: left the cluster")
	// The answer to who asked is to get out first.
	time.AfterFunc(100*time.Millisecond, p.cancel)
	return nil
}

// Services lists the local services.
func (p *Process) Services(ctx context.Context) (out []agent.Service, err error) {
	err = p.runner.Call(ctx, func(n *node.Node) { out = n.Agent().Services() })
	return out, err
}

// Checks lists the local checks.
func (p *Process) Checks(ctx context.Context) (out []agent.Check, err error) {
	err = p.runner.Call(ctx, func(n *node.Node) { out = n.Agent().Checks() })
	return out, err
}

// change is the local agent at one moment (httpapi.AgentState).
type change struct {
	now time.Duration
	a   *agent.Local
}

func (c change) AddService(def agent.ServiceDefinition) error { return c.a.AddService(c.now, def) }
func (c change) AddServiceReplacingChecks(def agent.ServiceDefinition) error {
	return c.a.AddServiceReplacingChecks(c.now, def)
}
func (c change) RemoveService(id string) error            { return c.a.RemoveService(c.now, id) }
func (c change) AddCheck(def agent.CheckDefinition) error { return c.a.AddCheck(c.now, def) }
func (c change) RemoveCheck(id string) error              { return c.a.RemoveCheck(c.now, id) }
func (c change) SetTTL(id, status, output string) error   { return c.a.SetTTL(c.now, id, status, output) }
func (c change) Maintenance(id string, on bool, reason string) error {
	return c.a.Maintenance(c.now, id, on, reason)
}

// Change changes the local agent.
func (p *Process) Change(ctx context.Context, f httpapi.AgentChange) error {
	var refused error
	err := p.runner.Call(ctx, func(n *node.Node) {
		n.WithAgent(func(now time.Duration, a *agent.Local) { refused = f(change{now, a}) })
	})
	if err = errors.Join(err, refused); err != nil {
		return err
	}
	return p.runner.Settled(ctx) // what was registered is on disk before the answer
}

// Reload reads the configuration again and takes over services, checks and the log level.
func (p *Process) Reload(ctx context.Context) error {
	if p.cfg.Reload == nil {
		return errors.New("this agent has no configuration to reload")
	}
	c, err := p.cfg.Reload()
	if err != nil {
		return fmt.Errorf("reload: %w", err)
	}
	p.log.Info("agent: Reloading configuration...")
	p.log.SetLevel(c.LogLevel)
	return p.reload(c.Services, c.Checks)
}

func (p *Process) reload(services []agent.ServiceDefinition, checks []agent.CheckDefinition) error {
	return p.Change(p.ctx, func(a httpapi.AgentState) error {
		c := a.(change)
		return c.a.LoadConfigServices(c.now, services, checks)
	})
}

// Version is what runs.
func (p *Process) Version() map[string]any {
	return map[string]any{"SHA": p.cfg.Revision, "HumanVersion": p.cfg.Version, "FIPS": ""}
}

// Self describes the agent as /v1/agent/self does.
func (p *Process) Self(ctx context.Context) (map[string]any, error) {
	var self swim.Member
	var st raft.Status
	var counters, wanCounters gossip.Stats
	inWAN, encrypted, encryptedWAN := false, false, false
	members, services, checks := 0, 0, 0
	var coord *coordinate.Coordinate // null if there is none
	err := p.runner.Call(ctx, func(n *node.Node) {
		for _, m := range n.Members() {
			if m.Name == p.cfg.Node.Name {
				self = m
			}
		}
		members, counters = len(n.Members()), n.GossipStats()
		wanCounters, inWAN = n.WANStats()
		encrypted, encryptedWAN = n.Encrypted()
		if c, on := n.Coordinate(); on {
			coord = &c
		}
		services, checks = len(n.Agent().Services()), len(n.Agent().Checks())
		st, _ = n.RaftStatus()
	})
	if err != nil {
		return nil, err
	}
	stats := map[string]map[string]string{
		"agent":    {"check_monitors": "0", "check_ttls": "0", "checks": strconv.Itoa(checks), "services": strconv.Itoa(services)},
		"build":    {"prerelease": "", "revision": p.cfg.Revision, "version": p.cfg.Version},
		"runtime":  runtimeStats(),
		"serf_lan": serfStats(members, counters, encrypted),
		"consul":   {"server": strconv.FormatBool(p.cfg.Node.Server)},
	}
	if inWAN {
		stats["serf_wan"] = serfStats(wanCounters.Alive+wanCounters.Failed+wanCounters.Left, wanCounters, encryptedWAN)
	}
	if p.cfg.Node.Server {
		stats["raft"] = raftStats(st)
		stats["consul"]["bootstrap"] = strconv.FormatBool(p.cfg.Node.Bootstrap)
		stats["consul"]["leader"] = strconv.FormatBool(st.Role == raft.Leader)
		leader, err := p.Leader(ctx)
		if err != nil {
			return nil, err
		}
		stats["consul"]["leader_addr"] = leader
	}
	return map[string]any{
		"Config": map[string]any{"Datacenter": p.cfg.Node.Datacenter, "NodeName": p.cfg.Node.Name, "NodeID": p.id, "Server": p.cfg.Node.Server,
			"Revision": p.cfg.Revision, "Version": p.cfg.Version, "PrimaryDatacenter": p.cfg.Node.Datacenter},
		"DebugConfig": p.cfg.Debug,
		"Coord":       coord,
		"Member":      member(self),
		"Stats":       stats,
		"Meta":        p.cfg.Node.Meta,
	}, nil
}

func serfStats(members int, s gossip.Stats, encrypted bool) map[string]string {
	out := map[string]string{"members": strconv.Itoa(members), "failed": strconv.Itoa(s.Failed), "left": strconv.Itoa(s.Left),
		"health_score": strconv.Itoa(s.Health), "encrypted": strconv.FormatBool(encrypted), "intent_queue": strconv.Itoa(s.Queued),
		"event_queue": strconv.Itoa(s.QueuedEvents), "query_queue": strconv.Itoa(s.QueuedQueries),
		"event_time": strconv.FormatUint(s.EventTime, 10), "query_time": strconv.FormatUint(s.QueryTime, 10)}
	for reason, n := range s.Dropped.ByReason() {
		out["dropped_"+reason] = strconv.FormatUint(n, 10)
	}
	return out
}

func runtimeStats() map[string]string {
	return map[string]string{"arch": runtime.GOARCH, "cpu_count": strconv.Itoa(runtime.NumCPU()), "goroutines": strconv.Itoa(runtime.NumGoroutine()),
		"max_procs": strconv.Itoa(runtime.GOMAXPROCS(0)), "os": runtime.GOOS, "version": runtime.Version()}
}

var raftStates = map[raft.Role]string{raft.Follower: "Follower", raft.PreCandidate: "Candidate", raft.Candidate: "Candidate", raft.Leader: "Leader"}

func raftStats(st raft.Status) map[string]string {
	u := func(v uint64) string { return strconv.FormatUint(v, 10) }
	peers := 0
	for _, s := range st.Config.Servers {
		if s.Suffrage == raft.Voter && s.ID != st.ID {
			peers++
		}
	}
	return map[string]string{"state": raftStates[st.Role], "term": u(st.Term), "last_log_index": u(st.LastIndex), "last_log_term": u(st.LastTerm),
		"commit_index": u(st.CommitIndex), "applied_index": u(st.AppliedIndex), "num_peers": strconv.Itoa(peers), "protocol_version": "3",
		"latest_configuration_index": u(st.ConfigIndex)}
}
