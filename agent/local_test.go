package agent

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"concord/catalog"
	"concord/internal/prng"
	"concord/internal/tick"
)

func webService(checks ...CheckDefinition) ServiceDefinition {
	return ServiceDefinition{Name: "web", Port: 80, Checks: checks}
}

func (w *world) status(id string) string {
	c, ok := w.local.Check(id)
	require.True(w.t, ok, "check %q", id)
	return c.Check.Status + ": " + c.Check.Output
}

func TestRegistersAtOnce(t *testing.T) {
	t.Parallel()
	w := start(t, testConfig())
	require.Equal(t, "10.0.0.1", w.oracle.node.Address)
	require.NoError(t, w.local.AddService(0, webService(CheckDefinition{TTL: time.Second}, CheckDefinition{ID: "x", TTL: time.Second, Name: "n", Status: "passing"})))
	out := w.local.Output()
	require.Len(t, out.Requests, 1, "the service and its checks are one write")
	reg := out.Requests[0].Command.(*catalog.Register)
	require.True(t, reg.SkipNodeUpdate)
	require.Equal(t, "web", reg.Service.ID)
	require.Len(t, reg.Checks, 2)
	require.Equal(t, "service:web:1", reg.Checks[0].CheckID)
	require.Equal(t, "Service 'web' check", reg.Checks[0].Name)
	require.Equal(t, "critical", reg.Checks[0].Status)
	require.Equal(t, "passing", reg.Checks[1].Status)
	require.Equal(t, "web", reg.Checks[1].ServiceName)

	require.NoError(t, w.local.AddService(0, webService()))
	require.Len(t, w.local.Checks(), 2, "checks stay")
	require.NoError(t, w.local.AddServiceReplacingChecks(0, webService(CheckDefinition{TTL: time.Second})))
	require.Len(t, w.local.Checks(), 1)
}

func TestTTL(t *testing.T) {
	t.Parallel()
	w := start(t, testConfig())
	require.NoError(t, w.local.AddCheck(0, CheckDefinition{Name: "t", TTL: 10 * time.Second, OutputMaxSize: 40}))
	require.Equal(t, 10*time.Second, w.local.NextDeadline())
	w.advance(5 * time.Second)
	require.NoError(t, w.local.SetTTL(w.now, "t", "passing", "fine"))
	w.serve()
	require.Equal(t, &CheckState{Status: "passing", Output: "fine", Remaining: 10 * time.Second}, w.disk[persistKey{PersistCheckState, "t"}].State)
	w.advance(9 * time.Second)
	require.Equal(t, "passing: fine", w.status("t"))
	w.advance(time.Second)
	require.Equal(t, "critical: TTL expired (last output before timeout  ", w.status("t")+" ", "cut to OutputMaxSize")
	require.Equal(t, "critical", w.oracle.checks["t"].Status)
	require.NotContains(t, w.disk, persistKey{PersistCheckState, "t"})
	require.NoError(t, w.local.SetTTL(w.now, "t", "warning", fmt.Sprintf("%050d", 1)))
	require.Equal(t, "warning: 0000000000000000000000000000000000000000 ... (captured 40 of 50 bytes)", w.status("t"))

	require.ErrorContains(t, w.local.SetTTL(w.now, "none", "passing", ""), `Unknown check ID "none"`)
	require.ErrorContains(t, w.local.SetTTL(w.now, "t", "fine", ""), "Invalid check status: 'fine'")
	require.NoError(t, w.local.AddCheck(w.now, CheckDefinition{Name: "h", HTTP: "http://x", Interval: time.Second}))
	require.ErrorContains(t, w.local.SetTTL(w.now, "h", "passing", ""), `CheckID "h" does not have associated TTL`)
}

func TestOutputIsDeferred(t *testing.T) {
	t.Parallel()
	w := start(t, testConfig())
	require.NoError(t, w.local.AddCheck(0, CheckDefinition{Name: "h", TCP: "x:1", Interval: time.Second}))
	w.serve()
	require.NoError(t, w.local.UpdateCheck(0, "h", "passing", "a"))
	w.serve()
	writes := w.oracle.writes
	for i := range 100 {
		require.NoError(t, w.local.UpdateCheck(w.now, "h", "passing", fmt.Sprint(i)))
		w.advance(time.Second)
	}
	require.Equal(t, writes, w.oracle.writes)
	require.Equal(t, "a", w.oracle.checks["h"].Output, "not even a full sync writes it")
	w.advance(8 * time.Minute)
	require.Equal(t, writes+1, w.oracle.writes)
	require.Equal(t, "99", w.oracle.checks["h"].Output)
	require.NoError(t, w.local.UpdateCheck(w.now, "h", "passing", "late"))
	require.NoError(t, w.local.UpdateCheck(w.now, "h", "critical", "down"))
	w.serve()
	require.Equal(t, "down", w.oracle.checks["h"].Output, "a new status is written at once")
	require.Equal(t, tick.Never, w.local.timers.at(timerKey{timerOutput, group{groupCheck, "h"}}))
}

