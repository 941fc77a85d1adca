package wire

import (
	"net/netip"
	"time"

	"pgregory.net/rapid"

	"concord/agent/userevent"
	"concord/catalog"
	"concord/raft"
	"concord/raft/autopilot"
	"concord/swim"
)

// Generators of every message, with the edges that encodings have: nil and empty, and numbers and lengths on
// both sides of each boundary of MessagePack.

var (
	genUint = rapid.OneOf(rapid.Uint64(), rapid.SampledFrom([]uint64{0, 1, 127, 128, 255, 256, 65535, 65536, 1<<32 - 1, 1 << 32, 1<<64 - 1}))
	genInt  = rapid.OneOf(rapid.Int64(), rapid.SampledFrom([]int64{0, -1, -32, -33, -128, -129, 127, 128, 1<<63 - 1, -1 << 63}))
	genBool = rapid.Bool()
	genText = rapid.OneOf(rapid.String(), rapid.StringN(-1, -1, 3), rapid.SampledFrom([]string{"", text(31), text(32), text(255), text(256), text(65536)}))
)

func text(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'a' + byte(i%26)
	}
	return string(b)
}

func draw[T any](t *rapid.T, g *rapid.Generator[T]) T { return g.Draw(t, "") }

func genOptional[T any](g *rapid.Generator[T]) *rapid.Generator[*T] {
	return rapid.Ptr(g, true)
}

func genList[T any](g *rapid.Generator[T]) *rapid.Generator[[]T] {
	return rapid.OneOf(rapid.SliceOfN(g, 0, 4), rapid.SliceOfN(g, 0, 20), rapid.Just([]T(nil)))
}

func genMap[V any](g *rapid.Generator[V]) *rapid.Generator[map[string]V] {
	return rapid.OneOf(rapid.MapOfN(genText, g, 0, 4), rapid.MapOfN(rapid.StringN(1, 3, -1), g, 0, 20), rapid.Just(map[string]V(nil)))
}

func genSeconds(t *rapid.T) time.Duration { return time.Duration(draw(t, genInt)) }

