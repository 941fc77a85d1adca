package node

import (
	"errors"
	"time"

	"concord/raft"
	"concord/wire"
)

// serveOperator answers a request about the cluster itself.
func (s *server) serveOperator(c *call) {
	switch c.req.Operator.Kind {
	case wire.RaftConfiguration:
		s.n.answer(c, &wire.Response{Operator: s.raftConfiguration()})
	case wire.RemovePeer:
		s.removePeer(c)
	case wire.TransferLeader:
		s.transferLeader(c)
	case wire.AutopilotHealth:
		s.n.answer(c, &wire.Response{Operator: &wire.OperatorReply{Health: s.health()}})
	case wire.Datacenters:
		s.n.answer(c, &wire.Response{Operator: &wire.OperatorReply{Datacenters: s.n.Datacenters()}})
	case wire.CoordinateUpdate:
		s.gatherCoordinate(c)
	case wire.Keyring:
		s.serveKeyring(c)
	case wire.CoordinateDatacenters:
		s.n.answer(c, &wire.Response{Operator: &wire.OperatorReply{Maps: s.n.datacenterMaps()}})
	case wire.FireEvent:
		s.n.fireFor(c)
	case wire.BootstrapPromise, wire.BootstrapRelease:
		s.serveBootstrap(c)
	default:
		s.n.answer(c, &wire.Response{Code: wire.Refused, Err: "unknown operator request: the servers run an older version"})
	}
}

func (s *server) raftConfiguration() *wire.OperatorReply {
	st := s.raft.Status()
	reply := &wire.OperatorReply{Index: st.ConfigIndex}
	for _, v := range st.Config.Servers {
		reply.Servers = append(reply.Servers, wire.RaftServer{
			ID: string(v.ID), Node: s.nameOf(v.ID), Address: string(s.addrs[v.ID]),
			Leader: v.ID == s.leader, Voter: v.Suffrage == raft.Voter, ProtocolVersion: "3",
		})
	}
	return reply
}

// removePeer takes a server out of the configuration (DELETE /v1/operator/raft/peer).
func (s *server) removePeer(c *call) {
	op := c.req.Operator
	st := s.raft.Status()
	var target raft.ID
	for _, v := range st.Config.Servers {
		if op.ID != "" && string(v.ID) == op.ID || op.ID == "" && (v.Address == op.Address || string(s.addrs[v.ID]) == op.Address) {
			target = v.ID
		}
	}
	if target == "" {
		name := "id \"" + op.ID + "\""
		if op.ID == "" {
			name = "address \"" + op.Address + "\""
		}
		s.n.answer(c, &wire.Response{Code: wire.Refused, Err: name + " was not found in the Raft configuration"})
		return
	}
	s.n.log(Warn, "server", "removing raft peer on an operator's request", "id", string(target))
	s.change(c, raft.Change{Type: raft.RemoveServer, Server: raft.Server{ID: target}})
}

// change proposes a membership change and answers the call once it is applied.
func (s *server) change(c *call, change raft.Change) {
	index, _, err := s.raft.ProposeChange(s.n.now, change)
	switch {
	case err == nil:
		s.changes[index] = append(s.changes[index], c)
	case errors.Is(err, raft.ErrChangePending) || errors.Is(err, raft.ErrNotReady) || errors.Is(err, raft.ErrNotLeader):
		s.n.tryAgain(c)
	default:
		s.n.answer(c, &wire.Response{Code: wire.Refused, Err: err.Error()})
	}
}

// resolveChanges answers the operators whose changes are applied now.
func (s *server) resolveChanges() {
	for _, index := range sortedKeys(s.changes) {
		if index > s.applied {
			return
		}
		for _, c := range s.changes[index] {
			s.n.answer(c, &wire.Response{Operator: s.raftConfiguration()})
		}
		delete(s.changes, index)
	}
}

// transfer is an operator's wish that another server lead.
type transfer struct {
	call *call
	at   time.Duration // looked at next
}

// transferLeader hands over leadership and answers when it is gone, or stays.
func (s *server) transferLeader(c *call) {
	if s.transfer.call != nil {
		s.n.answer(c, &wire.Response{Code: wire.Refused, Err: "a leadership transfer is under way"})
		return
	}
	if err := s.raft.TransferLeadership(s.n.now, raft.ID(c.req.Operator.ID)); err != nil {
		s.n.answer(c, &wire.Response{Code: wire.Refused, Err: err.Error()})
		return
	}
	s.transfer = transfer{call: c, at: s.n.now + s.n.cfg.Raft.ElectionTimeout}
}

// transferTick gives up a transfer that Raft has given up.
func (s *server) transferTick() {
	t := &s.transfer
	if t.at > s.n.now {
		return
	}
	if s.leads() && s.raft.Status().TransferTo != "" {
		t.at = s.n.now + s.n.cfg.Raft.HeartbeatInterval
		return
	}
	s.endTransfer(&wire.Response{Code: wire.Failed, Err: "leadership transfer failed: the other server did not take over in time"})
}

func (s *server) endTransfer(resp *wire.Response) {
	c := s.transfer.call
	s.transfer = transfer{at: never}
	if c != nil {
		s.n.answer(c, resp)
	}
}
