package wire

import (
	"fmt"

	"concord/catalog"
)

// Kinds of queries. A number is never given another meaning.
const (
	queryNodes         = 1
	queryServices      = 2
	queryServiceNodes  = 3
	queryNodeServices  = 4
	queryNodeChecks    = 5
	queryServiceChecks = 6
	queryStateChecks   = 7
	queryHealthService = 8
	queryKVGet         = 9
	queryKVList        = 10
	queryKVKeys        = 11
	queryAutopilot     = 12
	querySnapshot      = 13
	queryTxn           = 14
	queryCoordinates   = 15
	queryCoordinate    = 16
	queryNear          = 17
)

// appendQuery writes the kind and the fields.
func appendQuery(p []byte, q catalog.Query) []byte {
	head := func(kind byte, fields int) { p = append(appendArray(p, 1+fields), kind) }
	switch q := q.(type) {
	case *catalog.NodesQuery:
		head(queryNodes, 1)
		return appendStringMap(p, q.NodeMeta)
	case *catalog.ServicesQuery:
		head(queryServices, 1)
		return appendStringMap(p, q.NodeMeta)
	case *catalog.ServiceNodesQuery:
		head(queryServiceNodes, 3)
		return appendStringMap(appendStrings(appendString(p, q.Service), q.Tags), q.NodeMeta)
	case *catalog.NodeServicesQuery:
		head(queryNodeServices, 1)
		return appendString(p, q.Node)
	case *catalog.NodeChecksQuery:
		head(queryNodeChecks, 1)
		return appendString(p, q.Node)
	case *catalog.ServiceChecksQuery:
		head(queryServiceChecks, 2)
		return appendStringMap(appendString(p, q.Service), q.NodeMeta)
	case *catalog.StateChecksQuery:
		head(queryStateChecks, 2)
		return appendStringMap(appendString(p, q.State), q.NodeMeta)
	case *catalog.HealthServiceQuery:
		head(queryHealthService, 4)
		p = appendStringMap(appendStrings(appendString(p, q.Service), q.Tags), q.NodeMeta)
		return appendBool(p, q.PassingOnly)
	case *catalog.KVGetQuery:
		head(queryKVGet, 1)
		return appendString(p, q.Key)
	case *catalog.KVListQuery:
		head(queryKVList, 1)
		return appendString(p, q.Prefix)
	case *catalog.KVKeysQuery:
		head(queryKVKeys, 2)
		return appendString(appendString(p, q.Prefix), q.Separator)
	case *catalog.AutopilotQuery:
		head(queryAutopilot, 0)
		return p
	case *catalog.SnapshotQuery:
		head(querySnapshot, 2)
		return appendBytes(appendString(p, q.ID), q.Cursor)
	case *catalog.TxnQuery:
		head(queryTxn, 1)
		return appendTxnOps(p, q.Ops)
	case *catalog.CoordinatesQuery:
		head(queryCoordinates, 0)
		return p
	case *catalog.CoordinateQuery:
		head(queryCoordinate, 1)
		return appendString(p, q.Node)
	case *catalog.NearQuery:
		head(queryNear, 2)
		return appendQuery(appendString(p, q.Node), q.Query)
	}
	panic(fmt.Sprintf("wire: %T is no query", q))
}

// query reads a query. Only one by distance has another query in it, and that must be one of the others.
func (r *reader) query() catalog.Query {
	more := r.fields(1)
	kind := r.small()
	if kind != queryNear {
		return r.plainQuery(kind, more)
	}
	q := &catalog.NearQuery{Node: r.string()}
	inner := r.fields(1)
	q.Query = r.plainQuery(r.small(), inner)
	r.rest(more - 2)
	return q
}

// plainQuery reads what follows the kind.
func (r *reader) plainQuery(kind uint8, more int) catalog.Query {
	known, q := 0, catalog.Query(nil)
	switch kind {
	case queryNodes:
		known, q = 1, &catalog.NodesQuery{NodeMeta: r.stringMap()}
	case queryServices:
		known, q = 1, &catalog.ServicesQuery{NodeMeta: r.stringMap()}
	case queryServiceNodes:
		known, q = 3, &catalog.ServiceNodesQuery{Service: r.string(), Tags: r.strings(), NodeMeta: r.stringMap()}
	case queryNodeServices:
		known, q = 1, &catalog.NodeServicesQuery{Node: r.string()}
	case queryNodeChecks:
		known, q = 1, &catalog.NodeChecksQuery{Node: r.string()}
	case queryServiceChecks:
		known, q = 2, &catalog.ServiceChecksQuery{Service: r.string(), NodeMeta: r.stringMap()}
	case queryStateChecks:
		known, q = 2, &catalog.StateChecksQuery{State: r.string(), NodeMeta: r.stringMap()}
	case queryHealthService:
		known, q = 4, &catalog.HealthServiceQuery{Service: r.string(), Tags: r.strings(), NodeMeta: r.stringMap(), PassingOnly: r.bool()}
	case queryKVGet:
		known, q = 1, &catalog.KVGetQuery{Key: r.string()}
	case queryKVList:
		known, q = 1, &catalog.KVListQuery{Prefix: r.string()}
	case queryKVKeys:
		known, q = 2, &catalog.KVKeysQuery{Prefix: r.string(), Separator: r.string()}
	case queryAutopilot:
		q = &catalog.AutopilotQuery{}
	case querySnapshot:
		known, q = 2, &catalog.SnapshotQuery{ID: r.string(), Cursor: r.bytes()}
	case queryCoordinates:
		q = &catalog.CoordinatesQuery{}
	case queryCoordinate:
		known, q = 1, &catalog.CoordinateQuery{Node: r.string()}
	case queryTxn:
		known, q = 1, &catalog.TxnQuery{Ops: r.txnOps()}
	default:
		r.fail(fmt.Sprintf("query of unknown kind %d", kind))
	}
	r.rest(more - known)
	return q
}