func TestThresholds(t *testing.T) {
	t.Parallel()
	w := start(t, testConfig())
	require.NoError(t, w.local.AddCheck(0, CheckDefinition{
		Name: "h", HTTP: "http://x", Interval: time.Second, Status: "passing",
		SuccessBeforePassing: 3, FailuresBeforeWarning: 2, FailuresBeforeCritical: 3,
	}))
	for i, step := range []struct{ result, want string }{
		{"critical", "passing"}, {"critical", "warning"}, {"critical", "critical"}, {"critical", "critical"},
		{"passing", "critical"}, {"passing", "critical"}, {"critical", "critical"},
		{"passing", "critical"}, {"passing", "critical"}, {"passing", "passing"},
	} {
		require.NoError(t, w.local.UpdateCheck(0, "h", step.result, ""))
		require.Equal(t, step.want+": ", w.status("h"), "step %d", i)
	}
}

func TestAlias(t *testing.T) {
	t.Parallel()
	w := start(t, testConfig())
	w.oracle.other = map[string]*catalog.HealthCheck{"x": {CheckID: "x", Name: "disk", Status: "critical", Output: "full"}}
	l := w.local
	require.NoError(t, l.AddCheck(0, CheckDefinition{Name: "a", AliasService: "web"}))
	require.NoError(t, l.AddCheck(0, CheckDefinition{Name: "far", AliasNode: "other", AliasService: "far"}))
	require.NoError(t, l.AddCheck(0, CheckDefinition{Name: "nowhere", AliasNode: "other", AliasService: "none"}))
	require.Equal(t, "critical: Service web could not be found on node n1", w.status("a"))
	require.NoError(t, l.AddService(0, webService()))
	require.Equal(t, "passing: No checks found.", w.status("a"))
	require.NoError(t, l.AddCheck(0, CheckDefinition{ID: "w", Name: "alive", ServiceID: "web", TCP: "x:1", Interval: time.Second, Status: "passing"}))
	require.Equal(t, "passing: All checks passing.", w.status("a"))
	require.NoError(t, l.AddCheck(0, CheckDefinition{Name: "b", ServiceID: "web", AliasService: "web", Status: "passing"}))
	require.NoError(t, l.AddCheck(0, CheckDefinition{Name: "b2", ServiceID: "web", AliasService: "web", Status: "passing"}))
	require.NoError(t, l.UpdateCheck(0, "w", "critical", "down"))
	require.Equal(t, `critical: Aliased check "alive" failing: down`, w.status("b"))
	require.NoError(t, l.UpdateCheck(0, "w", "passing", "up"))
	require.Equal(t, "passing: All checks passing.", w.status("b"), "it follows neither itself nor its like")
	require.NoError(t, l.Maintenance(0, "", true, "upgrade"))
	require.Contains(t, w.status("a"), `Aliased check "Node Maintenance Mode" failing`)

	w.serve()
	w.advance(20 * time.Second)
	require.Equal(t, `critical: Aliased check "disk" failing: full`, w.status("far"))
	require.Equal(t, "critical: Service none could not be found on node other", w.status("nowhere"))
	w.oracle.other["x"].Status = "passing"
	w.advance(20 * time.Second)
	require.Equal(t, "passing: All checks passing.", w.status("far"))
	require.NoError(t, l.RemoveCheck(w.now, "far"))
	w.serve()
	w.requireInSync()
}