var (
	genBytes   = genList(rapid.Byte())
	genStrings = genList(genText)
	genMeta    = genMap(genText)
	genIndexes = rapid.Custom(func(t *rapid.T) catalog.RaftIndex {
		return catalog.RaftIndex{CreateIndex: draw(t, genUint), ModifyIndex: draw(t, genUint)}
	})
	genNode = rapid.Custom(func(t *rapid.T) *catalog.Node {
		return &catalog.Node{ID: draw(t, genText), Node: draw(t, genText), Address: draw(t, genText), Datacenter: draw(t, genText),
			TaggedAddresses: draw(t, genMeta), Meta: draw(t, genMeta), RaftIndex: draw(t, genIndexes)}
	})
	genAddress = rapid.Custom(func(t *rapid.T) catalog.ServiceAddress {
		return catalog.ServiceAddress{Address: draw(t, genText), Port: draw(t, rapid.Int())}
	})
	genWeights = rapid.Custom(func(t *rapid.T) catalog.Weights {
		return catalog.Weights{Passing: draw(t, rapid.Int()), Warning: draw(t, rapid.Int())}
	})
	genService = rapid.Custom(func(t *rapid.T) *catalog.NodeService {
		return &catalog.NodeService{Kind: draw(t, genText), ID: draw(t, genText), Service: draw(t, genText), Tags: draw(t, genStrings),
			Address: draw(t, genText), TaggedAddresses: draw(t, genMap(genAddress)), Meta: draw(t, genMeta), Port: draw(t, rapid.Int()),
			Weights: draw(t, genOptional(genWeights)), EnableTagOverride: draw(t, genBool), RaftIndex: draw(t, genIndexes)}
	})
	genServiceNode = rapid.Custom(func(t *rapid.T) *catalog.ServiceNode {
		return &catalog.ServiceNode{ID: draw(t, genText), Node: draw(t, genText), Address: draw(t, genText), Datacenter: draw(t, genText),
			TaggedAddresses: draw(t, genMeta), NodeMeta: draw(t, genMeta), ServiceKind: draw(t, genText), ServiceID: draw(t, genText),
			ServiceName: draw(t, genText), ServiceTags: draw(t, genStrings), ServiceAddress: draw(t, genText),
			ServiceTaggedAddresses: draw(t, genMap(genAddress)), ServiceWeights: draw(t, genWeights), ServiceMeta: draw(t, genMeta),
			ServicePort: draw(t, rapid.Int()), ServiceEnableTagOverride: draw(t, genBool), RaftIndex: draw(t, genIndexes)}
	})
	genCheck = rapid.Custom(func(t *rapid.T) *catalog.HealthCheck {
		return &catalog.HealthCheck{Node: draw(t, genText), CheckID: draw(t, genText), Name: draw(t, genText), Status: draw(t, genText),
			Notes: draw(t, genText), Output: draw(t, genText), ServiceID: draw(t, genText), ServiceName: draw(t, genText),
			ServiceTags: draw(t, genStrings), Type: draw(t, genText), RaftIndex: draw(t, genIndexes),
			Definition: catalog.CheckDefinition{HTTP: draw(t, genText), TLSSkipVerify: draw(t, genBool), Header: draw(t, genMap(genStrings)),
				Method: draw(t, genText), TCP: draw(t, genText), Interval: draw(t, genText), Timeout: draw(t, genText),
				DeregisterCriticalServiceAfter: draw(t, genText)}}
	})
	genOptionalCheck = rapid.OneOf(genCheck, rapid.Just((*catalog.HealthCheck)(nil)))
	genCheckedNode   = rapid.Custom(func(t *rapid.T) *catalog.CheckServiceNode {
		return &catalog.CheckServiceNode{Node: draw(t, genNode), Service: draw(t, genService), Checks: draw(t, genList(genCheck))}
	})
	genNodeServices = rapid.Custom(func(t *rapid.T) *catalog.NodeServices {
		return &catalog.NodeServices{Node: draw(t, genNode), Services: draw(t, genMap(genService))}
	})
	genDirEntry = rapid.Custom(func(t *rapid.T) *catalog.DirEntry {
		return &catalog.DirEntry{LockIndex: draw(t, genUint), Key: draw(t, genText), Flags: draw(t, genUint), Value: draw(t, genBytes),
			Session: draw(t, genText), RaftIndex: draw(t, genIndexes)}
	})
	genAutopilot = rapid.Custom(func(t *rapid.T) *catalog.AutopilotConfig {
		return &catalog.AutopilotConfig{CleanupDeadServers: draw(t, genBool), LastContactThreshold: draw(t, genInt),
			MaxTrailingLogs: draw(t, genUint), MinQuorum: draw(t, rapid.Uint()), ServerStabilizationTime: draw(t, genInt), RaftIndex: draw(t, genIndexes)}
	})
)

var (
	genTxnOp = rapid.Custom(func(t *rapid.T) catalog.TxnOp {
		op := catalog.TxnOp{Verb: catalog.TxnVerb(draw(t, genText)), ServiceNode: draw(t, genText), KV: draw(t, genMaybe(genDirEntry))}
		if op.KV == nil {
			op.Node, op.Service, op.Check = draw(t, genMaybe(genNode)), draw(t, genMaybe(genService)), draw(t, genOptionalCheck)
		}
		return op
	})
	genTxnResult = rapid.Custom(func(t *rapid.T) catalog.TxnResult {
		return catalog.TxnResult{KV: draw(t, genMaybe(genDirEntry)), Node: draw(t, genMaybe(genNode)),
			Service: draw(t, genMaybe(genService)), Check: draw(t, genOptionalCheck)}
	})
	genTxnError = rapid.Custom(func(t *rapid.T) catalog.TxnError {
		return catalog.TxnError{OpIndex: int(draw(t, genInt)), What: draw(t, genText)}
	})
	genTxnAnswer = rapid.Custom(func(t *rapid.T) catalog.TxnAnswer {
		return catalog.TxnAnswer{Results: draw(t, genList(genTxnResult)), Errors: draw(t, genList(genTxnError))}
	})
)

// genMaybe draws nil, too.
func genMaybe[T any](g *rapid.Generator[*T]) *rapid.Generator[*T] {
	return rapid.OneOf(g, rapid.Just((*T)(nil)))
}