// rest skips the fields behind those that were read, of which there must not have been too few.
func (r *reader) rest(more int) {
	if more < 0 {
		r.fail("a field is missing")
		return
	}
	r.skip(more)
}

// Kinds of answers, by the type of the value. A number is never given another meaning.
const (
	answerNodes           = 1
	answerServices        = 2
	answerServiceNodes    = 3
	answerNodeServices    = 4
	answerChecks          = 5
	answerCheckedServices = 6
	answerDirEntry        = 7
	answerDirEntries      = 8
	answerKeys            = 9
	answerAutopilot       = 10
	answerSnapshot        = 11
	answerTxn             = 12
	answerCoordinates     = 13
)

// appendAnswer writes index, kind and value.
func appendAnswer(p []byte, a *catalog.Answer) []byte {
	p = appendUint(appendArray(p, 3), a.Index)
	switch v := a.Value.(type) {
	case []*catalog.Node:
		return appendList(append(p, answerNodes), v, appendNode)
	case map[string][]string:
		return appendMap(append(p, answerServices), v, appendStrings)
	case []*catalog.ServiceNode:
		return appendList(append(p, answerServiceNodes), v, appendServiceNode)
	case *catalog.NodeServices:
		return appendOptional(append(p, answerNodeServices), v, appendNodeServices)
	case []*catalog.HealthCheck:
		return appendList(append(p, answerChecks), v, appendCheck)
	case []*catalog.CheckServiceNode:
		return appendList(append(p, answerCheckedServices), v, appendCheckedService)
	case *catalog.DirEntry:
		return appendOptional(append(p, answerDirEntry), v, appendDirEntry)
	case []*catalog.DirEntry:
		return appendList(append(p, answerDirEntries), v, appendDirEntry)
	case []string:
		return appendStrings(append(p, answerKeys), v)
	case *catalog.AutopilotConfig:
		return appendOptional(append(p, answerAutopilot), v, appendAutopilot)
	case *catalog.SnapshotPage:
		return appendSnapshotPage(append(p, answerSnapshot), v)
	case *catalog.TxnAnswer:
		return appendTxnAnswer(append(p, answerTxn), v)
	case []*catalog.Coordinate:
		return appendList(append(p, answerCoordinates), v, appendCoordinate)
	}
	panic(fmt.Sprintf("wire: %T is no answer", a.Value))
}

func (r *reader) answer() *catalog.Answer {
	more := r.fields(3)
	a := &catalog.Answer{Index: r.uint()}
	switch kind := r.small(); kind {
	case answerNodes:
		a.Value = readList(r, 9, (*reader).node)
	case answerServices:
		a.Value = readMap(r, (*reader).strings)
	case answerServiceNodes:
		a.Value = readList(r, 21, (*reader).serviceNode)
	case answerNodeServices:
		a.Value = readOptional(r, (*reader).nodeServices)
	case answerChecks:
		a.Value = readList(r, 22, (*reader).check)
	case answerCheckedServices:
		a.Value = readList(r, 24, (*reader).checkedService)
	case answerDirEntry:
		a.Value = readOptional(r, (*reader).dirEntry)
	case answerDirEntries:
		a.Value = readList(r, 8, (*reader).dirEntry)
	case answerKeys:
		a.Value = r.strings()
	case answerAutopilot:
		a.Value = readOptional(r, (*reader).autopilot)
	case answerSnapshot:
		a.Value = r.snapshotPage()
	case answerTxn:
		a.Value = r.txnAnswer()
	case answerCoordinates:
		a.Value = readList(r, coordinateSize, (*reader).coordinate)
	default:
		r.fail(fmt.Sprintf("answer of unknown kind %d", kind))
	}
	r.skip(more)
	return a
}

// answerSize is about how long an answer gets, for those that tell without a long look.
func answerSize(a *catalog.Answer) int {
	size := 16
	switch v := a.Value.(type) {
	case *catalog.SnapshotPage:
		size += len(v.Records) + len(v.Next) + 32
	case *catalog.DirEntry:
		if v != nil {
			size += dirEntrySize(v)
		}
	case []*catalog.DirEntry:
		for _, e := range v {
			size += dirEntrySize(e)
		}
	}
	return size
}
