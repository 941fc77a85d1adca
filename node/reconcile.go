package node

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"concord/catalog"
	"concord/raft"
	"concord/swim"
	"concord/wire"
)

// reconciler lets the leader bring the catalog and the Raft configuration in line with gossip.
type reconciler struct {
	at      time.Duration // of the next pass; never: not leading
	leading bool
	running bool
	again   bool
}

const (
	// reconcileInterval is how often the leader looks without a reason; Consul's.
	reconcileInterval = time.Minute
	// reconcileDelay gathers a burst of member events into one pass.
	reconcileDelay = 50 * time.Millisecond
)

func newReconciler() reconciler { return reconciler{at: never} }

func (r *reconciler) begin(now time.Duration) { *r = reconciler{at: now, leading: true} }
func (r *reconciler) stop()                   { *r = reconciler{at: never} }

// reconcileSoon asks for a pass because something changed.
func (s *server) reconcileSoon() {
	if s.reconcile.leading {
		s.reconcile.again = s.reconcile.running
		s.reconcile.at = min(s.reconcile.at, s.n.now+reconcileDelay)
	}
}

func (s *server) reconcileTick() {
	r := &s.reconcile
	if r.at > s.n.now {
		return
	}
	r.at = s.n.now + reconcileInterval
	if r.running {
		r.again = true
		return
	}
	r.running = true
	s.reconcileServers()
	s.lookAtCatalog()
}

// registered is what the catalog has of gossip's members.
type registered struct {
	nodes   map[string]*catalog.Node
	checks  map[string]*catalog.HealthCheck // serfHealth, by node
	servers map[string]*catalog.ServiceNode // the consul service, by node
}

// lookAtCatalog reads what the catalog has, as the leader, and goes on with reconcileMembers.
func (s *server) lookAtCatalog() {
	term := s.term
	reg := registered{map[string]*catalog.Node{}, map[string]*catalog.HealthCheck{}, map[string]*catalog.ServiceNode{}}
	read := func(q catalog.Query, then func(any)) {
		s.n.ask(&wire.Request{Read: &wire.Read{Query: q}}, func(resp *wire.Response) {
			if !s.leads() || s.term != term {
				return // the next leader does it
			}
			if resp.Code != wire.OK {
				s.n.log(Error, "server", "failed to reconcile", "error", resp.Err)
				s.reconciled()
				return
			}
			then(resp.Answer.Value)
		})
	}
	read(&catalog.NodesQuery{}, func(v any) {
		for _, node := range v.([]*catalog.Node) {
			reg.nodes[node.Node] = node
		}
		read(&catalog.StateChecksQuery{State: catalog.HealthAny}, func(v any) {
			for _, c := range v.([]*catalog.HealthCheck) {
				if c.CheckID == catalog.SerfCheckID {
					reg.checks[c.Node] = c
				}
			}
			read(&catalog.ServiceNodesQuery{Service: catalog.ConsulServiceName}, func(v any) {
				for _, i := range v.([]*catalog.ServiceNode) {
					reg.servers[i.Node] = i
				}
				s.reconcileMembers(reg)
				s.reconciled()
			})
		})
	})
}

func (s *server) reconciled() {
	s.reconcile.running = false
	if s.reconcile.again {
		s.reconcile.again = false
		s.reconcileSoon()
	}
}

func (s *server) reconcileMembers(reg registered) {
	if s.displace(reg) {
		s.reconcile.again = true
	}
	seen := map[string]bool{}
	for _, m := range s.n.lan.Members() {
		seen[m.Name] = true
		switch m.State {
		case swim.StateAlive, swim.StateSuspect:
			s.memberAlive(m, reg)
		case swim.StateDead:
			s.memberFailed(m, reg)
		case swim.StateLeft:
			s.memberGone(m.Name, "left", reg)
		}
	}
	for _, name := range sortedNames(reg.checks) {
		if !seen[name] {
			s.memberGone(name, "reaped", reg)
		}
	}
}

// displace takes the names of living members from nodes with another ID, and tells whether there were any. That the
// catalog holds such a node for alive would keep the name for it (catalog, reserved). But it is a node of a restored
// snapshot, which was saved elsewhere, or the member's former self before it lost its data; gossip believes one only of two
// live nodes with one name.
func (s *server) displace(reg registered) (any bool) {
	for _, m := range s.n.lan.Members() {
		node, check := reg.nodes[m.Name], reg.checks[m.Name]
		if m.State != swim.StateAlive || node == nil || node.ID == "" || node.ID == m.ID || check == nil || check.Status == catalog.HealthCritical {
			continue
		}
		any = true
		s.n.log(Info, "server", "a member has the name of another node, which gives way", "member", m.Name, "id", m.ID, "other", node.ID)
		s.reconcilePropose(&catalog.Register{ID: node.ID, Node: node.Node, Address: node.Address, Datacenter: s.n.cfg.Datacenter, SkipNodeUpdate: true,
			Check: serfCheck(m.Name, catalog.HealthCritical, catalog.SerfFailedOutput)}, m.Name)
	}
	return any
}