func TestMaintenance(t *testing.T) {
	t.Parallel()
	w := start(t, testConfig())
	l := w.local
	require.ErrorContains(t, l.Maintenance(0, "web", true, ""), `Unknown service ID "web"`)
	require.NoError(t, l.AddService(0, webService()))
	for range 2 {
		require.NoError(t, l.Maintenance(0, "web", true, ""))
	}
	c, _ := l.Check("_service_maintenance:web")
	require.Equal(t, "Service Maintenance Mode", c.Check.Name)
	require.Contains(t, c.Check.Notes, "no reason was provided")
	require.Equal(t, KindMaintenance, c.Check.Type)
	health, _ := l.ServiceHealth("web")
	require.Equal(t, "maintenance", health)
	require.NoError(t, l.AddServiceReplacingChecks(0, webService()))
	require.Len(t, l.Checks(), 1, "maintenance outlives a registration")
	w.drain()
	require.Contains(t, w.disk, persistKey{PersistCheck, "_service_maintenance:web"})
	require.NoError(t, l.Maintenance(0, "web", false, ""))
	health, _ = l.ServiceHealth("web")
	require.Equal(t, "passing", health)
	require.ErrorContains(t, l.AddCheck(0, CheckDefinition{ID: NodeMaintenance, Name: "x", TTL: 1}), "reserved")
}

func TestReap(t *testing.T) {
	t.Parallel()
	w := start(t, testConfig())
	check := CheckDefinition{ID: "c", TTL: 10 * time.Second, DeregisterCriticalServiceAfter: time.Second}
	require.NoError(t, w.local.AddService(0, webService(check)))
	w.serve()
	require.Equal(t, tick.Never, w.local.timers.at(timerKey{kind: timerReap}), "nothing is looked for while nothing is critical")
	w.advance(60 * time.Second)
	_, ok := w.local.Service("web")
	require.True(t, ok, "a minute is the minimum")
	w.advance(45 * time.Second)
	require.Empty(t, w.local.Services())
	require.Empty(t, w.oracle.services)
	require.Empty(t, w.oracle.checks)
	require.NotContains(t, w.disk, persistKey{PersistService, "web"})
}

func TestRestore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testConfig(), 1)
	l := w.local
	require.NoError(t, l.LoadConfigServices(0, []ServiceDefinition{{Name: "db"}}, []CheckDefinition{{Name: "late", ServiceID: "web", TTL: time.Minute}}))
	l.Restore(0, Persisted{
		Services: []ServiceDefinition{webService(CheckDefinition{ID: "c", TTL: time.Minute}), {ID: "db", Name: "old"}, {ID: "bad"}},
		Checks:   []CheckDefinition{{ID: "lost", Name: "lost", ServiceID: "gone", TTL: 1}, {ID: NodeMaintenance, Name: "m", Status: "critical"}},
		States: map[string]CheckState{
			"c": {Status: "passing", Output: "ok", Remaining: 20 * time.Second}, "gone": {Status: "passing", Remaining: 1},
		},
	})
	w.drain()
	require.Equal(t, "passing: ok", w.status("c"))
	require.Equal(t, "critical: ", w.status("late"))
	db, _ := l.Service("db")
	require.Equal(t, "db", db.Service.Service, "the configuration is preferred")
	require.Empty(t, w.disk)
	var removed []string
	for _, op := range w.persist {
		removed = append(removed, op.ID)
	}
	require.Subset(t, removed, []string{"db", "bad", "lost", "gone"})
	require.Len(t, l.Services(), 2)
	w.now = 20 * time.Second
	l.Tick(w.now)
	require.Contains(t, w.status("c"), "critical: TTL expired")
	w.serve()
	w.requireInSync()
}

func TestReload(t *testing.T) {
	t.Parallel()
	w := start(t, testConfig())
	l := w.local
	web := webService(CheckDefinition{ID: "c", TTL: time.Minute})
	require.NoError(t, l.AddService(0, ServiceDefinition{Name: "api"}))
	require.NoError(t, l.LoadConfigServices(0, []ServiceDefinition{web, {Name: "db"}}, nil))
	require.NoError(t, l.SetTTL(0, "c", "passing", "ok"))
	w.serve()
	writes := w.oracle.writes
	require.NoError(t, l.LoadConfigServices(0, []ServiceDefinition{web, {Name: "db"}}, nil))
	w.serve()
	require.Equal(t, writes, w.oracle.writes, "nothing changed")
	require.Equal(t, "passing: ok", w.status("c"))
	err := l.LoadConfigServices(0, []ServiceDefinition{{Name: "x"}, {Name: "x"}, {ID: "y"}}, []CheckDefinition{{Name: "z"}})
	for _, text := range []string{`"x" is given twice`, "Missing service name", "TTL must be > 0"} {
		require.ErrorContains(t, err, text)
	}
	require.Len(t, l.Services(), 3, "after an error all is as it was")
	require.NoError(t, l.LoadConfigServices(0, []ServiceDefinition{webService()}, nil))
	w.serve()
	require.Len(t, l.Services(), 2)
	require.Empty(t, l.Checks())
	w.requireInSync()
}

