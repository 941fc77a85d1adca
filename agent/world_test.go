package agent

import (
	"errors"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"concord/catalog"
	"concord/internal/prng"
)

// oracle is a naive catalog of one node and of one other.
type oracle struct {
	node     *catalog.Node
	services map[string]*catalog.NodeService // by folded ID
	checks   map[string]*catalog.HealthCheck
	other    map[string]*catalog.HealthCheck // checks of node "other", which has a service "far"
	writes   int
}

func newOracle() *oracle {
	return &oracle{services: map[string]*catalog.NodeService{}, checks: map[string]*catalog.HealthCheck{}}
}

func (o *oracle) apply(cmd catalog.Command) catalog.Result {
	o.writes++
	switch c := cmd.(type) {
	case *catalog.Register:
		return o.register(c)
	case *catalog.Deregister:
		switch {
		case c.ServiceID != "":
			delete(o.services, strings.ToLower(c.ServiceID))
			for k, check := range o.checks {
				if strings.EqualFold(check.ServiceID, c.ServiceID) {
					delete(o.checks, k)
				}
			}
		case c.CheckID != "":
			delete(o.checks, strings.ToLower(c.CheckID))
		}
	}
	return catalog.Result{OK: true}
}

func (o *oracle) register(c *catalog.Register) catalog.Result {
	for _, check := range c.Checks {
		given := c.Service != nil && strings.EqualFold(c.Service.ID, check.ServiceID)
		if check.ServiceID != "" && !given && o.services[strings.ToLower(check.ServiceID)] == nil {
			return catalog.Result{Err: "Missing service registration"}
		}
	}
	if o.node == nil || !c.SkipNodeUpdate {
		o.node = &catalog.Node{ID: c.ID, Node: c.Node, Address: c.Address, TaggedAddresses: c.TaggedAddresses, Meta: c.NodeMeta}
	}
	if c.Service != nil {
		s := *c.Service
		o.services[strings.ToLower(s.ID)] = &s
		for _, check := range o.checks {
			if strings.EqualFold(check.ServiceID, s.ID) {
				check.ServiceName = s.Service
			}
		}
	}
	for _, check := range c.Checks {
		copied := *check
		if s := o.services[strings.ToLower(copied.ServiceID)]; s != nil {
			copied.ServiceName = s.Service
		}
		o.checks[strings.ToLower(copied.CheckID)] = &copied
	}
	return catalog.Result{OK: true}
}

func (o *oracle) answer(q catalog.Query) catalog.Answer {
	switch q := q.(type) {
	case *catalog.NodeServicesQuery:
		if q.Node == "other" {
			return catalog.Answer{Value: &catalog.NodeServices{Node: &catalog.Node{Node: "other"}, Services: map[string]*catalog.NodeService{"far": {ID: "far"}}}}
		}
		if o.node == nil {
			return catalog.Answer{Value: (*catalog.NodeServices)(nil)}
		}
		v := &catalog.NodeServices{Node: o.node, Services: map[string]*catalog.NodeService{}}
		for _, s := range o.services {
			copied := *s
			v.Services[s.ID] = &copied
		}
		return catalog.Answer{Value: v}
	case *catalog.NodeChecksQuery:
		from := o.checks
		if q.Node == "other" {
			from = o.other
		}
		list := []*catalog.HealthCheck{}
		for _, c := range from {
			copied := *c
			list = append(list, &copied)
		}
		sort.Slice(list, func(i, j int) bool { return list[i].CheckID < list[j].CheckID })
		return catalog.Answer{Value: list}
	}
	panic("unknown query")
}

// world drives a Local against an oracle.
type world struct {
	t       require.TestingT
	now     time.Duration
	local   *Local
	oracle  *oracle
	ops     []Op
	persist []PersistOp
	disk    map[persistKey]PersistOp
	runners map[string]CheckDefinition
	logs    []Log
}

var errLost = errors.New("lost")

func testConfig() Config {
	return Config{
		Node: "n1", NodeID: "11111111-2222-3333-4444-555555555555", Address: "10.0.0.1", Datacenter: "dc1",
		TaggedAddresses: map[string]string{"lan": "10.0.0.1"}, Meta: map[string]string{"rack": "a"},
	}.WithDefaults()
}

