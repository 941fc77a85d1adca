package agent

import (
	"errors"
	"reflect"
	"slices"
	"time"

	"concord/catalog"
)

// keep says which checks of a service survive when it is registered again without them.
type keep uint8

const (
	keepAll      keep = iota // Consul's default
	keepNone                 // ?replace-existing-checks
	keepSeparate             // those that were registered on their own; a reload of the configuration
)

// AddService registers a service with its checks. If there is one with this ID it is replaced;
// its other checks stay, and checks that were there before keep their state. The error is an
// *InvalidError; then nothing was changed.
func (l *Local) AddService(now time.Duration, def ServiceDefinition) error {
	return l.addServiceInput(now, def, keepAll)
}

// AddServiceReplacingChecks is AddService, but checks of the service that def does not have are
// removed (?replace-existing-checks).
func (l *Local) AddServiceReplacingChecks(now time.Duration, def ServiceDefinition) error {
	return l.addServiceInput(now, def, keepNone)
}

func (l *Local) addServiceInput(now time.Duration, def ServiceDefinition, k keep) error {
	l.now = now
	def, err := l.prepareService(def)
	if err != nil {
		return err
	}
	l.putService(def, false, k)
	l.persistService(keyOf(def.ID))
	l.settle()
	return nil
}

// prepareService validates a definition and fills in its defaults.
func (l *Local) prepareService(def ServiceDefinition) (ServiceDefinition, error) {
	if err := def.Validate(); err != nil {
		return def, err
	}
	def, err := def.normalize(l.cfg)
	if err != nil {
		return def, err
	}
	if l.cfg.Server && def.ID == catalog.ConsulServiceID {
		return def, invalid("Invalid service: ID %q is reserved for the servers themselves", def.ID)
	}
	return def, nil
}

// putService makes a prepared service and its checks part of the local state.
func (l *Local) putService(def ServiceDefinition, fromConfig bool, k keep) {
	checks := def.Checks
	def.Checks = nil
	record := def.record()
	id := keyOf(def.ID)
	s := l.services[id]
	switch {
	case s == nil:
		s = &service{}
		l.services[id] = s
	case !s.deleted && reflect.DeepEqual(s.def, def):
		record = s.record // its tags may be those of the catalog
	default:
		s.inSync = false
	}
	s.record, s.def, s.fromConfig, s.deleted = record, def, fromConfig, false
	l.enqueue(group{groupService, id})
	l.dropOtherChecks(id, checks, k)
	for _, c := range checks {
		l.putCheck(c, true, fromConfig)
	}
	l.adoptOrphans(id)
	l.renameInChecks(s)
	l.aliasesStale = true
}

// dropOtherChecks removes those checks of a service that are not kept.
func (l *Local) dropOtherChecks(serviceID key, checks []CheckDefinition, k keep) {
	for _, id := range slices.Clone(l.members[serviceID]) {
		c := l.check(id)
		given := slices.ContainsFunc(checks, func(d CheckDefinition) bool { return keyOf(d.ID) == id })
		if c == nil || given || k == keepAll || k == keepSeparate && !c.bundled || isMaintenance(c.record.CheckID) {
			continue
		}
		l.dropCheck(id)
	}
}

// renameInChecks carries a service's name and tags over to its checks.
func (l *Local) renameInChecks(s *service) {
	for _, id := range l.members[keyOf(s.record.ID)] {
		c := l.check(id)
		if c == nil {
			continue
		}
		c.record.ServiceTags = s.record.Tags
		if c.record.ServiceName != s.record.Service || c.record.ServiceID != s.record.ID {
			c.record.ServiceName, c.record.ServiceID = s.record.Service, s.record.ID
			c.def.ServiceID = s.record.ID
			l.runnersDirty[id] = struct{}{}
			l.touch(c)
		}
	}
}

// RemoveService removes a service and its checks. The error is a *NotFoundError.
func (l *Local) RemoveService(now time.Duration, id string) error {
	l.now = now
	if l.service(keyOf(id)) == nil {
		return unknownService(id)
	}
	l.dropService(keyOf(id))
	l.settle()
	return nil
}

func (l *Local) dropService(id key) {
	s := l.services[id]
	s.deleted, s.inSync = true, false
	for _, checkID := range slices.Clone(l.members[id]) {
		if l.check(checkID) != nil {
			l.dropCheck(checkID)
		}
	}
	l.persistService(id)
	l.enqueue(group{groupService, id})
	l.aliasesStale = true
}

// LoadConfigServices makes these the services and checks of the configuration: those of an
// earlier call that are gone are removed, and those that were registered over the API stay,
// unless one of the configuration has the same ID. A check whose service is not registered
// waits for it. If any is wrong, the error tells all that are, and nothing was changed.
func (l *Local) LoadConfigServices(now time.Duration, services []ServiceDefinition, checks []CheckDefinition) error {
	l.now = now
	var errs []error
	serviceIDs, checkIDs := map[key]bool{}, map[key]bool{}
	prepared := make([]ServiceDefinition, 0, len(services))
	for _, def := range services {
		def, err := l.prepareService(def)
		if err == nil && serviceIDs[keyOf(def.ID)] {
			err = invalid("ID %q is given twice", def.ID)
		}
		if err != nil {
			errs = append(errs, invalid("service %q: %v", def.Name, err))
		}
		serviceIDs[keyOf(def.ID)] = true
		prepared = append(prepared, def)
	}
	for i, def := range checks {
		def, err := l.prepareCheck(def)
		if err == nil && checkIDs[keyOf(def.ID)] {
			err = invalid("ID %q is given twice", def.ID)
		}
		if err != nil {
			errs = append(errs, invalid("check %q: %v", def.Name, err))
		}
		checkIDs[keyOf(def.ID)] = true
		checks = slices.Clone(checks)
		checks[i] = def
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	l.replaceConfigured(prepared, checks, serviceIDs, checkIDs)
	l.settle()
	return nil
}

func (l *Local) replaceConfigured(services []ServiceDefinition, checks []CheckDefinition, serviceIDs, checkIDs map[key]bool) {
	for _, id := range sortedKeys(l.services) {
		if s := l.service(id); s != nil && s.fromConfig && !serviceIDs[id] {
			l.dropService(id)
		}
	}
	for _, id := range sortedKeys(l.checks) {
		if c := l.check(id); c != nil && c.fromConfig && !c.bundled && !checkIDs[id] {
			l.dropCheck(id)
		}
	}
	for _, def := range services {
		if s := l.service(keyOf(def.ID)); s != nil && !s.fromConfig {
			l.persistService(keyOf(def.ID))
		}
		l.putService(def, true, keepSeparate)
	}
	l.orphans = nil
	for _, def := range checks {
		if def.ServiceID != "" && l.service(keyOf(def.ServiceID)) == nil {
			l.log(LevelWarn, "Check waits until its service is registered: check=%s service=%s", def.ID, def.ServiceID)
			l.orphans = append(l.orphans, def)
			continue
		}
		if c := l.check(keyOf(def.ID)); c != nil && !c.fromConfig {
			l.persistCheck(keyOf(def.ID))
		}
		l.putCheck(def, false, true)
	}
}

// adoptOrphans adds the configured checks that waited for this service.
func (l *Local) adoptOrphans(serviceID key) {
	for _, def := range l.orphans {
		if keyOf(def.ServiceID) == serviceID {
			l.putCheck(def, false, true)
			l.persistCheck(keyOf(def.ID))
		}
	}
	l.orphans = slices.DeleteFunc(l.orphans, func(d CheckDefinition) bool { return keyOf(d.ServiceID) == serviceID })
}
