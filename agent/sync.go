package agent

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"concord/catalog"
	"concord/internal/tick"
)

const (
	// serverUpStagger and serverUpPerNode bound how long a full sync waits after a server came
	// up, so that all agents of a large cluster do not come at once.
	serverUpStagger = 3 * time.Second
	serverUpPerNode = 20 * time.Millisecond
	// scaleThreshold is the cluster size up to which full syncs are at their most frequent.
	scaleThreshold = 128
)

// syncer is the traffic with the servers. Groups that may be out of sync wait in a queue; at
// most one request for each is in flight, so that writes cannot overtake each other. A full
// sync has the field to itself, so that it never compares with a state that is about to change.
type syncer struct {
	queue    []group
	queued   map[group]bool
	busy     map[group]bool
	flights  map[uint64]*flight
	polls    map[uint64]CheckDefinition
	refusals map[group]int
	lastID   uint64

	nodeInSync  bool
	wantFull    bool // as soon as nothing is in flight
	reading     bool // a full sync's queries are in flight
	failures    int  // in a row
	pauses      int
	clusterSize int
}

// flight is a request that is under way and what it carries.
type flight struct {
	read    bool
	group   group
	node    bool
	service *catalog.NodeService
	checks  []catalog.HealthCheck
	removed key // the check it removes
}

func newSyncer() syncer {
	return syncer{
		queued: map[group]bool{}, busy: map[group]bool{}, flights: map[uint64]*flight{},
		polls: map[uint64]CheckDefinition{}, refusals: map[group]int{}, wantFull: true, clusterSize: 1,
	}
}

func (s *syncer) nextID() uint64 {
	s.lastID++
	return s.lastID
}

// pending tells whether something is about to bring the group in sync.
func (s *syncer) pending(g group, flight uint64, timers *schedule) bool {
	full := timerKey{kind: timerFullSync}
	return s.queued[g] || s.busy[g] || flight != 0 || s.wantFull || s.reading || timers.at(full) != tick.Never
}

// Pause holds back all requests for changes until as many Resumes follow, so that several
// registrations become visible together. Requests already under way go on.
func (l *Local) Pause() { l.sync.pauses++ }

// Resume ends a Pause.
func (l *Local) Resume(now time.Duration) {
	l.now = now
	l.sync.pauses = max(0, l.sync.pauses-1)
	l.settle()
}

// SetClusterSize tells how many nodes there are: full syncs are rarer in a large cluster.
func (l *Local) SetClusterSize(n int) { l.sync.clusterSize = max(1, n) }

// ServerUp tells that a server or a leader became available. A full sync follows soon.
func (l *Local) ServerUp(now time.Duration) {
	l.now = now
	at := now + l.rng.Duration(0, min(serverUpStagger, time.Duration(l.sync.clusterSize)*serverUpPerNode))
	l.sync.failures = 0
	full, retry := timerKey{kind: timerFullSync}, timerKey{kind: timerRetry}
	if !l.sync.wantFull && !l.sync.reading && at < l.timers.at(full) {
		l.timers.set(full, at)
	}
	if due := l.timers.at(retry); due != tick.Never && at < due {
		l.timers.set(retry, at)
	}
	l.settle()
}

// scale is 1 for up to 128 nodes and one more for each doubling after that.
func (s *syncer) scale() time.Duration {
	if s.clusterSize <= scaleThreshold {
		return 1
	}
	return time.Duration(1 + bits.Len(uint(s.clusterSize-1)/scaleThreshold))
}

func (l *Local) enqueue(g group) {
	if !l.sync.queued[g] {
		l.sync.queued[g] = true
		l.sync.queue = append(l.sync.queue, g)
	}
}

// dispatch sends what may be sent.
func (l *Local) dispatch() {
	s := &l.sync
	if s.pauses > 0 || s.reading || l.timers.at(timerKey{kind: timerRetry}) != tick.Never {
		return
	}
	if s.wantFull {
		if len(s.flights) == 0 {
			s.wantFull, s.reading = false, true
			l.timers.clear(timerKey{kind: timerFullSync})
			l.send(&flight{read: true}, nil, &catalog.NodeServicesQuery{Node: l.cfg.Node}, &catalog.NodeChecksQuery{Node: l.cfg.Node})
		}
		return
	}
	for len(s.queue) > 0 && len(s.flights) < l.cfg.MaxInFlight {
		g := s.queue[0]
		s.queue = s.queue[1:]
		delete(s.queued, g)
		if s.busy[g] {
			continue // comes back when its request ends
		}
		l.timers.clear(timerKey{timerGroup, g})
		if cmd, f := l.change(g); cmd != nil {
			s.busy[g] = true
			l.send(f, cmd)
		}
	}
}

