package node

import (
	"errors"
	"time"

	"concord/catalog"
	"concord/raft"
	"concord/raft/autopilot"
	"concord/swim"
	"concord/wire"
)

// pilot lets the leader look at the servers every now and then, and act on what autopilot decides.
type pilot struct {
	at     time.Duration // of the next look; never: not leading
	auto   *autopilot.Autopilot
	config autopilot.Config
	stored bool // config is that of the catalog
}

// pilotInterval is how often the leader looks; Consul's.
const pilotInterval = 2 * time.Second

func newPilot() pilot { return pilot{at: never} }

func (p *pilot) begin(now time.Duration, c catalog.AutopilotConfig) {
	*p = pilot{at: now, auto: autopilot.New(), config: autopilotOf(c)}
}

func (p *pilot) stop() { *p = newPilot() }

func autopilotOf(c catalog.AutopilotConfig) autopilot.Config {
	return autopilot.Config{CleanupDeadServers: c.CleanupDeadServers, LastContactThreshold: time.Duration(c.LastContactThreshold),
		MaxTrailingLogs: c.MaxTrailingLogs, MinQuorum: c.MinQuorum, ServerStabilizationTime: time.Duration(c.ServerStabilizationTime)}
}

func catalogAutopilot(c autopilot.Config) catalog.AutopilotConfig {
	return catalog.AutopilotConfig{CleanupDeadServers: c.CleanupDeadServers, LastContactThreshold: int64(c.LastContactThreshold),
		MaxTrailingLogs: c.MaxTrailingLogs, MinQuorum: c.MinQuorum, ServerStabilizationTime: int64(c.ServerStabilizationTime)}
}

func (s *server) autopilotTick() {
	p := &s.autopilot
	if p.at > s.n.now {
		return
	}
	p.at = s.n.now + pilotInterval
	if !p.stored {
		s.loadAutopilot()
	}
	st := s.raft.Status()
	d, ok := p.auto.Step(s.n.now, p.config, s.facts(st))
	if !ok {
		return
	}
	verb := "promoting server"
	if d.Change.Type == raft.RemoveServer {
		verb = "removing server"
	}
	s.n.log(Info, "autopilot", verb, "id", string(d.Change.Server.ID), "name", s.nameOf(d.Change.Server.ID), "reason", d.Reason)
	_, _, err := s.raft.ProposeChange(s.n.now, d.Change)
	if err != nil && !errors.Is(err, raft.ErrChangePending) && !errors.Is(err, raft.ErrNotReady) {
		s.n.log(Error, "autopilot", "failed to change the raft configuration", "id", string(d.Change.Server.ID), "error", err)
	}
}

// promoteSuccessor makes the nonvoter that is furthest a voter, if there is a healthy one, without waiting until
// it is known to be stable.
func (s *server) promoteSuccessor() {
	st := s.raft.Status()
	var best autopilot.Facts
	for _, f := range s.facts(st).Facts {
		m, ok := st.Config.Server(raft.ID(f.ID))
		trails := f.LastIndex+s.autopilot.config.MaxTrailingLogs < st.LastIndex
		if ok && m.Suffrage == raft.Nonvoter && f.Liveness == autopilot.Alive && !trails && f.LastIndex > best.LastIndex {
			best = f
		}
	}
	if best.ID == "" {
		return
	}
	change := raft.Change{Type: raft.AddVoter, Server: raft.Server{ID: raft.ID(best.ID), Address: best.Address}, PrevIndex: st.ConfigIndex}
	if _, _, err := s.raft.ProposeChange(s.n.now, change); err != nil {
		s.n.log(Warn, "server", "failed to promote a successor before leaving", "server", best.Name, "error", err)
		return
	}
	s.n.log(Info, "autopilot", "promoting server", "id", best.ID, "name", best.Name, "reason", "the last voter leaves")
	s.learnAddresses()
}

// loadAutopilot takes the configuration from the catalog; the first leader of a cluster stores its own.
func (s *server) loadAutopilot() {
	term := s.term
	s.n.ask(&wire.Request{Read: &wire.Read{Query: &catalog.AutopilotQuery{}}}, func(resp *wire.Response) {
		if !s.leads() || s.term != term || resp.Code != wire.OK {
			return // the next look asks again
		}
		s.autopilot.stored = true
		if c := resp.Answer.Value.(*catalog.AutopilotConfig); c != nil {
			s.autopilot.config = autopilotOf(*c)
			return
		}
		s.propose(&catalog.SetAutopilot{Config: s.n.cfg.Autopilot, CAS: true}, func(*wire.Response) {})
	})
}

// noteTopics looks for changes that concern the leader itself.
func (s *server) noteTopics(topics []catalog.Topic) {
	for _, t := range topics {
		if t.Kind == catalog.TopicAutopilot && s.leads() {
			s.autopilot.stored, s.autopilot.at = false, s.n.now
		}
	}
}

var liveness = map[swim.State]autopilot.Liveness{swim.StateAlive: autopilot.Alive, swim.StateSuspect: autopilot.Alive,
	swim.StateDead: autopilot.Failed, swim.StateLeft: autopilot.Left}

// facts is what the leader knows of the servers.
func (s *server) facts(st raft.Status) autopilot.Input {
	in := autopilot.Input{Leader: st.ID, Config: st.Config, ConfigIndex: st.ConfigIndex, LastTerm: st.Term, LastIndex: st.LastIndex}
	followers := map[raft.ID]raft.FollowerStatus{}
	for _, f := range st.Followers {
		followers[f.ID] = f
	}
	for _, m := range s.n.lan.Members() {
		info, ok := s.n.cfg.serverOf(m)
		if !ok {
			continue
		}
		f := autopilot.Facts{ID: info.ID, Name: info.Name, Version: info.Build, Address: string(info.Addr), Liveness: liveness[info.State], LastContact: -1}
		if v, ok := followers[raft.ID(info.ID)]; ok && v.LastContact != 0 {
			// A follower in good health answers every heartbeat: what is beyond that interval is overdue.
			f.LastContact = max(0, s.n.now-v.LastContact-s.n.cfg.Raft.HeartbeatInterval)
			f.LastTerm, f.LastIndex, f.Answers = st.Term, v.Match, s.answers(v)
		}
		in.Facts = append(in.Facts, f)
		delete(followers, raft.ID(info.ID))
	}
	for _, v := range st.Followers {
		if _, unknown := followers[v.ID]; unknown && s.answers(v) { // gossip has not met it yet
			in.Facts = append(in.Facts, autopilot.Facts{ID: string(v.ID), LastContact: -1, Answers: true})
		}
	}
	return in
}

// answers tells whether a follower was heard from within an election timeout.
func (s *server) answers(f raft.FollowerStatus) bool {
	return f.LastContact != 0 && s.n.now-f.LastContact < s.n.cfg.Raft.ElectionTimeout
}

// health is autopilot's report as of now, with StableSince as the time that has passed since. nil: not known yet.
func (s *server) health() *autopilot.Health {
	p := &s.autopilot
	if p.auto == nil {
		return nil
	}
	h := p.auto.Health()
	if len(h.Servers) == 0 {
		return nil
	}
	servers := make([]autopilot.ServerHealth, len(h.Servers))
	for i, v := range h.Servers {
		v.StableSince = s.n.now - v.StableSince
		servers[i] = v
	}
	h.Servers = servers
	return &h
}
