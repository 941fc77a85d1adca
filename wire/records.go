package wire

import "concord/catalog"

// The records of the catalog, in lists of fields without names: answers with many of them are the
// largest messages there are.

func appendIndexes(p []byte, i catalog.RaftIndex) []byte {
	return appendUint(appendUint(p, i.CreateIndex), i.ModifyIndex)
}

func (r *reader) indexes() catalog.RaftIndex {
	return catalog.RaftIndex{CreateIndex: r.uint(), ModifyIndex: r.uint()}
}

func appendNode(p []byte, n *catalog.Node) []byte {
	p = appendArray(p, 8)
	p = appendString(p, n.ID)
	p = appendString(p, n.Node)
	p = appendString(p, n.Address)
	p = appendString(p, n.Datacenter)
	p = appendStringMap(p, n.TaggedAddresses)
	p = appendStringMap(p, n.Meta)
	return appendIndexes(p, n.RaftIndex)
}

func (r *reader) node() *catalog.Node {
	more := r.fields(8)
	n := &catalog.Node{ID: r.string(), Node: r.string(), Address: r.string(), Datacenter: r.string(),
		TaggedAddresses: r.stringMap(), Meta: r.stringMap(), RaftIndex: r.indexes()}
	r.skip(more)
	return n
}

func appendAddress(p []byte, a catalog.ServiceAddress) []byte {
	return appendInt(appendString(appendArray(p, 2), a.Address), int64(a.Port))
}

func (r *reader) address() catalog.ServiceAddress {
	more := r.fields(2)
	a := catalog.ServiceAddress{Address: r.string(), Port: int(r.int())}
	r.skip(more)
	return a
}

func appendWeights(p []byte, w *catalog.Weights) []byte {
	return appendInt(appendInt(appendArray(p, 2), int64(w.Passing)), int64(w.Warning))
}

func (r *reader) weights() *catalog.Weights {
	more := r.fields(2)
	w := &catalog.Weights{Passing: int(r.int()), Warning: int(r.int())}
	r.skip(more)
	return w
}

func appendService(p []byte, s *catalog.NodeService) []byte {
	p = appendArray(p, 12)
	p = appendString(p, s.Kind)
	p = appendString(p, s.ID)
	p = appendString(p, s.Service)
	p = appendStrings(p, s.Tags)
	p = appendString(p, s.Address)
	p = appendMap(p, s.TaggedAddresses, appendAddress)
	p = appendStringMap(p, s.Meta)
	p = appendInt(p, int64(s.Port))
	p = appendOptional(p, s.Weights, appendWeights)
	p = appendBool(p, s.EnableTagOverride)
	return appendIndexes(p, s.RaftIndex)
}

func (r *reader) service() *catalog.NodeService {
	more := r.fields(12)
	s := &catalog.NodeService{Kind: r.string(), ID: r.string(), Service: r.string(), Tags: r.strings(), Address: r.string(),
		TaggedAddresses: readMap(r, (*reader).address), Meta: r.stringMap(), Port: int(r.int()),
		Weights: readOptional(r, (*reader).weights), EnableTagOverride: r.bool(), RaftIndex: r.indexes()}
	r.skip(more)
	return s
}

func appendServiceNode(p []byte, s *catalog.ServiceNode) []byte {
	p = appendArray(p, 18)
	p = appendString(p, s.ID)
	p = appendString(p, s.Node)
	p = appendString(p, s.Address)
	p = appendString(p, s.Datacenter)
	p = appendStringMap(p, s.TaggedAddresses)
	p = appendStringMap(p, s.NodeMeta)
	p = appendString(p, s.ServiceKind)
	p = appendString(p, s.ServiceID)
	p = appendString(p, s.ServiceName)
	p = appendStrings(p, s.ServiceTags)
	p = appendString(p, s.ServiceAddress)
	p = appendMap(p, s.ServiceTaggedAddresses, appendAddress)
	p = appendWeights(p, &s.ServiceWeights)
	p = appendStringMap(p, s.ServiceMeta)
	p = appendInt(p, int64(s.ServicePort))
	p = appendBool(p, s.ServiceEnableTagOverride)
	return appendIndexes(p, s.RaftIndex)
}

func (r *reader) serviceNode() *catalog.ServiceNode {
	more := r.fields(18)
	s := &catalog.ServiceNode{ID: r.string(), Node: r.string(), Address: r.string(), Datacenter: r.string(),
		TaggedAddresses: r.stringMap(), NodeMeta: r.stringMap(), ServiceKind: r.string(), ServiceID: r.string(), ServiceName: r.string(),
		ServiceTags: r.strings(), ServiceAddress: r.string(), ServiceTaggedAddresses: readMap(r, (*reader).address),
		ServiceWeights: *r.weights(), ServiceMeta: r.stringMap(), ServicePort: int(r.int()), ServiceEnableTagOverride: r.bool(),
		RaftIndex: r.indexes()}
	r.skip(more)
	return s
}