func (l *Local) send(f *flight, cmd catalog.Command, queries ...catalog.Query) {
	id := l.sync.nextID()
	l.sync.flights[id] = f
	for i := range f.checks {
		l.checks[keyOf(f.checks[i].CheckID)].flight = id
	}
	if f.removed != "" {
		l.checks[f.removed].flight = id
	}
	l.out.Requests = append(l.out.Requests, Op{ID: id, Command: cmd, Queries: queries})
}

// change returns the next command that brings a group in sync, or nil if it is.
func (l *Local) change(g group) (catalog.Command, *flight) {
	f := &flight{group: g}
	switch g.kind {
	case groupNode:
		if l.sync.nodeInSync {
			return nil, nil
		}
	case groupService:
		s := l.services[g.id]
		if s != nil && s.deleted {
			return &catalog.Deregister{Datacenter: l.cfg.Datacenter, Node: l.cfg.Node, ServiceID: s.record.ID}, f
		}
		if cmd := l.removal(f, l.members[g.id]); cmd != nil {
			return cmd, f
		}
		if s != nil && !s.inSync {
			record := s.record
			f.service = &record
		}
		f.checks = l.outOfSync(g, l.members[g.id], f.service != nil)
	case groupCheck:
		if cmd := l.removal(f, []key{g.id}); cmd != nil {
			return cmd, f
		}
		f.checks = l.outOfSync(g, []key{g.id}, false)
	}
	if g.kind != groupNode && f.service == nil && len(f.checks) == 0 {
		return nil, nil
	}
	return l.registration(f), f
}

// removal returns the command that removes the first of the checks that is to be removed.
func (l *Local) removal(f *flight, ids []key) catalog.Command {
	for _, id := range ids {
		if c := l.checks[id]; c != nil && c.deleted && c.flight == 0 && c.group() == f.group {
			f.removed = id
			return &catalog.Deregister{Datacenter: l.cfg.Datacenter, Node: l.cfg.Node, CheckID: c.record.CheckID}
		}
	}
	return nil
}

// outOfSync returns those of the checks that have to be registered, and if there are any
// also those whose output is deferred, because it costs nothing more.
func (l *Local) outOfSync(g group, ids []key, some bool) []catalog.HealthCheck {
	var changed []catalog.HealthCheck
	for _, id := range ids {
		if c := l.check(id); c != nil && c.flight == 0 && c.group() == g && (!c.inSync || c.deferred) {
			some = some || !c.inSync
			changed = append(changed, c.record)
		}
	}
	if !some {
		return nil
	}
	return changed
}

func (l *Local) registration(f *flight) *catalog.Register {
	f.node = !l.sync.nodeInSync
	r := &catalog.Register{
		ID: l.cfg.NodeID, Node: l.cfg.Node, Address: l.cfg.Address, Datacenter: l.cfg.Datacenter,
		TaggedAddresses: l.cfg.TaggedAddresses, NodeMeta: l.cfg.Meta,
		Service: f.service, SkipNodeUpdate: !f.node,
	}
	for i := range f.checks {
		record := f.checks[i]
		r.Checks = append(r.Checks, &record)
	}
	return r
}

// Replied ends the Op with this ID.
func (l *Local) Replied(now time.Duration, id uint64, reply Reply) {
	l.now = now
	if def, ok := l.sync.polls[id]; ok {
		delete(l.sync.polls, id)
		l.polled(def, reply)
		l.settle()
		return
	}
	f, ok := l.sync.flights[id]
	if !ok {
		return
	}
	delete(l.sync.flights, id)
	l.landed(f.removed, id)
	for i := range f.checks {
		l.landed(keyOf(f.checks[i].CheckID), id)
	}
	if f.read {
		l.sync.reading = false
		l.compared(reply)
	} else {
		delete(l.sync.busy, f.group)
		l.enqueue(f.group)
		l.changed(f, reply)
	}
	l.settle()
}

// landed notes that a check is not in flight any more.
func (l *Local) landed(check key, id uint64) {
	if c := l.checks[check]; c != nil && c.flight == id {
		c.flight = 0
		l.enqueue(c.group()) // which may not be the one that it was sent for
	}
}

// changed takes the outcome of a change.
func (l *Local) changed(f *flight, reply Reply) {
	switch {
	case reply.Err != nil:
		l.failed(reply.Err)
		return
	case reply.Result.Err != "":
		l.refused(f, reply.Result.Err)
		return
	}
	l.sync.failures = 0
	delete(l.sync.refusals, f.group)
	switch {
	case f.removed != "":
		l.log(LevelInfo, "Deregistered check: check=%s", f.removed)
		if c := l.checks[f.removed]; c != nil && c.deleted && c.group() == f.group {
			l.purgeCheck(c)
		}
	case f.node || f.service != nil || len(f.checks) > 0:
		l.registered(f)
	default:
		l.log(LevelInfo, "Deregistered service: service=%s", f.group.id)
		l.serviceRemoved(f.group.id)
	}
}

