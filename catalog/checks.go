package catalog

// checkKey is the key of a check: beside the service it belongs to, or with all checks of nodes.
func checkKey(node string, c *HealthCheck) []byte {
	if c.ServiceID == "" {
		return key(tableChecks, noService, node, noService, fold(c.CheckID))
	}
	return key(tableChecks, fold(c.ServiceName), node, fold(c.ServiceID), fold(c.CheckID))
}

// putCheck creates or updates a check on a node that exists, of a service that exists if it is of one.
func (a *applier) putCheck(node string, c *HealthCheck) {
	part := fold(node)
	var s *NodeService
	if c.ServiceID != "" {
		s, _ = a.service(part, fold(c.ServiceID))
	}
	a.writeCheck(part, c, s)
}

// writeCheck writes a check with the name and tags of its service, if it has one, and if that changes it.
func (a *applier) writeCheck(node string, c *HealthCheck, s *NodeService) {
	if s != nil {
		c.ServiceName, c.ServiceTags = s.Service, s.Tags
	}
	c.RaftIndex = RaftIndex{CreateIndex: a.index, ModifyIndex: a.index}
	old, oldKey := a.check(node, fold(c.CheckID))
	if old != nil {
		c.CreateIndex = old.CreateIndex
		if sameBody(encodeCheck(c), encodeCheck(old)) {
			return
		}
	}
	primary := checkKey(node, c)
	if old != nil {
		if string(oldKey) != string(primary) {
			a.delete(oldKey)
		}
		if old.Status != c.Status {
			a.delete(key(tableStateChecks, esc(old.Status), node, fold(old.CheckID)))
		}
		a.touchCheck(node, old)
	}
	a.set(primary, encodeCheck(c))
	a.set(key(tableNodeChecks, node, fold(c.CheckID)), primary)
	a.set(key(tableStateChecks, esc(c.Status), node, fold(c.CheckID)), primary)
	a.touchCheck(node, c)
}

func (a *applier) deleteCheck(node string, c *HealthCheck) {
	a.delete(checkKey(node, c))
	a.delete(key(tableNodeChecks, node, fold(c.CheckID)))
	a.delete(key(tableStateChecks, esc(c.Status), node, fold(c.CheckID)))
	a.touchCheck(node, c)
}

// touchCheck touches all topics that c is in.
func (a *applier) touchCheck(node string, c *HealthCheck) {
	a.touch(Topic{Kind: TopicChecks})
	a.touch(topicChecks(c.Status))
	a.touch(topicNodeChecks(c.Node))
	if c.ServiceID != "" {
		a.touch(topicServiceChecks(c.ServiceName))
		return
	}
	for _, s := range a.nodeServices(node) {
		a.touch(topicServiceHealth(s.Service))
	}
}