var (
	genCoordinate = rapid.Custom(func(t *rapid.T) *catalog.Coordinate {
		c := &catalog.Coordinate{Node: draw(t, genText), Segment: draw(t, genText), RaftIndex: draw(t, genIndexes)}
		for i := range c.Coord.Vec {
			c.Coord.Vec[i] = draw(t, rapid.Float64())
		}
		c.Coord.Error, c.Coord.Adjustment, c.Coord.Height = draw(t, rapid.Float64()), draw(t, rapid.Float64()), draw(t, rapid.Float64())
		return c
	})
	genCoordinates = genList(rapid.Map(genCoordinate, func(c *catalog.Coordinate) catalog.Coordinate { return *c }))
	genDatacenter  = rapid.Custom(func(t *rapid.T) catalog.DatacenterMap {
		return catalog.DatacenterMap{Datacenter: draw(t, genText), AreaID: draw(t, genText), Coordinates: draw(t, genCoordinates)}
	})
)

var genCommand = rapid.Custom(func(t *rapid.T) catalog.Command {
	switch draw(t, rapid.IntRange(0, 5)) {
	case 5:
		return &catalog.UpdateCoordinates{Updates: draw(t, genCoordinates)}
	case 4:
		return &catalog.TxnWrite{Ops: draw(t, genList(genTxnOp))}
	case 0:
		return &catalog.KVWrite{Op: catalog.KVOp(draw(t, rapid.Byte())), Key: draw(t, genText), Value: draw(t, genBytes), Flags: draw(t, genUint),
			Index: draw(t, genUint), Session: draw(t, genText)}
	case 1:
		r := &catalog.Register{ID: draw(t, genText), Node: draw(t, genText), Address: draw(t, genText), Datacenter: draw(t, genText),
			TaggedAddresses: draw(t, genMeta), NodeMeta: draw(t, genMeta), Check: draw(t, genOptionalCheck),
			Checks: draw(t, genList(genOptionalCheck)), SkipNodeUpdate: draw(t, genBool)}
		if draw(t, genBool) {
			r.Service = draw(t, genService)
		}
		return r
	case 2:
		return &catalog.Deregister{Datacenter: draw(t, genText), Node: draw(t, genText), ServiceID: draw(t, genText), CheckID: draw(t, genText)}
	}
	return &catalog.SetAutopilot{Config: *draw(t, genAutopilot), CAS: draw(t, genBool)}
})

var genQuery = rapid.Custom(func(t *rapid.T) catalog.Query {
	if draw(t, rapid.IntRange(0, 9)) == 0 {
		return &catalog.NearQuery{Node: draw(t, genText), Query: draw(t, genPlainQuery)}
	}
	return draw(t, genPlainQuery)
})

var genPlainQuery = rapid.Custom(func(t *rapid.T) catalog.Query {
	switch draw(t, rapid.IntRange(0, 15)) {
	case 14:
		return &catalog.CoordinatesQuery{}
	case 15:
		return &catalog.CoordinateQuery{Node: draw(t, genText)}
	case 13:
		return &catalog.TxnQuery{Ops: draw(t, genList(genTxnOp))}
	case 11:
		return &catalog.SnapshotQuery{ID: draw(t, genText), Cursor: draw(t, genBytes)}
	case 0:
		return &catalog.NodesQuery{NodeMeta: draw(t, genMeta)}
	case 1:
		return &catalog.ServicesQuery{NodeMeta: draw(t, genMeta)}
	case 2:
		return &catalog.ServiceNodesQuery{Service: draw(t, genText), Tags: draw(t, genStrings), NodeMeta: draw(t, genMeta)}
	case 3:
		return &catalog.NodeServicesQuery{Node: draw(t, genText)}
	case 4:
		return &catalog.NodeChecksQuery{Node: draw(t, genText)}
	case 5:
		return &catalog.ServiceChecksQuery{Service: draw(t, genText), NodeMeta: draw(t, genMeta)}
	case 6:
		return &catalog.StateChecksQuery{State: draw(t, genText), NodeMeta: draw(t, genMeta)}
	case 7:
		return &catalog.HealthServiceQuery{Service: draw(t, genText), Tags: draw(t, genStrings), NodeMeta: draw(t, genMeta), PassingOnly: draw(t, genBool)}
	case 8:
		return &catalog.KVGetQuery{Key: draw(t, genText)}
	case 9:
		return &catalog.KVListQuery{Prefix: draw(t, genText)}
	case 10:
		return &catalog.KVKeysQuery{Prefix: draw(t, genText), Separator: draw(t, genText)}
	}
	return &catalog.AutopilotQuery{}
})

