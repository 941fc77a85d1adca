package node

import "concord/raft"

// onLost deals with a server that came back without what it had acknowledged: its votes and
// answers may contradict what it has forgotten. As a nonvoter it catches up, and autopilot makes it a
// voter again.
func (s *server) onLost(id raft.ID) {
	if !s.lost[id] {
		s.lost[id] = true
		s.n.log(Error, "raft", "server has lost its raft log; it is a nonvoter until it has caught up", "server", s.nameOf(id), "id", string(id))
	}
	if !s.config.HasVoter(id) {
		return
	}
	// Raft tells again with the next heartbeat, so that a change that is refused now is tried again.
	if _, _, err := s.raft.ProposeChange(s.n.now, raft.Change{Type: raft.DemoteVoter, Server: raft.Server{ID: id}}); err == nil {
		s.learnAddresses()
	}
}
