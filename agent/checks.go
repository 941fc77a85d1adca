package agent

import (
	"slices"
	"strings"
	"time"

	"concord/catalog"
)

// AddCheck registers a check of the node, or of the service ServiceID. If there is one with
// this ID it is replaced and keeps its state. The error is an *InvalidError; then nothing was
// changed.
func (l *Local) AddCheck(now time.Duration, def CheckDefinition) error {
	l.now = now
	def, err := l.prepareCheck(def)
	if err != nil {
		return err
	}
	if def.ServiceID != "" && l.service(keyOf(def.ServiceID)) == nil {
		return invalid("ServiceID %q does not exist", def.ServiceID)
	}
	l.putCheck(def, false, false)
	l.persistCheck(keyOf(def.ID))
	l.settle()
	return nil
}

// prepareCheck validates a definition and fills in its defaults.
func (l *Local) prepareCheck(def CheckDefinition) (CheckDefinition, error) {
	if def.Name == "" {
		return def, invalid("Missing check name")
	}
	if err := def.Validate(); err != nil {
		return def, err
	}
	def = def.normalize(l.cfg)
	if isMaintenance(def.ID) || def.ID == catalog.SerfCheckID {
		return def, invalid("Invalid check: CheckID %q is reserved", def.ID)
	}
	return def, nil
}

// putCheck makes a prepared check part of the local state.
func (l *Local) putCheck(def CheckDefinition, bundled, fromConfig bool) {
	var svc *catalog.NodeService
	if s := l.service(keyOf(def.ServiceID)); s != nil {
		svc = &s.record
		def.ServiceID = s.record.ID
	}
	record := def.record(l.cfg.Node, svc)
	id := keyOf(def.ID)
	c := l.checks[id]
	var was group
	if c != nil {
		was = c.group()
	}
	switch {
	case c == nil:
		c = &check{}
		l.checks[id] = c
	case c.deleted:
		l.leaveService(c)
		*c = check{flight: c.flight, moved: c.moved}
	default: // a check that is registered again must not flap
		record.Status, record.Output = c.record.Status, c.record.Output
		c.inSync = c.inSync && sameCheck(&c.record, &record)
		l.leaveService(c)
		if c.bundled && c.record.ServiceID != "" && (!bundled || keyOf(c.record.ServiceID) != keyOf(record.ServiceID)) {
			l.persistService(keyOf(c.record.ServiceID))
		}
	}
	if c.def.ID != "" && !c.bundled && bundled {
		l.persistCheck(id)
	}
	if c.def.Kind() == KindTTL && def.Kind() != KindTTL {
		l.persistState(id)
	}
	c.record, c.def, c.bundled, c.fromConfig, c.deleted = record, def, bundled, fromConfig, false
	c.successes, c.failures = 0, 0
	c.moved = c.moved || was != group{} && was != c.group()
	l.joinService(c)
	l.startCheck(c)
	l.enqueue(c.group())
	l.aliasesStale = true
}

// startCheck arranges for whatever keeps the check's state up to date.
func (l *Local) startCheck(c *check) {
	id := c.key()
	l.runnersDirty[id] = struct{}{}
	ttl, alias := timerKey{timerTTL, c.timers()}, timerKey{timerAlias, c.timers()}
	l.timers.clear(ttl)
	l.timers.clear(alias)
	l.forgetAlias(id)
	switch c.def.Kind() {
	case KindTTL:
		l.timers.set(ttl, l.now+c.def.TTL)
	case KindAlias:
		if l.remoteAlias(c) {
			l.timers.set(alias, l.now)
		} else {
			l.noteAlias(id)
		}
	}
}

// timers is how the timers of a check are named, whatever group it is in.
func (c *check) timers() group { return group{groupCheck, c.key()} }

// joinService and leaveService keep the lists of the checks of each service.
func (l *Local) joinService(c *check) {
	service := keyOf(c.record.ServiceID)
	ids := l.members[service]
	if i, found := slices.BinarySearch(ids, c.key()); service != "" && !found {
		l.members[service] = slices.Insert(ids, i, c.key())
	}
}

func (l *Local) leaveService(c *check) {
	service := keyOf(c.record.ServiceID)
	ids := l.members[service]
	i, found := slices.BinarySearch(ids, c.key())
	if !found {
		return
	}
	if len(ids) == 1 {
		delete(l.members, service)
		return
	}
	l.members[service] = slices.Delete(ids, i, i+1)
}

// RemoveCheck removes a check. The error is a *NotFoundError.
func (l *Local) RemoveCheck(now time.Duration, id string) error {
	l.now = now
	if l.check(keyOf(id)) == nil {
		return unknownCheck(id)
	}
	l.dropCheck(keyOf(id))
	l.settle()
	return nil
}

func (l *Local) dropCheck(id key) {
	c := l.checks[id]
	if c.bundled {
		l.persistService(keyOf(c.record.ServiceID))
	} else {
		l.persistCheck(id)
	}
	if c.def.Kind() == KindTTL {
		l.persistState(id)
	}
	for _, kind := range []timerKind{timerTTL, timerAlias, timerOutput} {
		l.timers.clear(timerKey{kind, c.timers()})
	}
	l.forgetAlias(id)
	l.runnersDirty[id] = struct{}{}
	c.deleted, c.inSync, c.deferred = true, false, false
	l.enqueue(c.group())
	l.aliasesStale = true
}

