package agent

import (
	"fmt"
	"sort"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"concord/catalog"
)

var (
	drawService = rapid.SampledFrom([]string{"web", "Web", "db", "mail"})
	drawCheck   = rapid.SampledFrom([]string{"c1", "C1", "c2", "c3"})
	drawStatus  = rapid.SampledFrom([]string{"passing", "warning", "critical"})
	drawText    = rapid.SampledFrom([]string{"", "a", "b"})
)

func drawCheckDefinition(t *rapid.T) CheckDefinition {
	def := CheckDefinition{ID: drawCheck.Draw(t, "check"), Name: "check " + drawText.Draw(t, "name"), Notes: drawText.Draw(t, "notes")}
	switch rapid.IntRange(0, 4).Draw(t, "kind") {
	case 0:
		def.TTL = 90 * time.Second
	case 1:
		def.HTTP, def.Interval = "http://localhost/"+drawText.Draw(t, "path"), 10*time.Second
		def.DeregisterCriticalServiceAfter = 2 * time.Minute
	case 2:
		def.TCP, def.Interval = "localhost:1", time.Second
	case 3:
		def.AliasService = drawService.Draw(t, "alias")
	case 4:
		def.AliasNode, def.AliasService = "other", rapid.SampledFrom([]string{"", "far", "none"}).Draw(t, "far")
	}
	return def
}

func drawServiceDefinition(t *rapid.T) ServiceDefinition {
	def := ServiceDefinition{
		ID: drawService.Draw(t, "service"), Name: "svc" + drawText.Draw(t, "name"), Port: rapid.IntRange(0, 2).Draw(t, "port"),
		Tags: rapid.SliceOfN(drawText, 0, 1).Draw(t, "tags"), EnableTagOverride: rapid.Bool().Draw(t, "override"),
	}
	for range rapid.IntRange(0, 2).Draw(t, "checks") {
		def.Checks = append(def.Checks, drawCheckDefinition(t))
	}
	return def
}

// drift changes the catalog behind the agent's back.
func drift(t *rapid.T, o *oracle) {
	if o.node == nil {
		return
	}
	switch rapid.IntRange(0, 6).Draw(t, "drift") {
	case 0:
		o.apply(&catalog.Deregister{ServiceID: drawService.Draw(t, "service")})
	case 1:
		o.apply(&catalog.Deregister{CheckID: drawCheck.Draw(t, "check")})
	case 2:
		ghost := catalog.NodeService{ID: rapid.SampledFrom([]string{"ghost", "WEB", "db"}).Draw(t, "ghost"), Service: "ghost", Tags: []string{"drift"}, EnableTagOverride: true}
		o.apply(&catalog.Register{SkipNodeUpdate: true, Service: &ghost})
	case 3:
		ghost := catalog.HealthCheck{CheckID: rapid.SampledFrom([]string{"ghost", "c1", catalog.SerfCheckID}).Draw(t, "ghost"), Status: "warning"}
		o.apply(&catalog.Register{SkipNodeUpdate: true, Checks: []*catalog.HealthCheck{&ghost}})
	case 4:
		ids := make([]string, 0, len(o.checks))
		for id := range o.checks {
			ids = append(ids, id)
		}
		if sort.Strings(ids); len(ids) > 0 {
			o.checks[rapid.SampledFrom(ids).Draw(t, "check")].Status = drawStatus.Draw(t, "status")
		}
	case 5:
		o.node.Address = "10.9.9.9"
	case 6:
		*o = oracle{services: map[string]*catalog.NodeService{}, checks: map[string]*catalog.HealthCheck{}, other: o.other}
	}
}

// TestConverges: whatever happens, and whatever is lost, the catalog has in the end what the
// agent has; its records on disk bring the same agent back; its runners are the ones needed.
func TestConverges(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		cfg := testConfig()
		cfg.Server = rapid.Bool().Draw(t, "server")
		cfg.MaxInFlight = rapid.IntRange(1, 4).Draw(t, "in flight")
		if rapid.Bool().Draw(t, "no deferral") {
			cfg.CheckUpdateInterval = -1
		}
		w := newWorld(t, cfg, rapid.Uint64().Draw(t, "seed"))
		w.oracle.other = map[string]*catalog.HealthCheck{"x": {CheckID: "x", Status: "passing"}, "y": {CheckID: "y", ServiceID: "far", Status: "warning"}}
		w.local.Tick(0)
		w.drain()
		p := play{w: w, loss: rapid.Bool().Draw(t, "loss"), drift: rapid.Bool().Draw(t, "drift")}
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			p.step(t)
			w.drain()
		}
		for ; p.pauses > 0; p.pauses-- {
			w.local.Resume(w.now)
		}
		w.serve()
		if p.loss || p.drift {
			w.advance(cfg.RetryIntervalMax)
			w.local.ServerUp(w.now)
			w.advance(serverUpStagger)
		}
		w.requireInSync()
		requireRunners(t, w)
		requireRestorable(t, w)

		writes := w.oracle.writes
		w.local.ServerUp(w.now)
		w.advance(serverUpStagger / 10)
		require.Less(t, w.oracle.writes-writes, 8, "it writes although nothing changes")
	})
}

