package catalog

import "slices"

func serviceKey(node string, s *NodeService) []byte {
	return key(tableServices, fold(s.Service), node, fold(s.ID))
}

// putService creates or updates an instance on a node that exists.
func (a *applier) putService(node string, s *NodeService) {
	part := fold(node)
	old, oldKey := a.service(part, fold(s.ID))
	s.RaftIndex = RaftIndex{CreateIndex: a.index, ModifyIndex: a.index}
	if old != nil {
		s.CreateIndex = old.CreateIndex
		if sameBody(encodeService(s), encodeService(old)) {
			return
		}
	}
	primary := serviceKey(part, s)
	moved := old != nil && string(primary) != string(oldKey)
	if moved {
		a.delete(oldKey)
		a.touch(topicService(old.Service))
	}
	a.set(primary, encodeService(s))
	a.set(key(tableNodeServices, part, fold(s.ID)), primary)
	a.touch(topicService(s.Service))
	if n := a.node(part); n != nil {
		a.touchNode(n)
	}
	if old != nil && old.Service == s.Service && slices.Equal(old.Tags, s.Tags) {
		return
	}
	a.countTags(s, old)
	a.touch(Topic{Kind: TopicInstances})
	if old != nil {
		a.followService(part, old, s)
	}
	if moved {
		a.retireService(old.Service)
	}
}

// followService gives the checks of an instance its new name and tags.
func (a *applier) followService(node string, old, s *NodeService) {
	for _, check := range a.checks(key(tableChecks, fold(old.Service), node, fold(old.ID))) {
		a.writeCheck(node, check, s)
	}
}

func (a *applier) deleteService(n *Node, s *NodeService) {
	part := fold(n.Node)
	for _, check := range a.checks(key(tableChecks, fold(s.Service), part, fold(s.ID))) {
		a.deleteCheck(part, check)
	}
	a.delete(serviceKey(part, s))
	a.delete(key(tableNodeServices, part, fold(s.ID)))
	a.countTags(nil, s)
	a.touch(Topic{Kind: TopicInstances})
	a.touch(topicService(s.Service))
	a.touchNode(n)
	a.retireService(s.Service)
}

// retireService retires the topics of a service that has no instance left.
func (a *applier) retireService(service string) {
	if a.exists(key(tableServices, fold(service))) {
		return
	}
	a.retire(topicService(service))
	a.retire(topicServiceChecks(service))
	a.retire(topicServiceHealth(service))
}

// The rows of tableTags that begin with a service are: noTag, that it has instances at all, and
// one for each tag, that instances have it. They hold how many.
const (
	noTag   = "\x00"
	someTag = "\x01"
)

// countTags counts an instance's name and tags in and its old ones out, in that order: what is in both
// does not vanish in between. The list of services changes with the first and the last to have a tag.
func (a *applier) countTags(in, out *NodeService) {
	for _, k := range tagKeys(in) {
		a.count(k, 1)
	}
	for _, k := range tagKeys(out) {
		a.count(k, -1)
	}
}

func tagKeys(s *NodeService) [][]byte {
	if s == nil {
		return nil
	}
	service := esc(s.Service)
	keys := [][]byte{key(tableTags, service, noTag)}
	tags := slices.Clone(s.Tags)
	slices.Sort(tags)
	for _, tag := range slices.Compact(tags) {
		keys = append(keys, key(tableTags, service, someTag, tag))
	}
	return keys
}

func (a *applier) count(k []byte, by int64) {
	old := lookup(&a.reader, k, decodeCount)
	n := uint64(int64(old) + by)
	if n == 0 {
		a.delete(k)
	} else {
		a.set(k, encodeCount(n))
	}
	if n == 0 || old == 0 {
		a.touch(Topic{Kind: TopicServices})
	}
}
