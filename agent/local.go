package agent

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"concord/catalog"
	"concord/internal/invariant"
	"concord/internal/prng"
)

// Local is the truth about a node's own services and checks, and what keeps the catalog in
// step with it (https://developer.hashicorp.com/consul/docs/architecture/anti-entropy).
//
// It is a pure state machine: every input has the time as an argument, and Output tells what
// is to be done. After New the driver calls LoadConfigServices and Restore before it first
// acts on an Output, so that nothing that belongs here is removed from the catalog. IDs that
// differ only in case are one, as in the catalog.
type Local struct {
	cfg Config
	rng *prng.Rand
	now time.Duration

	services map[key]*service
	checks   map[key]*check
	members  map[key][]key     // service -> its checks, ascending
	aliases  []key             // the local alias checks, ascending
	orphans  []CheckDefinition // checks of the configuration that wait for their service
	timers   *schedule

	aliasesStale bool // a check changed that an alias may follow
	sync         syncer

	running      map[key]CheckDefinition // what the driver runs
	runnersDirty map[key]struct{}
	persistDirty []persistKey // in order, each once
	persistSet   map[persistKey]struct{}
	out          Output
}

// key is the ID of a service or check as the catalog tells them apart: without regard to case.
type key string

func keyOf(id string) key { return key(strings.ToLower(id)) }

// service is a service entry. It outlives its service until the catalog has forgotten it.
type service struct {
	record     catalog.NodeService
	def        ServiceDefinition // without its checks
	fromConfig bool
	deleted    bool
	inSync     bool
}

// check is a check entry. It outlives its check until the catalog has forgotten it.
type check struct {
	record     catalog.HealthCheck
	def        CheckDefinition
	fromConfig bool
	bundled    bool // registered with its service, and kept on disk as a part of it
	deleted    bool
	inSync     bool
	deferred   bool   // in sync but for its output
	moved      bool   // the catalog may have it as a check of another service
	flight     uint64 // the Op that carries it, or 0

	successes, failures int // results in a row
	critical            bool
	criticalSince       time.Duration
}

// group is what is synced as one: the node, a service with its checks, or a check of the node.
type group struct {
	kind groupKind
	id   key
}

type groupKind uint8

const (
	groupNode groupKind = iota + 1
	groupService
	groupCheck
)

func (g group) compare(o group) int {
	return cmp.Or(cmp.Compare(g.kind, o.kind), cmp.Compare(g.id, o.id))
}

func (c *check) key() key { return keyOf(c.record.CheckID) }

func (c *check) group() group {
	if c.record.ServiceID != "" {
		return group{groupService, keyOf(c.record.ServiceID)}
	}
	return group{groupCheck, c.key()}
}

// New returns a Local without services, due for a full sync. The configuration must be valid.
func New(cfg Config, rng *prng.Rand, now time.Duration) *Local {
	return &Local{
		cfg: cfg, rng: rng, now: now,
		services: map[key]*service{}, checks: map[key]*check{}, members: map[key][]key{},
		timers: newSchedule(), sync: newSyncer(),
		running: map[key]CheckDefinition{}, runnersDirty: map[key]struct{}{},
		persistSet: map[persistKey]struct{}{},
	}
}

// Tick does what is due at now. It must be called when NextDeadline has passed.
func (l *Local) Tick(now time.Duration) {
	l.now = now
	for {
		t, ok := l.timers.pop(now)
		if !ok {
			break
		}
		l.fired(t)
	}
	l.settle()
}

func (l *Local) fired(t timerKey) {
	switch t.kind {
	case timerFullSync:
		l.sync.wantFull = true
	case timerRetry: // settle dispatches
	case timerGroup:
		l.enqueue(t.group)
	case timerTTL:
		l.ttlExpired(l.checks[t.group.id])
	case timerOutput:
		l.outputDue(l.checks[t.group.id])
	case timerAlias:
		l.pollAlias(l.checks[t.group.id])
	case timerReap:
		l.reap()
	}
}

// NextDeadline returns when Tick has something to do, or tick.Never.
func (l *Local) NextDeadline() time.Duration { return l.timers.next() }

