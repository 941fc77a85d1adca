package autopilot

import (
	"time"

	"concord/raft"
	"concord/raft/quorum"
)

// Input is what the leader knows at one moment.
type Input struct {
	Leader      raft.ID
	Config      raft.Configuration
	ConfigIndex uint64
	// LastTerm and LastIndex are the end of the leader's log.
	LastTerm, LastIndex uint64
	// Facts of the servers; none for a server means that gossip never saw it.
	Facts []Facts
}

// Decision is a membership change that the leader shall propose.
type Decision struct {
	Change raft.Change
	// Reason is for the log.
	Reason string
}

// Autopilot remembers since when servers have been as they are. A leader begins with a
// new one: what another leader saw is not known to it.
type Autopilot struct {
	servers map[raft.ID]*server
	health  Health
}

// server is what is remembered of a member.
type server struct {
	ServerHealth
	liveness  Liveness
	deadSince time.Duration // valid while not Alive
}

// New returns an autopilot that has seen nothing.
func New() *Autopilot { return &Autopilot{servers: map[raft.ID]*server{}} }

// Health returns the report as of the last Step.
func (a *Autopilot) Health() Health { return a.health }

// Step takes in what is known at now, and decides on at most one change: one at a time,
// because the next one depends on what became of it. Call it every few seconds.
//
// In this order: dead nonvoters are removed, stable nonvoters promoted, dead voters
// removed.
func (a *Autopilot) Step(now time.Duration, cfg Config, in Input) (Decision, bool) {
	a.observe(now, cfg, &in)
	a.health = a.report(&in)
	for _, decide := range [...]func(time.Duration, Config, *Input) (Decision, bool){a.removeNonvoter, a.promote, a.removeVoter} {
		if d, ok := decide(now, cfg, &in); ok {
			d.Change.PrevIndex = in.ConfigIndex
			return d, true
		}
	}
	return Decision{}, false
}

// observe updates what is remembered of each member.
func (a *Autopilot) observe(now time.Duration, cfg Config, in *Input) {
	facts := make(map[raft.ID]*Facts, len(in.Facts))
	for i := range in.Facts {
		facts[raft.ID(in.Facts[i].ID)] = &in.Facts[i]
	}
	members := make(map[raft.ID]*server, len(in.Config.Servers))
	for _, m := range in.Config.Servers {
		f := facts[m.ID]
		if f == nil {
			f = &Facts{ID: string(m.ID), LastContact: -1}
		}
		s, known := a.servers[m.ID]
		if !known {
			s = &server{ServerHealth: ServerHealth{StableSince: now}, liveness: Alive}
		}
		members[m.ID] = s
		s.observe(now, cfg, in, m, f, known)
	}
	a.servers = members
}

func (s *server) observe(now time.Duration, cfg Config, in *Input, m raft.Server, f *Facts, known bool) {
	healthy := healthy(cfg, in, f)
	if known && healthy != s.Healthy {
		s.StableSince = now
	}
	liveness := f.Liveness
	if f.Answers && liveness != Left {
		liveness = Alive
	}
	if liveness != Alive && s.liveness == Alive {
		s.deadSince = now
	}
	s.liveness = liveness
	s.ServerHealth = ServerHealth{
		ID: string(m.ID), Name: f.Name, Address: f.Address, Version: f.Version, SerfStatus: f.Liveness.String(),
		Leader: m.ID == in.Leader, Voter: m.Suffrage == raft.Voter, Healthy: healthy,
		LastContact: f.LastContact, LastTerm: f.LastTerm, LastIndex: f.LastIndex, StableSince: s.StableSince,
	}
	if s.Address == "" {
		s.Address = m.Address
	}
	if s.Leader {
		s.LastContact, s.LastTerm, s.LastIndex = 0, in.LastTerm, in.LastIndex
	}
}

// healthy is Consul's definition: alive, in touch with the leader, in its term, and not
// far behind.
func healthy(cfg Config, in *Input, f *Facts) bool {
	if f.Liveness != Alive {
		return false
	}
	return raft.ID(f.ID) == in.Leader ||
		f.LastContact >= 0 && f.LastContact <= cfg.LastContactThreshold &&
			f.LastTerm == in.LastTerm && f.LastIndex+cfg.MaxTrailingLogs >= in.LastIndex
}

func (a *Autopilot) report(in *Input) Health {
	h := Health{Healthy: true}
	healthyVoters := 0
	for _, m := range in.Config.Servers {
		s := a.servers[m.ID]
		h.Servers = append(h.Servers, s.ServerHealth)
		h.Healthy = h.Healthy && s.Healthy
		if s.Voter && s.Healthy {
			healthyVoters++
		}
	}
	h.FailureTolerance = max(0, healthyVoters-quorum.Size(in.Config.Voters()))
	return h
}

// promote picks the nonvoter with the smallest ID that has been healthy long enough.
func (a *Autopilot) promote(now time.Duration, cfg Config, in *Input) (Decision, bool) {
	for _, m := range in.Config.Servers {
		s := a.servers[m.ID]
		if m.Suffrage == raft.Nonvoter && s.Healthy && now-s.StableSince >= cfg.ServerStabilizationTime {
			return Decision{raft.Change{Type: raft.AddVoter, Server: m}, "stable for the stabilization time"}, true
		}
	}
	return Decision{}, false
}

// removable tells whether a server may be taken for dead for good. One that left said so; another
// might only be restarting, or gossip not yet have met it, so it gets the time
// that a new server needs to be trusted.
func (s *server) removable(now time.Duration, cfg Config) bool {
	switch s.liveness {
	case Alive:
		return false
	case Left:
		return true
	default:
		return now-s.deadSince >= cfg.ServerStabilizationTime
	}
}

// removeNonvoter removes a dead server without a vote, which never touches the quorum.
func (a *Autopilot) removeNonvoter(now time.Duration, cfg Config, in *Input) (Decision, bool) {
	if !cfg.CleanupDeadServers {
		return Decision{}, false
	}
	for _, m := range in.Config.Servers {
		if s := a.servers[m.ID]; m.Suffrage == raft.Nonvoter && m.ID != in.Leader && s.removable(now, cfg) {
			return removal(m, s), true
		}
	}
	return Decision{}, false
}

// removeVoter removes a dead voter while fewer than half of the voters are dead, and no fewer than MinQuorum are left.
// If half of them or more are dead, the failure may as well be the network's, and removing would lower the
// quorum to those on this side of it. Nonvoters do not count: a successor stands in for a dead voter
// only once it votes itself.
func (a *Autopilot) removeVoter(now time.Duration, cfg Config, in *Input) (Decision, bool) {
	voters, dead := in.Config.Voters(), 0
	for _, m := range in.Config.Servers {
		if m.Suffrage == raft.Voter && a.servers[m.ID].liveness != Alive {
			dead++
		}
	}
	if !cfg.CleanupDeadServers || 2*dead >= voters || uint(voters) <= cfg.MinQuorum {
		return Decision{}, false
	}
	for _, m := range in.Config.Servers {
		if s := a.servers[m.ID]; m.Suffrage == raft.Voter && m.ID != in.Leader && s.removable(now, cfg) {
			return removal(m, s), true
		}
	}
	return Decision{}, false
}

func removal(m raft.Server, s *server) Decision {
	return Decision{raft.Change{Type: raft.RemoveServer, Server: m}, "gossip says " + s.liveness.String()}
}