// play is a run of random steps. Without loss and drift changes alone must do, without a full sync.
type play struct {
	w           *world
	loss, drift bool
	pauses      int
}

func (p *play) step(t *rapid.T) {
	w, l, now := p.w, p.w.local, p.w.now
	switch rapid.IntRange(0, 14).Draw(t, "step") {
	case 0, 1:
		def := drawServiceDefinition(t)
		if rapid.Bool().Draw(t, "replace") {
			_ = l.AddServiceReplacingChecks(now, def)
		} else {
			_ = l.AddService(now, def)
		}
	case 2:
		_ = l.RemoveService(now, drawService.Draw(t, "service"))
	case 3:
		def := drawCheckDefinition(t)
		def.ServiceID = rapid.SampledFrom([]string{"", "web", "db"}).Draw(t, "of")
		_ = l.AddCheck(now, def)
	case 4:
		_ = l.RemoveCheck(now, drawCheck.Draw(t, "check"))
	case 5, 6:
		_ = l.UpdateCheck(now, drawCheck.Draw(t, "check"), drawStatus.Draw(t, "status"), drawText.Draw(t, "output"))
	case 7:
		_ = l.Maintenance(now, rapid.SampledFrom([]string{"", "web"}).Draw(t, "maintenance"), rapid.Bool().Draw(t, "on"), "")
	case 8:
		if p.drift {
			drift(t, w.oracle)
		}
	case 9:
		w.now += time.Duration(rapid.Int64Range(0, int64(3*time.Minute)).Draw(t, "pass"))
		l.Tick(w.now)
	case 10, 11, 12:
		if len(w.ops) > 0 {
			outcome := delivered
			if p.loss {
				outcome = rapid.IntRange(delivered, ackLost).Draw(t, "outcome")
			}
			w.reply(rapid.IntRange(0, len(w.ops)-1).Draw(t, "op"), outcome)
		}
	case 13:
		if p.pauses > 0 {
			p.pauses--
			l.Resume(now)
		} else {
			p.pauses++
			l.Pause()
		}
	case 14:
		var services []ServiceDefinition
		for range rapid.IntRange(0, 2).Draw(t, "configured") {
			services = append(services, drawServiceDefinition(t))
		}
		check := drawCheckDefinition(t)
		check.ServiceID = rapid.SampledFrom([]string{"", "web", "db"}).Draw(t, "of")
		_ = l.LoadConfigServices(now, services, []CheckDefinition{check})
	}
}

func requireRunners(t require.TestingT, w *world) {
	want := map[string]CheckDefinition{}
	for _, c := range w.local.Checks() {
		if c.Definition.HTTP != "" || c.Definition.TCP != "" {
			want[c.Definition.ID] = c.Definition
		}
	}
	require.Equal(t, want, w.runners)
}

// requireRestorable: an agent that is made from the records has the services and checks that
// did not come from the configuration.
func requireRestorable(t require.TestingT, w *world) {
	again := newWorld(t, w.local.cfg, 2)
	var p Persisted
	p.States = map[string]CheckState{}
	for _, op := range w.disk {
		switch op.Kind {
		case PersistService:
			p.Services = append(p.Services, *op.Service)
		case PersistCheck:
			p.Checks = append(p.Checks, *op.Check)
		case PersistCheckState:
			p.States[op.ID] = *op.State
		}
	}
	sort.Slice(p.Services, func(i, j int) bool { return p.Services[i].ID < p.Services[j].ID })
	sort.Slice(p.Checks, func(i, j int) bool { return p.Checks[i].ID < p.Checks[j].ID })
	var configured []ServiceDefinition
	var configuredChecks []CheckDefinition
	for _, s := range w.local.Services() {
		if s.FromConfig {
			configured = append(configured, s.Definition)
		}
	}
	for _, c := range w.local.Checks() {
		if c.FromConfig && !isMaintenance(c.Check.CheckID) {
			configuredChecks = append(configuredChecks, c.Definition)
		}
	}
	require.NoError(t, again.local.LoadConfigServices(0, configured, configuredChecks))
	again.local.Restore(0, p)
	again.drain()
	require.Equal(t, names(w.local), names(again.local))
}

func names(l *Local) []string {
	var all []string
	for _, s := range l.Services() {
		all = append(all, fmt.Sprintf("%s %+v %v", s.Service.ID, s.Definition, s.FromConfig))
	}
	for _, c := range l.Checks() {
		def := c.Definition
		def.Status = ""
		all = append(all, fmt.Sprintf("%s of %q: %+v", c.Check.CheckID, c.Check.ServiceID, def))
	}
	return all
}
