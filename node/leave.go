package node

import (
	"concord/raft"
	"time"
)

// leaving is how far the node has come in leaving its cluster: first a leader hands over, then the others are
// told, then a server waits until it is out of the configuration.
type leaving struct {
	phase leavePhase
	until time.Duration // of the phase
	done  []func()
}

type leavePhase uint8

const (
	staying leavePhase = iota
	handingOver
	tellingOthers
	waitingForRemoval
	left
)

func (l *leaving) deadline() time.Duration {
	if l.phase == staying || l.phase == left {
		return never
	}
	return l.until
}

// Leave takes the node out of its cluster in good order, and calls done when the process may end.
func (n *Node) Leave(done func()) {
	n.begin()
	l := &n.leave
	if l.phase == left {
		done()
		return
	}
	l.done = append(l.done, done)
	if l.phase != staying {
		return
	}
	n.log(Info, "agent", "leaving the cluster")
	l.phase, l.until = handingOver, n.now+n.cfg.LeaveTimeout
	n.leaveTick()
}

// handedOver gives leadership to another voter, and tells whether one leads. The last voter makes one first: else servers
// that leave and come back one after the other, faster than autopilot promotes them, would end without any.
func (s *server) handedOver() bool {
	if !s.leads() {
		return s.leader != ""
	}
	if s.otherVoters() == 0 {
		s.promoteSuccessor()
	}
	if s.otherVoters() == 0 {
		return true // nobody can lead instead
	}
	if s.raft.Status().TransferTo == "" {
		if err := s.raft.TransferLeadership(s.n.now, ""); err != nil {
			s.n.log(Warn, "server", "failed to transfer leadership before leaving", "error", err)
		}
	}
	return false
}

// leaveTick goes on with leaving, as far as it may.
func (n *Node) leaveTick() {
	l := &n.leave
	over := n.now >= l.until
	if l.phase == handingOver && (n.server == nil || over || n.server.handedOver()) {
		l.phase, l.until = tellingOthers, n.now+n.cfg.LeaveTimeout
		over = false
		for _, p := range n.pools {
			p.Leave(n.now)
		}
	}
	if l.phase == tellingOthers && (n.gossipLeft() || over) {
		l.phase, l.until = waitingForRemoval, n.now+n.cfg.LeaveTimeout
		over = false
	}
	if l.phase == waitingForRemoval && (n.server == nil || n.server.otherVoters() == 0 || !n.server.member() || over) {
		l.phase = left
		for _, done := range l.done {
			done()
		}
		l.done = nil
	}
}

// gossipLeft tells whether the members of all pools know that this one leaves.
func (n *Node) gossipLeft() bool {
	return n.lan.left && (n.wan == nil || n.wan.left)
}

// otherVoters counts the voters besides this server.
func (s *server) otherVoters() int {
	others := 0
	for _, v := range s.config.Servers {
		if v.Suffrage == raft.Voter && v.ID != s.n.cfg.Raft.ID {
			others++
		}
	}
	return others
}

// member tells whether this server is in the configuration.
func (s *server) member() bool {
	for _, v := range s.config.Servers {
		if v.ID == s.n.cfg.Raft.ID {
			return true
		}
	}
	return false
}