func TestTagOverride(t *testing.T) {
	t.Parallel()
	w := start(t, testConfig())
	def := ServiceDefinition{Name: "web", Tags: []string{"mine"}, EnableTagOverride: true}
	require.NoError(t, w.local.AddService(0, def))
	w.serve()
	w.oracle.services["web"].Tags = []string{"theirs"}
	w.advance(2 * time.Minute)
	require.Equal(t, []string{"theirs"}, w.oracle.services["web"].Tags)
	s, _ := w.local.Service("web")
	require.Equal(t, []string{"theirs"}, s.Service.Tags)
	require.NoError(t, w.local.AddService(w.now, def))
	w.serve()
	require.Equal(t, []string{"theirs"}, w.oracle.services["web"].Tags, "the same registration again does not take them back")
}

// A server leaves the "consul" service to the leader, and nobody touches serfHealth.
func TestLeavesTheLeadersRecords(t *testing.T) {
	t.Parallel()
	for _, server := range []bool{true, false} {
		cfg := testConfig()
		cfg.Server = server
		w := newWorld(t, cfg, 1)
		w.oracle.apply(&catalog.Register{Node: "n1", Service: &catalog.NodeService{ID: "consul", Service: "consul"},
			Checks: []*catalog.HealthCheck{{CheckID: catalog.SerfCheckID, Status: "passing"}}})
		w.local.Tick(0)
		w.serve()
		require.Contains(t, w.oracle.checks, "serfhealth")
		if server {
			require.Contains(t, w.oracle.services, "consul")
			require.ErrorContains(t, w.local.AddService(0, ServiceDefinition{Name: "consul"}), "reserved")
		} else {
			require.NotContains(t, w.oracle.services, "consul")
		}
	}
}

func TestRefusedAndFailed(t *testing.T) {
	t.Parallel()
	w := start(t, testConfig())
	l := w.local
	require.NoError(t, l.AddService(0, webService(CheckDefinition{ID: "c", TTL: time.Minute})))
	w.serve()
	delete(w.oracle.services, "web") // so that the check alone will be refused
	require.NoError(t, l.SetTTL(0, "c", "passing", ""))
	w.serve()
	require.NotContains(t, w.oracle.services, "web")
	w.advance(testConfig().RetryInterval)
	require.Contains(t, w.oracle.services, "web", "the next try carries all of it")
	require.Equal(t, "passing", w.oracle.checks["c"].Status)

	require.NoError(t, l.RemoveService(w.now, "web"))
	w.drain()
	last := time.Duration(0)
	for n := range 12 {
		for len(w.ops) > 0 {
			w.reply(0, dropped)
		}
		wait := w.local.NextDeadline() - w.now
		require.LessOrEqual(t, wait, w.local.cfg.RetryIntervalMax)
		if n > 6 {
			require.GreaterOrEqual(t, wait, last/4)
		}
		last = wait
		w.now += wait
		l.Tick(w.now)
		w.drain()
	}
	require.Greater(t, last, 5*time.Second, "it backs off")
	for len(w.ops) > 0 {
		w.reply(0, dropped)
	}
	l.ServerUp(w.now)
	w.advance(serverUpPerNode)
	require.Empty(t, w.oracle.services, "a server that came up is used at once")
	l.Replied(w.now, 999, Reply{}) // unknown: ignored
}

func TestScale(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]time.Duration{1: 1, 128: 1, 129: 2, 256: 2, 257: 3, 512: 3, 513: 4, 8192: 7, 10000: 8} {
		l := New(testConfig(), prng.New(1), 0)
		l.SetClusterSize(n)
		require.Equal(t, want, l.sync.scale(), "%d nodes", n)
	}
}

func TestPause(t *testing.T) {
	t.Parallel()
	w := start(t, testConfig())
	w.local.Pause()
	w.local.Pause()
	require.NoError(t, w.local.AddService(0, webService()))
	w.local.Resume(0)
	require.Empty(t, w.local.Output().Requests)
	w.local.Resume(0)
	require.Len(t, w.local.Output().Requests, 1)
}

