package agent

import (
	"fmt"
	"slices"
	"time"

	"concord/catalog"
)

// An alias check has the state of another service or node
// (https://developer.hashicorp.com/consul/docs/services/usage/checks#alias-checks).

// aliasBusy is when a poll is tried again that found too many others under way.
const aliasBusy = time.Second

func (l *Local) remoteAlias(c *check) bool {
	return c.def.AliasNode != "" && c.def.AliasNode != l.cfg.Node
}

func (l *Local) noteAlias(id key) {
	if i, found := slices.BinarySearch(l.aliases, id); !found {
		l.aliases = slices.Insert(l.aliases, i, id)
	}
}

func (l *Local) forgetAlias(id key) {
	if i, found := slices.BinarySearch(l.aliases, id); found {
		l.aliases = slices.Delete(l.aliases, i, i+1)
	}
}

// refreshAliases brings the local aliases up to date. Aliases may follow services that have
// aliases, so that it takes up to as many rounds as there are aliases; a circle ends there too.
func (l *Local) refreshAliases() {
	for round := 0; l.aliasesStale && round <= len(l.aliases); round++ {
		l.aliasesStale = false
		for _, id := range l.aliases {
			c := l.checks[id]
			status, output := l.followLocal(c)
			l.setStatus(c, status, c.def.limit(output))
		}
	}
	l.aliasesStale = false
}

func (l *Local) followLocal(c *check) (status, output string) {
	var followed []*catalog.HealthCheck
	for _, id := range l.members[keyOf(c.def.AliasService)] {
		// Two aliases of one service, both checks of it, would hold each other critical.
		if other := l.check(id); other != nil && !c.sameAlias(other) {
			followed = append(followed, &other.record)
		}
	}
	for _, id := range sortedKeys(l.checks) {
		// An alias that is a check of the node says nothing about the node.
		if other := l.check(id); other != nil && other.record.ServiceID == "" && other.def.Kind() != KindAlias {
			followed = append(followed, &other.record)
		}
	}
	return follow(&c.def, l.cfg.Node, followed, l.service(keyOf(c.def.AliasService)) != nil)
}

// sameAlias tells whether both are aliases of one thing.
func (c *check) sameAlias(other *check) bool {
	return other.def.Kind() == KindAlias &&
		other.def.AliasNode == c.def.AliasNode && keyOf(other.def.AliasService) == keyOf(c.def.AliasService)
}

// follow tells the state that follows from the checks of an alias's node and service.
func follow(d *CheckDefinition, node string, checks []*catalog.HealthCheck, found bool) (status, output string) {
	if d.AliasService != "" && !found {
		return catalog.HealthCritical, fmt.Sprintf("Service %s could not be found on node %s", d.AliasService, node)
	}
	status, output = catalog.HealthPassing, "No checks found."
	for _, c := range checks {
		switch {
		case c.CheckID == d.ID || c.ServiceID != "" && keyOf(c.ServiceID) != keyOf(d.AliasService):
		case c.Status == catalog.HealthCritical:
			return c.Status, fmt.Sprintf("Aliased check %q failing: %s", c.Name, c.Output)
		case c.Status == catalog.HealthWarning:
			status, output = c.Status, fmt.Sprintf("Aliased check %q failing: %s", c.Name, c.Output)
		case status == catalog.HealthPassing:
			output = "All checks passing."
		}
	}
	return status, output
}

// pollAlias asks the servers for the state of the node that an alias follows.
func (l *Local) pollAlias(c *check) {
	again := timerKey{timerAlias, c.timers()}
	if len(l.sync.polls) >= l.cfg.MaxInFlight {
		l.timers.set(again, l.now+aliasBusy)
		return
	}
	id := l.sync.nextID()
	l.sync.polls[id] = c.def
	l.out.Requests = append(l.out.Requests, Op{ID: id, Queries: []catalog.Query{
		&catalog.NodeServicesQuery{Node: c.def.AliasNode},
		&catalog.NodeChecksQuery{Node: c.def.AliasNode},
	}})
	wait := l.cfg.AliasInterval
	l.timers.set(again, l.now+wait+l.rng.Duration(0, wait/4))
}

// polled takes the answer to a poll. A failed one changes nothing; the next comes anyway.
func (l *Local) polled(def CheckDefinition, reply Reply) {
	c := l.check(keyOf(def.ID))
	node, checks, err := nodeAnswer(reply)
	if c == nil || c.def.AliasNode != def.AliasNode || c.def.AliasService != def.AliasService || err != nil {
		return
	}
	if node == nil {
		l.setStatus(c, catalog.HealthCritical, fmt.Sprintf("Node %s could not be found", def.AliasNode))
		return
	}
	found := false
	for id := range node.Services {
		found = found || keyOf(id) == keyOf(def.AliasService)
	}
	status, output := follow(&c.def, def.AliasNode, checks, found)
	l.setStatus(c, status, c.def.limit(output))
}
