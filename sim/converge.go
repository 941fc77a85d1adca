package sim

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"concord/catalog"
	"concord/raft"
	"concord/sim/trace"
	"concord/swim"
)

// converge lets a healed cluster come to rest. It fails if that takes longer than Options.Settle.
func (w *World) converge() {
	end := w.now + w.Options.Settle
	for w.failure == nil {
		stuck := w.wanStuck()
		for _, d := range w.worlds {
			if stuck == "" {
				stuck = d.stuck()
			}
		}
		if stuck == "" {
			w.logf("converged")
			return
		}
		if w.now >= end {
			w.fail("liveness", "not converged %v after the last fault: %s", w.Options.Settle, stuck)
			return
		}
		w.runUntil(w.now + 500*time.Millisecond)
	}
}

// stuck names what has not converged yet, "" if everything has: a leader that all follow, of a configuration of all
// servers as voters, gossip that sees everybody alive, a catalog that agrees with the agents, and watchers that have seen the
// newest there is.
func (w *World) stuck() string {
	for _, h := range w.hosts {
		if h.state != hostUp {
			return h.name + " does not run"
		}
	}
	leader := w.leader()
	if leader == nil {
		return "nobody leads"
	}
	if s := w.followersStuck(leader); s != "" {
		return s
	}
	for _, h := range w.hosts {
		if s := w.membersStuck(h); s != "" {
			return s
		}
		if s := h.outOfSync(leader); s != "" {
			return s
		}
	}
	if s := w.coordinatesStuck(leader); s != "" {
		return s
	}
	return w.watchersStuck(leader)
}

// coordinatesStuck names a node whose coordinate has not come to the catalog. There is none without a node.
func (w *World) coordinatesStuck(leader *Host) string {
	placed := map[string]bool{}
	answer, _, err := leader.disk.machine.Read(&catalog.CoordinatesQuery{})
	if err != nil {
		return err.Error()
	}
	for _, c := range answer.Value.([]*catalog.Coordinate) {
		placed[c.Node] = true
		w.checks.verify("coordinates", c.Coord.Validate())
	}
	for _, h := range w.hosts {
		if !placed[h.name] {
			return "the catalog has no coordinate of " + h.name
		}
	}
	if answer, _, err = leader.disk.machine.Read(&catalog.NodesQuery{}); err != nil {
		return err.Error()
	}
	for _, n := range answer.Value.([]*catalog.Node) {
		delete(placed, n.Node)
	}
	if len(placed) > 0 {
		w.fail("coordinates", "the catalog has coordinates of nodes that it does not know: %v", slices.Sorted(maps.Keys(placed)))
	}
	return ""
}

func (w *World) followersStuck(leader *Host) string {
	want, _ := leader.node.RaftStatus()
	servers := w.hosts[:w.Options.Servers]
	for _, h := range servers {
		st, _ := h.node.RaftStatus()
		switch {
		case st.Leader != want.ID:
			return fmt.Sprintf("%s does not follow %s", h.name, leader.name)
		case st.CommitIndex < want.CommitIndex-min(want.CommitIndex, 50):
			return fmt.Sprintf("%s has come to %d of %d", h.name, st.CommitIndex, want.CommitIndex)
		case !want.Config.HasVoter(h.raftID()):
			return h.name + " is not a voter"
		}
	}
	if len(want.Config.Servers) != len(servers) {
		return fmt.Sprintf("the configuration has %d of %d servers", len(want.Config.Servers), len(servers))
	}
	return ""
}

// membersStuck compares what a host believes with who runs. Nodes that were replaced may be remembered, but not as
// alive.
func (w *World) membersStuck(h *Host) string {
	running := map[string]bool{}
	for _, o := range w.hosts {
		running[o.name] = true
	}
	for _, m := range h.node.Members() {
		alive := m.State == swim.StateAlive
		if running[m.Name] != alive && (running[m.Name] || m.State == swim.StateSuspect || alive) {
			return fmt.Sprintf("%s takes %s for %v", h.name, m.Name, m.State)
		}
		delete(running, m.Name)
	}
	for _, o := range w.hosts {
		if running[o.name] {
			return fmt.Sprintf("%s does not know %s", h.name, o.name)
		}
	}
	return ""
}

func (w *World) watchersStuck(leader *Host) string {
	for i, x := range w.watchers {
		answer, _, err := leader.disk.machine.Read(x.query)
		if err != nil {
			return err.Error()
		}
		if x.index != answer.Index {
			return fmt.Sprintf("watcher %d, of %T, has seen index %d; it is %d", i, x.query, x.index, answer.Index)
		}
	}
	return ""
}

// compareStates compares all that the servers have, once they have applied the same.
func (w *World) compareStates() {
	for _, h := range w.hosts[:w.Options.Servers] {
		if h.node == nil {
			continue
		}
		index, hash, err := h.contents()
		if err != nil {
			w.fail("storage", "%s: %v", h.name, err)
			return
		}
		w.note("state", uint64(h.index), index)
		w.trace.Text(hash)
		w.checks.verify("same state", w.checks.state.At(h.name, index, hash))
	}
}

// contents reads the whole state of a server, as a snapshot for a follower.
func (h *Host) contents() (index uint64, hash string, err error) {
	t := trace.New()
	r := raft.ChunkRead{For: "the simulator"}
	for {
		meta, chunk, next, done, err := h.disk.machine.ReadChunk(r)
		if err != nil {
			return 0, "", err
		}
		t.Bytes(chunk)
		if done {
			return meta.Index, t.String(), nil
		}
		r.Meta, r.Cursor = meta, next
	}
}

// drill takes an agent down in a cluster at rest: everybody must notice and the catalog must say so, and when it is back
// everybody must take it for alive again.
func (w *World) drill() {
	h := w.hosts[len(w.hosts)-1]
	h.crash("crashed for the drill")
	w.expect("the failure of "+h.name, 60*time.Second, func() bool { return w.believed(h, swim.StateDead) && w.health(h) == "critical" })
	if w.failure != nil {
		return
	}
	h.restart()
	w.expect("the return of "+h.name, 60*time.Second, func() bool { return w.believed(h, swim.StateAlive) && w.health(h) == "passing" })
}

// expect waits until something is so, and fails the run if that takes too long.
func (w *World) expect(what string, within time.Duration, so func() bool) {
	end := w.now + within
	for w.failure == nil && !so() {
		if w.now >= end {
			w.fail("liveness", "%s was not noticed by everybody within %v", what, within)
			return
		}
		w.runUntil(w.now + 250*time.Millisecond)
	}
}

// believed tells whether all others take a host for being in a state.
func (w *World) believed(h *Host, state swim.State) bool {
	for _, o := range w.hosts {
		if o == h {
			continue
		}
		if m, ok := o.node.Member(h.name); !ok || m.State != state {
			return false
		}
	}
	return true
}

// health is the status of a host's serfHealth check in the leader's catalog.
func (w *World) health(h *Host) string {
	leader := w.leader()
	if leader == nil || leader.disk.machine == nil {
		return ""
	}
	answer, _, err := leader.disk.machine.Read(&catalog.NodeChecksQuery{Node: h.name})
	if err != nil {
		return ""
	}
	for _, c := range answer.Value.([]*catalog.HealthCheck) {
		if c.CheckID == "serfHealth" {
			return c.Status
		}
	}
	return ""
}
