package node

import (
	"concord/agent"
	"concord/raft"
	"concord/swim"
	"concord/transport"
)

// LeaderAddr is the server RPC address of the leader, "" if nobody is known to lead. A client
// agent does not know; it asks a server.
func (n *Node) LeaderAddr() transport.Addr {
	if n.server == nil {
		return ""
	}
	return n.server.leaderAddr()
}

// RaftStatus is the server's view of Raft; false on a client agent.
func (n *Node) RaftStatus() (raft.Status, bool) {
	if n.server == nil {
		return raft.Status{}, false
	}
	return n.server.raft.Status(), true
}

// Role is what this server is at the moment, and in which term; cheaper than RaftStatus.
func (n *Node) Role() (raft.Role, uint64) {
	if n.server == nil {
		return 0, 0
	}
	return n.server.role, n.server.term
}

// Peers lists the server RPC addresses of the servers in the Raft configuration.
func (n *Node) Peers() []transport.Addr {
	if n.server == nil {
		return nil
	}
	var out []transport.Addr
	for _, v := range n.server.raft.Status().Config.Servers {
		out = append(out, n.server.addrs[v.ID])
	}
	return out
}

// Servers lists the addresses of the servers that gossip knows to be alive.
func (n *Node) Servers() []transport.Addr {
	var out []transport.Addr
	for _, s := range n.servers() {
		if s.State == swim.StateAlive || s.State == swim.StateSuspect {
			out = append(out, s.Addr)
		}
	}
	return out
}

// Agent is the local agent, for reading: WithAgent changes it.
func (n *Node) Agent() *agent.Local { return n.local }