func appendCheck(p []byte, c *catalog.HealthCheck) []byte {
	p = appendArray(p, 13)
	p = appendString(p, c.Node)
	p = appendString(p, c.CheckID)
	p = appendString(p, c.Name)
	p = appendString(p, c.Status)
	p = appendString(p, c.Notes)
	p = appendString(p, c.Output)
	p = appendString(p, c.ServiceID)
	p = appendString(p, c.ServiceName)
	p = appendStrings(p, c.ServiceTags)
	p = appendString(p, c.Type)
	p = appendCheckDefinition(p, &c.Definition)
	return appendIndexes(p, c.RaftIndex)
}

func (r *reader) check() *catalog.HealthCheck {
	more := r.fields(13)
	c := &catalog.HealthCheck{Node: r.string(), CheckID: r.string(), Name: r.string(), Status: r.string(), Notes: r.string(),
		Output: r.string(), ServiceID: r.string(), ServiceName: r.string(), ServiceTags: r.strings(), Type: r.string(),
		Definition: r.checkDefinition(), RaftIndex: r.indexes()}
	r.skip(more)
	return c
}

func appendCheckDefinition(p []byte, d *catalog.CheckDefinition) []byte {
	p = appendArray(p, 8)
	p = appendString(p, d.HTTP)
	p = appendBool(p, d.TLSSkipVerify)
	p = appendMap(p, d.Header, appendStrings)
	p = appendString(p, d.Method)
	p = appendString(p, d.TCP)
	p = appendString(p, d.Interval)
	p = appendString(p, d.Timeout)
	return appendString(p, d.DeregisterCriticalServiceAfter)
}

func (r *reader) checkDefinition() catalog.CheckDefinition {
	more := r.fields(8)
	d := catalog.CheckDefinition{HTTP: r.string(), TLSSkipVerify: r.bool(), Header: readMap(r, (*reader).strings), Method: r.string(),
		TCP: r.string(), Interval: r.string(), Timeout: r.string(), DeregisterCriticalServiceAfter: r.string()}
	r.skip(more)
	return d
}

func appendCheckedService(p []byte, s *catalog.CheckServiceNode) []byte {
	p = appendArray(p, 3)
	p = appendNode(p, s.Node)
	p = appendService(p, s.Service)
	return appendList(p, s.Checks, appendCheck)
}

func (r *reader) checkedService() *catalog.CheckServiceNode {
	more := r.fields(3)
	s := &catalog.CheckServiceNode{Node: r.node(), Service: r.service(), Checks: readList(r, 22, (*reader).check)}
	r.skip(more)
	return s
}

func appendNodeServices(p []byte, n *catalog.NodeServices) []byte {
	p = appendNode(appendArray(p, 2), n.Node)
	return appendMap(p, n.Services, appendService)
}

func (r *reader) nodeServices() *catalog.NodeServices {
	more := r.fields(2)
	n := &catalog.NodeServices{Node: r.node(), Services: readMap(r, (*reader).service)}
	r.skip(more)
	return n
}

func appendDirEntry(p []byte, e *catalog.DirEntry) []byte {
	p = appendArray(p, 7)
	p = appendUint(p, e.LockIndex)
	p = appendString(p, e.Key)
	p = appendUint(p, e.Flags)
	p = appendBytes(p, e.Value)
	p = appendString(p, e.Session)
	return appendIndexes(p, e.RaftIndex)
}

func (r *reader) dirEntry() *catalog.DirEntry {
	more := r.fields(7)
	e := &catalog.DirEntry{LockIndex: r.uint(), Key: r.string(), Flags: r.uint(), Value: r.bytes(), Session: r.string(), RaftIndex: r.indexes()}
	r.skip(more)
	return e
}

// dirEntrySize is about how long an entry gets.
func dirEntrySize(e *catalog.DirEntry) int { return 56 + len(e.Key) + len(e.Value) + len(e.Session) }

func appendAutopilot(p []byte, c *catalog.AutopilotConfig) []byte {
	p = appendArray(p, 7)
	p = appendBool(p, c.CleanupDeadServers)
	p = appendInt(p, c.LastContactThreshold)
	p = appendUint(p, c.MaxTrailingLogs)
	p = appendUint(p, uint64(c.MinQuorum))
	p = appendInt(p, c.ServerStabilizationTime)
	return appendIndexes(p, c.RaftIndex)
}

func (r *reader) autopilot() *catalog.AutopilotConfig {
	more := r.fields(7)
	c := &catalog.AutopilotConfig{CleanupDeadServers: r.bool(), LastContactThreshold: r.int(), MaxTrailingLogs: r.uint(),
		MinQuorum: uint(r.uint()), ServerStabilizationTime: r.int(), RaftIndex: r.indexes()}
	r.skip(more)
	return c
}

func appendSnapshotPage(p []byte, v *catalog.SnapshotPage) []byte {
	p = appendUint(appendArray(p, 4), v.Index)
	p = appendUint(p, v.Term)
	return appendBytes(appendBytes(p, v.Records), v.Next)
}

// snapshotPage reads a page. Its records alias the input.
func (r *reader) snapshotPage() *catalog.SnapshotPage {
	more := r.fields(4)
	v := &catalog.SnapshotPage{Index: r.uint(), Term: r.uint(), Records: r.bytes(), Next: r.bytes()}
	r.skip(more)
	return v
}