func newWorld(t require.TestingT, cfg Config, seed uint64) *world {
	w := &world{t: t, oracle: newOracle(), disk: map[persistKey]PersistOp{}, runners: map[string]CheckDefinition{}}
	w.local = New(cfg, prng.New(seed), 0)
	return w
}

// drain takes the output.
func (w *world) drain() {
	out := w.local.Output()
	w.ops = append(w.ops, out.Requests...)
	w.persist = append(w.persist, out.Persist...)
	w.logs = append(w.logs, out.Logs...)
	for _, op := range out.Persist {
		k := persistKey{op.Kind, keyOf(op.ID)}
		if op.Service == nil && op.Check == nil && op.State == nil {
			delete(w.disk, k)
		} else {
			w.disk[k] = op
		}
	}
	for _, id := range out.Stop {
		_, ok := w.runners[id]
		require.True(w.t, ok, "runner %q is stopped but does not run", id)
		delete(w.runners, id)
	}
	for _, def := range out.Start {
		_, ok := w.runners[def.ID]
		require.False(w.t, ok, "runner %q is started twice", def.ID)
		w.runners[def.ID] = def
	}
}

// outcomes of a request
const (
	delivered = iota
	dropped   // it never arrived
	ackLost   // it took effect and nobody knows
)

func (w *world) reply(i, outcome int) {
	op := w.ops[i]
	w.ops = append(w.ops[:i:i], w.ops[i+1:]...)
	var r Reply
	if outcome != dropped {
		if op.Command != nil {
			r.Result = w.oracle.apply(op.Command)
		}
		for _, q := range op.Queries {
			r.Answers = append(r.Answers, w.oracle.answer(q))
		}
	}
	if outcome != delivered {
		r = Reply{Err: errLost}
	}
	w.local.Replied(w.now, op.ID, r)
	w.drain()
}

// serve answers everything until nothing is asked.
func (w *world) serve() {
	w.drain()
	for n := 0; len(w.ops) > 0; n++ {
		require.Less(w.t, n, 10_000, "the syncs do not end")
		w.reply(0, delivered)
	}
}

// advance lets time pass and answers what is asked.
func (w *world) advance(d time.Duration) {
	end := w.now + d
	for next := w.local.NextDeadline(); next <= end; next = w.local.NextDeadline() {
		require.GreaterOrEqual(w.t, next, w.now)
		w.now = next
		w.local.Tick(w.now)
		w.serve()
	}
	w.now = end
}

// requireInSync compares the oracle with the local truth.
func (w *world) requireInSync() {
	require.NotNil(w.t, w.oracle.node)
	require.True(w.t, w.local.cfg.sameNode(w.oracle.node))
	services := w.local.Services()
	var have, want []string
	for k := range w.oracle.services {
		have = append(have, k)
	}
	for _, s := range services {
		k := strings.ToLower(s.Service.ID)
		want = append(want, k)
		require.True(w.t, s.InSync, "service %q", k)
		if there := w.oracle.services[k]; there != nil {
			require.True(w.t, sameService(&s.Service, there), "service %q is %+v, not %+v", k, there, s.Service)
		}
	}
	require.ElementsMatch(w.t, want, have)
	have, want = nil, nil
	for k := range w.oracle.checks {
		if k != "serfhealth" {
			have = append(have, k)
		}
	}
	for _, c := range w.local.Checks() {
		k := strings.ToLower(c.Check.CheckID)
		want = append(want, k)
		if there := w.oracle.checks[k]; there != nil {
			same := sameCheck(&c.Check, there)
			if w.local.checks[keyOf(k)].deferred {
				same = sameButOutput(&c.Check, there)
			}
			require.True(w.t, same, "check %q is %+v, not %+v", k, there, c.Check)
		}
	}
	require.ElementsMatch(w.t, want, have)
}

func start(t *testing.T, cfg Config) *world {
	t.Helper()
	w := newWorld(t, cfg, 1)
	w.local.Tick(0)
	w.serve()
	return w
}