func TestValidation(t *testing.T) {
	t.Parallel()
	http := CheckDefinition{Name: "c", HTTP: "http://x", Interval: time.Second}
	with := func(f func(*CheckDefinition)) CheckDefinition { d := http; f(&d); return d }
	for want, def := range map[string]CheckDefinition{
		"Missing check name":                          {TTL: 1},
		"Bad check status":                            {Name: "c", TTL: 1, Status: "ok"},
		"Interval and TTL cannot both be specified":   with(func(d *CheckDefinition) { d.TTL = 1 }),
		"HTTP and TCP cannot both be specified":       with(func(d *CheckDefinition) { d.TCP = "x:1" }),
		"Interval must be > 0 for HTTP or TCP checks": with(func(d *CheckDefinition) { d.Interval = 0 }),
		"Interval cannot be set for Alias checks":     {Name: "c", AliasService: "x", Interval: 1},
		"TTL must be not be set for Alias checks":     {Name: "c", AliasNode: "x", TTL: 1},
		"TTL must be > 0 for TTL checks":              {Name: "c"},
		"MaxOutputMaxSize must be positive":           with(func(d *CheckDefinition) { d.OutputMaxSize = -1 }),
		"FailuresBeforeWarning can't be higher":       with(func(d *CheckDefinition) { d.FailuresBeforeWarning = 1 }),
		"must not be negative":                        with(func(d *CheckDefinition) { d.Timeout = -1 }),
		"SuccessBeforePassing, FailuresBeforeWarning": with(func(d *CheckDefinition) { d.SuccessBeforePassing = -1 }),
		"it must be a URL such as":                    with(func(d *CheckDefinition) { d.HTTP = "localhost/health" }),
		"HTTP is not a URL":                           with(func(d *CheckDefinition) { d.HTTP = "http://[::1" }),
		`ServiceID "none" does not exist`:             {Name: "c", TTL: 1, ServiceID: "none"},
		`CheckID "serfHealth" is reserved`:            {Name: "serfHealth", TTL: 1},
	} {
		l := New(testConfig(), prng.New(1), 0)
		err := l.AddCheck(0, def)
		require.ErrorContains(t, err, want)
		var invalid *InvalidError
		require.ErrorAs(t, err, &invalid)
		require.Empty(t, l.Checks())
	}
	for want, def := range map[string]ServiceDefinition{
		"Missing service name":            {ID: "x"},
		"Invalid service port 65536":      {Name: "x", Port: 65536},
		"Invalid service address":         {Name: "x", Address: "0.0.0.0"},
		"Passing must be greater than 0":  {Name: "x", Weights: &catalog.Weights{}},
		"Warning must be greater or":      {Name: "x", Weights: &catalog.Weights{Passing: 1, Warning: -1}},
		"must be between 0 and 65535":     {Name: "x", Weights: &catalog.Weights{Passing: 70000}},
		"Invalid check: TTL must be > 0":  webService(CheckDefinition{}),
		`CheckID "C" is given twice`:      webService(CheckDefinition{ID: "c", TTL: 1}, CheckDefinition{ID: "C", TTL: 1}),
		`CheckID "serfHealth" is reserve`: webService(CheckDefinition{ID: "serfHealth", TTL: 1}),
	} {
		l := New(testConfig(), prng.New(1), 0)
		require.ErrorContains(t, l.AddService(0, def), want)
		require.Empty(t, l.Services())
	}
	l := New(testConfig(), prng.New(1), 0)
	var missing *NotFoundError
	require.ErrorAs(t, l.RemoveService(0, "x"), &missing)
	require.ErrorAs(t, l.RemoveCheck(0, "x"), &missing)
	require.ErrorAs(t, l.UpdateCheck(0, "x", "passing", ""), &missing)
}

func TestConfig(t *testing.T) {
	t.Parallel()
	require.NoError(t, testConfig().Validate())
	err := Config{RetryInterval: 2, RetryIntervalMax: 1}.Validate()
	for _, text := range []string{"Node is missing", "SyncInterval", "RetryIntervalMax", "MaxInFlight"} {
		require.ErrorContains(t, err, text)
	}
}

// An agent on which nothing happens only wakes up for full syncs.
func TestIdle(t *testing.T) {
	t.Parallel()
	w := start(t, testConfig())
	require.NoError(t, w.local.AddService(0, webService(CheckDefinition{TCP: "x:1", Interval: time.Second})))
	w.serve()
	wakes, writes := 0, w.oracle.writes
	for w.local.NextDeadline() < time.Hour {
		w.advance(w.local.NextDeadline() - w.now)
		wakes++
	}
	require.InDelta(t, 40, wakes, 10)
	require.Equal(t, writes, w.oracle.writes)
}
