package wire

import (
	"time"

	"concord/raft/autopilot"
)

func appendOperator(p []byte, o *Operator) []byte {
	p = appendUint(appendArray(p, 8), uint64(o.Kind))
	p = appendString(p, o.ID)
	p = appendString(p, o.Address)
	p = appendStrings(p, o.Set)
	p = appendUint(p, o.Attempt)
	p = appendOptional(p, o.Coordinate, appendCoordinate)
	p = appendBytes(p, o.Keyring)
	return appendOptional(p, o.Event, appendEvent)
}

func (r *reader) operator() *Operator {
	more := r.fields(5)
	o := &Operator{Kind: OperatorKind(r.small()), ID: r.string(), Address: r.string(), Set: r.strings(), Attempt: r.uint()}
	if more > 0 {
		o.Coordinate = readOptional(r, (*reader).coordinate)
		more--
	}
	if more > 0 {
		o.Keyring = r.bytes()
		more--
	}
	if more > 0 {
		o.Event = readOptional(r, (*reader).event)
		more--
	}
	r.skip(more)
	return o
}

func appendOperatorReply(p []byte, o *OperatorReply) []byte {
	p = appendList(appendArray(p, 6), o.Servers, appendRaftServer)
	p = appendUint(p, o.Index)
	p = appendOptional(p, o.Health, appendHealth)
	p = appendStrings(p, o.Datacenters)
	p = appendList(p, o.Maps, appendDatacenterMap)
	return appendBytes(p, o.Keyring)
}

func (r *reader) operatorReply() *OperatorReply {
	more := r.fields(3)
	o := &OperatorReply{Servers: readList(r, 7, (*reader).raftServer), Index: r.uint(), Health: readOptional(r, (*reader).health)}
	if more > 0 {
		o.Datacenters = r.strings()
		more--
	}
	if more > 0 {
		o.Maps = readList(r, 4, (*reader).datacenterMap)
		more--
	}
	if more > 0 {
		o.Keyring = r.bytes()
		more--
	}
	r.skip(more)
	return o
}

func appendRaftServer(p []byte, s RaftServer) []byte {
	p = appendString(appendArray(p, 6), s.ID)
	p = appendString(p, s.Node)
	p = appendString(p, s.Address)
	p = appendBool(p, s.Leader)
	p = appendString(p, s.ProtocolVersion)
	return appendBool(p, s.Voter)
}

func (r *reader) raftServer() RaftServer {
	more := r.fields(6)
	s := RaftServer{ID: r.string(), Node: r.string(), Address: r.string(), Leader: r.bool(), ProtocolVersion: r.string(), Voter: r.bool()}
	r.skip(more)
	return s
}

func appendHealth(p []byte, h *autopilot.Health) []byte {
	p = appendBool(appendArray(p, 3), h.Healthy)
	p = appendInt(p, int64(h.FailureTolerance))
	return appendList(p, h.Servers, appendServerHealth)
}

func (r *reader) health() *autopilot.Health {
	more := r.fields(3)
	h := &autopilot.Health{Healthy: r.bool(), FailureTolerance: int(r.int()), Servers: readList(r, 13, (*reader).serverHealth)}
	r.skip(more)
	return h
}

func appendServerHealth(p []byte, s autopilot.ServerHealth) []byte {
	p = appendString(appendArray(p, 12), s.ID)
	p = appendString(p, s.Name)
	p = appendString(p, s.Address)
	p = appendString(p, s.Version)
	p = appendString(p, s.SerfStatus)
	p = appendBool(p, s.Leader)
	p = appendBool(p, s.Voter)
	p = appendBool(p, s.Healthy)
	p = appendInt(p, int64(s.LastContact))
	p = appendUint(p, s.LastTerm)
	p = appendUint(p, s.LastIndex)
	return appendInt(p, int64(s.StableSince))
}

func (r *reader) serverHealth() autopilot.ServerHealth {
	more := r.fields(12)
	s := autopilot.ServerHealth{ID: r.string(), Name: r.string(), Address: r.string(), Version: r.string(), SerfStatus: r.string(),
		Leader: r.bool(), Voter: r.bool(), Healthy: r.bool(), LastContact: time.Duration(r.int()), LastTerm: r.uint(), LastIndex: r.uint(),
		StableSince: time.Duration(r.int())}
	r.skip(more)
	return s
}