func (s *server) memberAlive(m swim.Member, reg registered) {
	node, check := reg.nodes[m.Name], reg.checks[m.Name]
	addr := m.Addr.Addr().String()
	cmd := &catalog.Register{ID: m.ID, Node: m.Name, Address: addr, Datacenter: s.n.cfg.Datacenter,
		Check: serfCheck(m.Name, catalog.HealthPassing, catalog.SerfAliveOutput)}
	// What the node says of itself (metadata, other addresses) is its own to update. It may have done so since the catalog was looked at.
	known := node != nil && node.ID == m.ID && node.Address == addr
	cmd.SkipNodeUpdate = known || node == nil
	same := known && check != nil && check.Status == catalog.HealthPassing
	if info, ok := s.n.cfg.serverOf(m); ok {
		cmd.Service = consulService(info)
		have := reg.servers[m.Name]
		same = same && have != nil && have.ServicePort == cmd.Service.Port && have.ServiceMeta["version"] == info.Build
	}
	if same {
		return
	}
	s.n.log(Info, "server", "member joined, marking health alive", "member", m.Name)
	s.reconcilePropose(cmd, m.Name)
}

func (s *server) memberFailed(m swim.Member, reg registered) {
	check := reg.checks[m.Name]
	if reg.nodes[m.Name] == nil || check != nil && check.Status == catalog.HealthCritical {
		return
	}
	s.n.log(Info, "server", "member failed, marking health critical", "member", m.Name)
	s.reconcilePropose(&catalog.Register{ID: m.ID, Node: m.Name, Address: m.Addr.Addr().String(), Datacenter: s.n.cfg.Datacenter,
		SkipNodeUpdate: true, Check: serfCheck(m.Name, catalog.HealthCritical, catalog.SerfFailedOutput)}, m.Name)
}

func (s *server) memberGone(name, reason string, reg registered) {
	if reg.nodes[name] == nil || name == s.n.cfg.Name {
		return
	}
	s.n.log(Info, "server", "deregistering member", "member", name, "reason", reason)
	s.reconcilePropose(&catalog.Deregister{Datacenter: s.n.cfg.Datacenter, Node: name}, name)
}

func (s *server) reconcilePropose(cmd catalog.Command, member string) {
	s.propose(cmd, func(resp *wire.Response) {
		err := resp.Err
		if resp.Result != nil {
			err = resp.Result.Err
		}
		if err != "" {
			s.n.log(Error, "server", "failed to reconcile member", "member", member, "error", err)
			s.reconcile.at = min(s.reconcile.at, s.n.now+time.Second)
		}
	})
}

func serfCheck(node, status, output string) *catalog.HealthCheck {
	return &catalog.HealthCheck{Node: node, CheckID: catalog.SerfCheckID, Name: catalog.SerfCheckName, Status: status, Output: output}
}

// reconcileServers brings the Raft configuration in line with gossip, one change at a time (thesis
// section 4.1): what is left over waits for the next pass.
func (s *server) reconcileServers() {
	st := s.raft.Status()
	change, ok := s.nextChange(st)
	if !ok {
		return
	}
	change.PrevIndex = st.ConfigIndex
	_, _, err := s.raft.ProposeChange(s.n.now, change)
	if err != nil && err != raft.ErrNotReady && err != raft.ErrChangePending {
		s.n.log(Error, "server", "failed to change the raft configuration", "server", string(change.Server.ID), "error", err)
	}
	s.reconcile.at = min(s.reconcile.at, s.n.now+reconcileDelay)
}

// nextChange finds a difference between gossip and the configuration.
func (s *server) nextChange(st raft.Status) (raft.Change, bool) {
	inConfig := map[string]raft.Server{}
	byAddress := map[string]raft.Server{}
	for _, v := range st.Config.Servers {
		inConfig[string(v.ID)], byAddress[v.Address] = v, v
	}
	for _, m := range s.n.lan.Members() {
		info, ok := s.n.cfg.serverOf(m)
		if !ok {
			continue
		}
		have, in := inConfig[info.ID]
		switch {
		case m.State == swim.StateLeft && in && info.ID != s.n.cfg.ID:
			s.n.log(Info, "server", "removing server that left", "server", info.Name, "id", info.ID)
			return raft.Change{Type: raft.RemoveServer, Server: have}, true
		case m.State != swim.StateAlive:
		case !in:
			if old, taken := byAddress[string(info.Addr)]; taken {
				// A server that was wiped comes back under a new ID: the old one can never answer there again.
				s.n.log(Info, "server", "removing server with the address of another", "id", string(old.ID), "address", old.Address)
				return raft.Change{Type: raft.RemoveServer, Server: old}, true
			}
			s.n.log(Info, "server", "adding server as nonvoter", "server", info.Name, "id", info.ID, "address", string(info.Addr))
			return raft.Change{Type: raft.AddNonvoter, Server: raft.Server{ID: raft.ID(info.ID), Address: string(info.Addr)}}, true
		case have.Address != string(info.Addr):
			s.n.log(Info, "server", "updating server address", "server", info.Name, "id", info.ID, "address", string(info.Addr))
			kind := raft.AddNonvoter
			if have.Suffrage == raft.Voter {
				kind = raft.AddVoter
			}
			return raft.Change{Type: kind, Server: raft.Server{ID: have.ID, Address: string(info.Addr)}}, true
		}
	}
	return raft.Change{}, false
}

// consulService is the service under which a server itself is found.
func consulService(info serverInfo) *catalog.NodeService {
	port := 0
	if a, err := netip.ParseAddrPort(string(info.Addr)); err == nil {
		port = int(a.Port())
	}
	return &catalog.NodeService{ID: catalog.ConsulServiceID, Service: catalog.ConsulServiceName, Port: port,
		Tags: []string{}, Meta: map[string]string{"version": info.Build}}
}

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