// settle ends every input: it brings aliases up to date and sends what can be sent.
func (l *Local) settle() {
	l.refreshAliases()
	l.dispatch()
	l.checkInvariants()
}

func (l *Local) checkInvariants() {
	invariant.Check(len(l.sync.flights) <= l.cfg.MaxInFlight,
		"agent: %d requests are in flight, at most %d may be", len(l.sync.flights), l.cfg.MaxInFlight)
	invariant.Check(!l.sync.reading || len(l.sync.flights) == 1,
		"agent: changes are in flight during a full sync")
	invariant.Check(len(l.sync.busy) <= len(l.sync.flights), "agent: groups are busy without a request")
	if !invariant.Expensive {
		return
	}
	for _, id := range sortedKeys(l.checks) {
		c := l.checks[id]
		s := l.services[keyOf(c.record.ServiceID)]
		invariant.Check(c.deleted || c.record.ServiceID == "" || s != nil && !s.deleted,
			"agent: check %q belongs to service %q, which does not exist", id, c.record.ServiceID)
		invariant.Check(c.inSync && !c.deleted || l.sync.pending(c.group(), c.flight, l.timers),
			"agent: check %q is out of sync and nothing is about to change that", id)
	}
	for _, id := range sortedKeys(l.services) {
		s := l.services[id]
		invariant.Check(s.inSync && !s.deleted || l.sync.pending(group{groupService, id}, 0, l.timers),
			"agent: service %q is out of sync and nothing is about to change that", id)
	}
}

// Services returns the services in the order of their IDs.
func (l *Local) Services() []Service {
	all := []Service{}
	for _, id := range sortedKeys(l.services) {
		if s, ok := l.Service(string(id)); ok {
			all = append(all, s)
		}
	}
	return all
}

// Service returns a service. Its maps and slices must not be changed.
func (l *Local) Service(id string) (Service, bool) {
	s := l.service(keyOf(id))
	if s == nil {
		return Service{}, false
	}
	return Service{Service: s.record, Definition: s.def, FromConfig: s.fromConfig, InSync: s.inSync}, true
}

// Checks returns the checks in the order of their IDs.
func (l *Local) Checks() []Check {
	all := []Check{}
	for _, id := range sortedKeys(l.checks) {
		if c, ok := l.Check(string(id)); ok {
			all = append(all, c)
		}
	}
	return all
}

// Check returns a check. Its maps and slices must not be changed.
func (l *Local) Check(id string) (Check, bool) {
	c := l.check(keyOf(id))
	if c == nil {
		return Check{}, false
	}
	return Check{Check: c.record, Definition: c.def, FromConfig: c.fromConfig, InSync: c.inSync}, true
}

// ServiceHealth returns the worst state of a service's own checks and those of the node, or
// "maintenance", with these checks (/v1/agent/health/service/id).
func (l *Local) ServiceHealth(id string) (string, []Check) {
	var checks []Check
	for _, c := range l.Checks() {
		if c.Check.ServiceID == "" || keyOf(c.Check.ServiceID) == keyOf(id) {
			checks = append(checks, c)
		}
	}
	return aggregate(checks), checks
}

func aggregate(checks []Check) string {
	worst := catalog.HealthPassing
	for _, c := range checks {
		switch {
		case isMaintenance(c.Check.CheckID):
			return KindMaintenance
		case c.Check.Status == catalog.HealthCritical:
			worst = catalog.HealthCritical
		case c.Check.Status == catalog.HealthWarning && worst == catalog.HealthPassing:
			worst = catalog.HealthWarning
		}
	}
	return worst
}

// service returns the entry of a live service, or nil.
func (l *Local) service(id key) *service {
	if s := l.services[id]; s != nil && !s.deleted {
		return s
	}
	return nil
}

// check returns the entry of a live check, or nil.
func (l *Local) check(id key) *check {
	if c := l.checks[id]; c != nil && !c.deleted {
		return c
	}
	return nil
}

func (l *Local) log(level Level, format string, args ...any) {
	l.out.Logs = append(l.out.Logs, Log{level, fmt.Sprintf(format, args...)})
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