func boxed[T any](g *rapid.Generator[T]) *rapid.Generator[any] {
	return rapid.Map(g, func(v T) any { return v })
}

var genSnapshotPage = rapid.Custom(func(t *rapid.T) *catalog.SnapshotPage {
	return &catalog.SnapshotPage{Index: draw(t, genUint), Term: draw(t, genUint), Records: draw(t, genBytes), Next: draw(t, genBytes)}
})

var genRestore = rapid.Custom(func(t *rapid.T) Restore {
	return Restore{Step: RestoreStep(draw(t, rapid.Byte())), ID: draw(t, genText), Seq: draw(t, genUint), Data: draw(t, genBytes),
		Checksum: draw(t, rapid.Uint32()), Index: draw(t, genUint)}
})

var genAnswer = rapid.Custom(func(t *rapid.T) *catalog.Answer {
	value := draw(t, rapid.OneOf(
		boxed(genList(genNode)), boxed(genMap(genStrings)), boxed(genList(genServiceNode)), boxed(genList(genCheck)),
		boxed(genList(genCheckedNode)), boxed(genList(genDirEntry)), boxed(genStrings),
		boxed(genNodeServices), boxed(genDirEntry), boxed(genAutopilot), boxed(genSnapshotPage), boxed(genList(genCoordinate)), boxed(rapid.Ptr(genTxnAnswer, false)),
		rapid.Just(any((*catalog.NodeServices)(nil))), rapid.Just(any((*catalog.DirEntry)(nil))), rapid.Just(any((*catalog.AutopilotConfig)(nil)))))
	return &catalog.Answer{Index: draw(t, genUint), Value: value}
})

var genEvent = rapid.Custom(func(t *rapid.T) userevent.Event {
	return userevent.Event{ID: draw(t, genText), Name: draw(t, genText), Payload: draw(t, genBytes), NodeFilter: draw(t, genText),
		ServiceFilter: draw(t, genText), TagFilter: draw(t, genText), Version: draw(t, rapid.Int())}
})

var genRequest = rapid.Custom(func(t *rapid.T) Request {
	q := Request{ID: draw(t, genUint), Hops: draw(t, rapid.Byte()), Timeout: genSeconds(t), Datacenter: draw(t, genText)}
	switch draw(t, rapid.IntRange(0, 3)) {
	case 0:
		q.Command = draw(t, genBytes)
	case 1:
		q.Read = &Read{Query: draw(t, genQuery), Consistency: Consistency(draw(t, rapid.ByteRange(0, 2))), MinIndex: draw(t, genUint), Wait: genSeconds(t)}
	case 2:
		q.Operator = &Operator{Kind: OperatorKind(draw(t, rapid.Byte())), ID: draw(t, genText), Address: draw(t, genText), Set: draw(t, genStrings), Attempt: draw(t, rapid.Uint64()),
			Coordinate: draw(t, genMaybe(genCoordinate)), Keyring: draw(t, genBytes), Event: draw(t, genOptional(genEvent))}
	}
	return q
})

