package sim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"concord/catalog"
	"concord/swim"
	"concord/wire"
)

// twoDatacenters is a pair of clusters at rest, connected by one join of one server.
func twoDatacenters(t *testing.T) *World {
	t.Helper()
	o := calm(1)
	o.Servers, o.Agents, o.Clients, o.Watchers = 3, 1, 0, 0
	o.Remote = Remote{Servers: 3, Latency: 30 * ms}
	w := newWorld(o, nil)
	t.Cleanup(w.close)
	for _, d := range w.worlds {
		d.boot()
	}
	w.expect("the servers of the other datacenter", 30*time.Second, func() bool { return w.wanStuck() == "" })
	w.expect("the leaders", 10*time.Second, func() bool { return w.leader() != nil && w.other().leader() != nil })
	w.runUntil(w.now + 5*time.Second)
	require.NoError(t, failure(w))
	return w
}

func failure(w *World) error {
	if w.failure == nil {
		return nil
	}
	return w.failure
}

// ask makes a request for the other datacenter at a host and returns the answer and how long it took.
func ask(w *World, h *Host, req wire.Request) (resp *wire.Response, took time.Duration) {
	begun := w.now
	req.Datacenter = w.other().Datacenter
	h.request(&req, func(r *wire.Response) { resp, took = r, w.now-begun })
	for resp == nil && w.failure == nil {
		w.runUntil(w.now + 10*ms)
	}
	return resp, took
}

func put(value string) wire.Request {
	return wire.Request{Command: wire.AppendCommand(nil, &catalog.KVWrite{Op: catalog.KVSet, Key: "a", Value: []byte(value)})}
}

var getA = wire.Request{Read: &wire.Read{Query: &catalog.KVGetQuery{Key: "a"}}}

// A cut WAN is noticed, costs nobody more than a clear answer, and is forgotten soon after it heals, however long it was.
func TestCutWANHeals(t *testing.T) {
	t.Parallel()
	w := twoDatacenters(t)
	agent := w.hosts[3]
	resp, _ := ask(w, agent, put("v"))
	require.Equal(t, wire.OK, resp.Code)

	var undo []func()
	for _, l := range w.nemesis.across(func(_, _ *Host) bool { return true }) {
		undo = append(undo, w.net.cut(l))
	}
	failed := func() bool {
		for _, m := range w.hosts[0].node.WANMembers() {
			if m.Tags["dc"] == "dc2" && m.State != swim.StateDead {
				return false
			}
		}
		return true
	}
	resp, took := ask(w, agent, put("x"))
	require.NotEqual(t, wire.OK, resp.Code)
	require.LessOrEqual(t, took, 12*time.Second)
	w.expect("the loss of the other datacenter", 3*time.Minute, failed)
	w.runUntil(w.now + 30*time.Minute)
	resp, took = ask(w, agent, getA)
	require.Equal(t, wire.NoPath, resp.Code)
	require.Less(t, took, 100*ms)

	for _, f := range undo {
		f()
	}
	healed := w.now
	w.expect("the healed WAN", 3*time.Minute, func() bool { return w.wanStuck() == "" })
	require.NoError(t, failure(w))
	t.Logf("healed after %v", w.now-healed)
	resp, _ = ask(w, agent, getA)
	require.Equal(t, wire.OK, resp.Code)
	require.Equal(t, "v", string(resp.Answer.Value.(*catalog.DirEntry).Value))
}

// While one server after the other of the other datacenter is down, each request is answered by those that are left.
func TestRemoteServersDown(t *testing.T) {
	t.Parallel()
	w := twoDatacenters(t)
	for _, down := range w.other().hosts {
		down.crash("killed")
		slowest := time.Duration(0)
		for range 20 {
			for _, h := range w.hosts {
				resp, took := ask(w, h, getA)
				require.Equal(t, wire.OK, resp.Code, resp.Err)
				slowest = max(slowest, took)
				resp, _ = ask(w, h, put("v"))
				// A write is only Unknown if it was under way when the server died; these were not.
				require.Equal(t, wire.OK, resp.Code, resp.Err)
			}
		}
		t.Logf("slowest read with %s down: %v", down.name, slowest)
		down.restart()
		w.expect("the return of "+down.name, time.Minute, func() bool { return w.other().stuck() == "" })
		require.NoError(t, failure(w))
	}
}

// Runs with two datacenters are reproducible, too.
func TestSameTraceOfTwoDatacenters(t *testing.T) {
	t.Parallel()
	a, b := Run(wan(5), nil), Run(wan(5), nil)
	require.NoError(t, a.Err())
	require.Equal(t, a.Hash, b.Hash)
}