// purgeCheck forgets a removed check that the catalog does not have any more.
func (l *Local) purgeCheck(c *check) {
	l.leaveService(c)
	delete(l.checks, c.key())
}

// UpdateCheck takes a result of a check: of a runner, or of whoever updates a TTL check. The
// error is a *NotFoundError or an *InvalidError.
func (l *Local) UpdateCheck(now time.Duration, id, status, output string) error {
	c := l.check(keyOf(id))
	if c != nil && c.def.Kind() == KindTTL {
		return l.SetTTL(now, id, status, output)
	}
	l.now = now
	switch {
	case c == nil:
		return unknownCheck(id)
	case !ValidStatus(status):
		return invalid("Invalid check status: '%s'", status)
	case c.def.Kind() != KindHTTP && c.def.Kind() != KindTCP:
		return invalid("CheckID %q cannot be updated: its state follows from something else", id)
	}
	if status, ok := c.count(status); ok {
		l.setStatus(c, status, c.def.limit(output))
	}
	l.settle()
	return nil
}

// count tells what state follows from a result, if any: it may take several results in a row
// (success_before_passing, failures_before_warning, failures_before_critical).
func (c *check) count(status string) (string, bool) {
	if status != catalog.HealthCritical {
		c.successes, c.failures = c.successes+1, 0
		return status, c.successes >= c.def.SuccessBeforePassing
	}
	c.successes, c.failures = 0, c.failures+1
	if c.failures >= c.def.FailuresBeforeCritical {
		return catalog.HealthCritical, true
	}
	return catalog.HealthWarning, c.failures >= c.def.FailuresBeforeWarning
}

// limit cuts an output to OutputMaxSize.
func (d *CheckDefinition) limit(output string) string {
	if len(output) <= d.OutputMaxSize || d.OutputMaxSize == 0 {
		return output
	}
	return strings.ToValidUTF8(output[:d.OutputMaxSize], "")
}

// setStatus gives a check a state. A change of nothing but the output is not worth a write at
// once: a check whose output differs each time would else keep the servers busy.
func (l *Local) setStatus(c *check, status, output string) {
	l.noteCritical(c, status)
	if c.record.Status == status && c.record.Output == output {
		return
	}
	onlyOutput := c.record.Status == status
	c.record.Status, c.record.Output = status, output
	l.aliasesStale = true
	if onlyOutput && c.inSync && l.cfg.CheckUpdateInterval > 0 {
		l.deferOutput(c)
		return
	}
	l.touch(c)
	if !onlyOutput && status == catalog.HealthCritical {
		l.log(LevelWarn, "Check is now critical: check=%s", c.record.CheckID)
	}
}

func (l *Local) deferOutput(c *check) {
	if c.deferred {
		return
	}
	c.deferred = true
	wait := l.cfg.CheckUpdateInterval
	l.timers.set(timerKey{timerOutput, c.timers()}, l.now+wait/2+l.rng.Duration(0, wait))
}

func (l *Local) outputDue(c *check) {
	if c.deferred {
		l.touch(c)
	}
}

// touch makes a check due for a sync.
func (l *Local) touch(c *check) {
	c.inSync = false
	l.settleOutput(c)
	l.enqueue(c.group())
}

// settleOutput ends the deferral of a check's output.
func (l *Local) settleOutput(c *check) {
	if c.deferred {
		c.deferred = false
		l.timers.clear(timerKey{timerOutput, c.timers()})
	}
}

// noteCritical keeps since when a check is critical, for reap.
func (l *Local) noteCritical(c *check, status string) {
	if status != catalog.HealthCritical {
		c.critical = false
		return
	}
	if !c.critical {
		c.critical, c.criticalSince = true, l.now
	}
	reap := timerKey{kind: timerReap}
	if c.reapable() && l.timers.at(reap) > l.now+l.cfg.ReapInterval {
		l.timers.set(reap, l.now+l.cfg.ReapInterval)
	}
}

func (c *check) reapable() bool {
	return c.critical && !c.deleted && c.record.ServiceID != "" && c.def.DeregisterCriticalServiceAfter > 0
}

// reap removes the services of checks that were critical for DeregisterCriticalServiceAfter.
func (l *Local) reap() {
	again := false
	for _, id := range sortedKeys(l.checks) {
		c := l.checks[id]
		if c == nil || !c.reapable() {
			continue
		}
		if l.now-c.criticalSince <= c.def.DeregisterCriticalServiceAfter {
			again = true
			continue
		}
		l.log(LevelInfo, "Check for service has been critical for too long; deregistering service: service=%s check=%s timeout=%v",
			c.record.ServiceID, id, c.def.DeregisterCriticalServiceAfter)
		l.dropService(keyOf(c.record.ServiceID))
	}
	if again {
		l.timers.set(timerKey{kind: timerReap}, l.now+l.cfg.ReapInterval)
	}
}