var (
	genRaftServer = rapid.Custom(func(t *rapid.T) RaftServer {
		return RaftServer{ID: draw(t, genText), Node: draw(t, genText), Address: draw(t, genText), Leader: draw(t, genBool),
			ProtocolVersion: draw(t, genText), Voter: draw(t, genBool)}
	})
	genServerHealth = rapid.Custom(func(t *rapid.T) autopilot.ServerHealth {
		return autopilot.ServerHealth{ID: draw(t, genText), Name: draw(t, genText), Address: draw(t, genText), Version: draw(t, genText),
			SerfStatus: draw(t, genText), Leader: draw(t, genBool), Voter: draw(t, genBool), Healthy: draw(t, genBool),
			LastContact: genSeconds(t), LastTerm: draw(t, genUint), LastIndex: draw(t, genUint), StableSince: genSeconds(t)}
	})
	genHealth = rapid.Custom(func(t *rapid.T) autopilot.Health {
		return autopilot.Health{Healthy: draw(t, genBool), FailureTolerance: draw(t, rapid.Int()), Servers: draw(t, genList(genServerHealth))}
	})
	genOperatorReply = rapid.Custom(func(t *rapid.T) OperatorReply {
		return OperatorReply{Servers: draw(t, genList(genRaftServer)), Index: draw(t, genUint), Health: draw(t, genOptional(genHealth)), Datacenters: draw(t, genStrings),
			Maps: draw(t, genList(genDatacenter)), Keyring: draw(t, genBytes)}
	})
	genResult = rapid.Custom(func(t *rapid.T) catalog.Result {
		return catalog.Result{OK: draw(t, genBool), Err: draw(t, genText), Index: draw(t, genUint), Txn: draw(t, genOptional(genTxnAnswer))}
	})
	// The answer of a transaction is the last field, and not written if there is none: so are fields behind it.
	genTxnWritten = rapid.Custom(func(t *rapid.T) *catalog.Result {
		return &catalog.Result{OK: draw(t, genBool), Index: draw(t, genUint), Txn: draw(t, rapid.Ptr(genTxnAnswer, false))}
	})
)

var genResponse = rapid.Custom(func(t *rapid.T) Response {
	s := Response{ID: draw(t, genUint), Code: Code(draw(t, rapid.ByteRange(0, uint8(Failed)))), Err: draw(t, genText), Leader: draw(t, genText),
		Consistency: Consistency(draw(t, rapid.ByteRange(0, 2))), KnownLeader: draw(t, genBool), Applied: draw(t, genUint), LastContact: genSeconds(t),
		Result: draw(t, genOptional(genResult)), Operator: draw(t, genOptional(genOperatorReply))}
	if draw(t, genBool) {
		s.Answer = draw(t, genAnswer)
	}
	return s
})

var (
	genConfig = rapid.Custom(func(t *rapid.T) raft.Configuration {
		return raft.Configuration{Servers: draw(t, genList(rapid.Custom(func(t *rapid.T) raft.Server {
			return raft.Server{ID: raft.ID(draw(t, genText)), Address: draw(t, genText), Suffrage: raft.Suffrage(draw(t, rapid.Byte()))}
		})))}
	})
	genEntry = rapid.Custom(func(t *rapid.T) raft.Entry {
		e := raft.Entry{Term: draw(t, genUint), Index: draw(t, genUint), Type: raft.EntryType(draw(t, rapid.ByteRange(1, 3)))}
		if e.Type == raft.EntryConfig {
			e.Config = draw(t, genOptional(genConfig))
		} else {
			e.Data = draw(t, genBytes)
		}
		return e
	})
)

var genRaft = rapid.Custom(func(t *rapid.T) raft.Message {
	m := raft.Message{Type: raft.MessageType(draw(t, rapid.Byte())), From: raft.ID(draw(t, genText)), To: raft.ID(draw(t, genText)), Term: draw(t, genUint),
		LastIndex: draw(t, genUint), LastTerm: draw(t, genUint), Transfer: draw(t, genBool), PrevIndex: draw(t, genUint), PrevTerm: draw(t, genUint),
		Commit: draw(t, genUint), SentAt: genSeconds(t), Round: draw(t, genUint), Reject: draw(t, genBool), Match: draw(t, genUint),
		HintIndex: draw(t, genUint), HintTerm: draw(t, genUint), ReadID: draw(t, genUint), Index: draw(t, genUint)}
	if entries := draw(t, genList(genEntry)); len(entries) > 0 {
		m.Entries = entries
	}
	if draw(t, genBool) {
		m.Snapshot = &raft.SnapshotMeta{Index: draw(t, genUint), Term: draw(t, genUint), Config: draw(t, genConfig), ConfigIndex: draw(t, genUint)}
		m.Cursor, m.Chunk, m.Next, m.Done = draw(t, genBytes), draw(t, genBytes), draw(t, genBytes), draw(t, genBool)
	}
	return m
})

