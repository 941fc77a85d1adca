package agent

import (
	"slices"

	"concord/catalog"
)

// compared takes what the catalog has of this node and finds all that differs. The agent is
// right, except for tags that others may change.
func (l *Local) compared(reply Reply) {
	node, checks, err := nodeAnswer(reply)
	if err != nil {
		l.failed(err)
		return
	}
	l.sync.failures = 0
	interval := l.cfg.SyncInterval
	l.timers.set(timerKey{kind: timerFullSync}, l.now+interval+l.rng.Duration(0, l.sync.scale()*interval))
	l.sync.nodeInSync = node != nil && node.Node != nil && l.cfg.sameNode(node.Node)
	if !l.sync.nodeInSync {
		l.enqueue(group{kind: groupNode})
	}
	services := map[key]*catalog.NodeService{}
	if node != nil {
		for id, s := range node.Services {
			services[keyOf(id)] = s
		}
	}
	l.compareServices(services)
	l.compareChecks(checks)
}

func (l *Local) compareServices(stored map[key]*catalog.NodeService) {
	for _, id := range sortedKeys(stored) {
		if l.services[id] == nil && !(l.cfg.Server && id == catalog.ConsulServiceID) {
			l.services[id] = &service{record: *stored[id], deleted: true}
		}
	}
	for _, id := range sortedKeys(l.services) {
		s, there := l.services[id], stored[id]
		switch {
		case s.deleted && there == nil:
			delete(l.services, id)
			continue
		case s.deleted:
		case there == nil:
			s.inSync = false
		default:
			if s.record.EnableTagOverride && there.EnableTagOverride && !slices.Equal(s.record.Tags, there.Tags) {
				s.record.Tags = slices.Clone(there.Tags)
				l.renameInChecks(s)
			}
			s.inSync = sameService(&s.record, there)
		}
		if !s.inSync {
			l.enqueue(group{groupService, id})
		}
	}
}

func (l *Local) compareChecks(list []*catalog.HealthCheck) {
	stored := map[key]*catalog.HealthCheck{}
	for _, r := range list {
		id := keyOf(r.CheckID)
		stored[id] = r
		foreign := r.CheckID == catalog.SerfCheckID || l.cfg.Server && r.ServiceID == catalog.ConsulServiceID
		if l.checks[id] == nil && !foreign {
			ghost := &check{record: *r, deleted: true}
			l.checks[id] = ghost
			l.joinService(ghost)
		}
	}
	for _, id := range sortedKeys(l.checks) {
		c, there := l.checks[id], stored[id]
		c.moved = there != nil && keyOf(c.record.ServiceID) != keyOf(there.ServiceID)
		switch {
		case c.deleted && there == nil:
			l.purgeCheck(c)
			continue
		case c.deleted:
		case there == nil:
			l.settleOutput(c)
			c.inSync = false
		default:
			l.compareCheck(c, there)
		}
		if !c.inSync {
			l.enqueue(c.group())
		}
	}
}

// compareCheck leaves output alone whose turn has not come.
func (l *Local) compareCheck(c *check, there *catalog.HealthCheck) {
	if c.deferred && sameButOutput(&c.record, there) && c.record.Output != there.Output {
		return
	}
	l.settleOutput(c)
	c.inSync = sameCheck(&c.record, there)
}