func (l *Local) registered(f *flight) {
	if f.node {
		l.sync.nodeInSync = true
		l.log(LevelInfo, "Synced node info")
	}
	if f.service != nil {
		s := l.services[f.group.id]
		s.inSync = !s.deleted && sameService(&s.record, f.service)
		l.log(LevelInfo, "Synced service: service=%s", f.group.id)
	}
	for i := range f.checks {
		sent := &f.checks[i]
		if c := l.check(keyOf(sent.CheckID)); c != nil {
			l.checkIsAt(c, sent)
			l.log(LevelDebug, "Synced check: check=%s", sent.CheckID)
		}
	}
}

// checkIsAt notes what the catalog has of a check.
func (l *Local) checkIsAt(c *check, stored *catalog.HealthCheck) {
	c.moved = keyOf(c.record.ServiceID) != keyOf(stored.ServiceID)
	switch {
	case sameCheck(&c.record, stored):
		l.settleOutput(c)
		c.inSync = true
	case sameButOutput(&c.record, stored) && l.cfg.CheckUpdateInterval > 0:
		c.inSync = true
		l.deferOutput(c)
	default:
		c.inSync = false
	}
}

// serviceRemoved notes that the catalog has neither the service nor any of its checks. One
// that moved here may still be there under another service, and is then removed by itself.
func (l *Local) serviceRemoved(id key) {
	s := l.services[id]
	for _, checkID := range slices.Clone(l.members[id]) {
		switch c := l.checks[checkID]; {
		case !c.deleted:
			l.touch(c)
		case c.flight == 0 && !c.moved:
			l.purgeCheck(c)
		}
	}
	if s.deleted {
		delete(l.services, id)
		return
	}
	s.inSync = false
}

// refused tries again later with all that belongs to the group: most often it is refused
// because the catalog lost something that it relies on.
func (l *Local) refused(f *flight, why string) {
	what := f.group.kind.String()
	if f.group.kind != groupNode {
		what += "=" + string(f.group.id)
	}
	l.log(LevelWarn, "Sync was refused: %s error=%q", what, why)
	l.sync.nodeInSync = false
	if s := l.service(f.group.id); s != nil && f.group.kind == groupService {
		s.inSync = false
	}
	l.unqueue(f.group)
	l.sync.refusals[f.group]++
	l.timers.set(timerKey{timerGroup, f.group}, l.now+l.backoff(l.sync.refusals[f.group]))
}

func (l *Local) unqueue(g group) {
	delete(l.sync.queued, g)
	l.sync.queue = slices.DeleteFunc(l.sync.queue, func(other group) bool { return other == g })
}

// failed waits and then begins with a full sync, because nobody knows what took effect.
func (l *Local) failed(err error) {
	l.sync.failures++
	l.sync.wantFull = true
	wait := l.backoff(l.sync.failures)
	l.log(LevelWarn, "Could not sync with the servers, will try again: error=%q wait=%v", err.Error(), wait.Round(time.Millisecond))
	l.timers.set(timerKey{kind: timerRetry}, l.now+wait)
}

// backoff doubles with each failure in a row and has a jitter of a half.
func (l *Local) backoff(failures int) time.Duration {
	wait := l.cfg.RetryIntervalMax
	if shift := failures - 1; shift < 16 {
		wait = min(wait, l.cfg.RetryInterval<<shift)
	}
	return wait/2 + l.rng.Duration(0, wait/2+1)
}

// String returns the word that logs have for the kind.
func (k groupKind) String() string { return [...]string{"", "node", "service", "check"}[k] }

var errAnswer = errors.New("agent: the answer does not fit the queries")

// nodeAnswer returns what the catalog has of a node; node is nil if it has none.
func nodeAnswer(reply Reply) (node *catalog.NodeServices, checks []*catalog.HealthCheck, err error) {
	if reply.Err != nil {
		return nil, nil, reply.Err
	}
	if len(reply.Answers) != 2 {
		return nil, nil, fmt.Errorf("%w: %d answers, not 2", errAnswer, len(reply.Answers))
	}
	node, ok := reply.Answers[0].Value.(*catalog.NodeServices)
	if !ok && reply.Answers[0].Value != nil {
		return nil, nil, fmt.Errorf("%w: it is a %T", errAnswer, reply.Answers[0].Value)
	}
	checks, ok = reply.Answers[1].Value.([]*catalog.HealthCheck)
	if !ok && reply.Answers[1].Value != nil {
		return nil, nil, fmt.Errorf("%w: it is a %T", errAnswer, reply.Answers[1].Value)
	}
	return node, checks, nil
}