var (
	genAddrPort = rapid.Custom(func(t *rapid.T) netip.AddrPort {
		port := draw(t, rapid.Uint16())
		switch draw(t, rapid.IntRange(0, 2)) {
		case 0:
			return netip.AddrPort{}
		case 1:
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte(draw(t, rapid.SliceOfN(rapid.Byte(), 4, 4)))), port)
		}
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(draw(t, rapid.SliceOfN(rapid.Byte(), 16, 16)))), port)
	})
	genUpdate = rapid.Custom(func(t *rapid.T) *swim.Update {
		return &swim.Update{State: swim.State(draw(t, rapid.Byte())), Name: draw(t, genText), ID: draw(t, genText), Addr: draw(t, genAddrPort),
			Incarnation: draw(t, genUint), From: draw(t, genText), Prune: draw(t, genBool), Age: genSeconds(t), Tags: draw(t, genMeta)}
	})
	genUpdates   = genFew(genUpdate)
	genUserEvent = rapid.Custom(func(t *rapid.T) swim.UserEvent {
		return swim.UserEvent{LTime: draw(t, genUint), Name: draw(t, genText), Payload: draw(t, genBytes), Coalesce: draw(t, genBool),
			From: draw(t, genText), Number: draw(t, rapid.Uint32()), Prev: draw(t, genUint), Age: genSeconds(t)}
	})
	genQueryCast = rapid.Custom(func(t *rapid.T) swim.QueryCast {
		c := swim.QueryCast{ID: swim.QueryID{From: draw(t, genText), LTime: draw(t, genUint), Number: draw(t, rapid.Uint32())}, Addr: draw(t, genAddrPort)}
		c.Query = swim.Query{Name: draw(t, genText), Payload: draw(t, genBytes), Nodes: draw(t, genStrings), Tags: draw(t, genMeta), Ack: draw(t, genBool),
			Relay: draw(t, rapid.Int()), Timeout: genSeconds(t)}
		return c
	})
	genReply = rapid.Custom(func(t *rapid.T) swim.Answer {
		return swim.Answer{LTime: draw(t, genUint), Number: draw(t, rapid.Uint32()), Ack: draw(t, genBool), Payload: draw(t, genBytes)}
	})
)

// genFew draws lists whose empty ones are nil.
func genFew[T any](g *rapid.Generator[T]) *rapid.Generator[[]T] {
	return rapid.Map(genList(g), func(list []T) []T {
		if len(list) == 0 {
			return nil
		}
		return list
	})
}

var genPacket = rapid.Custom(func(t *rapid.T) swim.Packet {
	return swim.Packet{Updates: draw(t, genUpdates), Message: swim.Message{Type: swim.MessageType(draw(t, rapid.Byte())), Seq: draw(t, genUint),
		Target: draw(t, genText), Addr: draw(t, genAddrPort), From: draw(t, genText), Join: draw(t, genBool), Members: draw(t, genUpdates),
		Digest: swim.Digest{Members: draw(t, genUint), Events: draw(t, genUint), EventsFrom: draw(t, genUint)}, Buckets: draw(t, genFew(genUint)),
		Answer: draw(t, genOptional(genReply)), Coordinate: draw(t, genBytes)},
		Clocks: swim.Clocks{Event: draw(t, genUint), Query: draw(t, genUint)}, Events: draw(t, genFew(genUserEvent)), Queries: draw(t, genFew(genQueryCast))}
})

var (
	genKeyQuery = rapid.Custom(func(t *rapid.T) KeyQuery {
		return KeyQuery{Rehearse: draw(t, genBool), Secret: draw(t, genBytes), Sum: draw(t, genBytes)}
	})
	genKeyringRequest = rapid.Custom(func(t *rapid.T) KeyringRequest {
		return KeyringRequest{Op: draw(t, rapid.Byte()), Key: draw(t, genText), Relay: draw(t, genInt)}
	})
	genKeyringAnswer = rapid.Custom(func(t *rapid.T) KeyringAnswer {
		return KeyringAnswer{Messages: draw(t, genMeta), Nodes: draw(t, genInt), Resp: draw(t, genInt), Errs: draw(t, genInt),
			Keys: draw(t, genMap(genInt)), PrimaryKeys: draw(t, genMap(genInt)), Err: draw(t, genText)}
	})
	genKeyReply = rapid.Custom(func(t *rapid.T) KeyReply {
		return KeyReply{OK: draw(t, genBool), Message: draw(t, genText), Keys: draw(t, genList(genBytes))}
	})
)
