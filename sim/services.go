package sim

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"concord/agent"
	"concord/catalog"
	"concord/internal/prng"
	"concord/node"
)

// localServices are the definitions of services that an agent keeps on its disk.
type localServices struct {
	kept map[string]agent.ServiceDefinition
}

// Agent carries out what the local agent wants: in the simulator its checks have no runners, and of its files only those of
// services.
func (h *Host) Agent(t node.AgentTask) {
	h.later(h.disk.delay(), "definitions", func() {
		for _, op := range t.Persist {
			if op.Kind != agent.PersistService {
				continue
			}
			if h.local.kept == nil {
				h.local.kept = map[string]agent.ServiceDefinition{}
			}
			if op.Service == nil {
				delete(h.local.kept, op.ID)
				continue
			}
			h.local.kept[op.ID] = *op.Service
		}
	})
}

// restoreServices gives a node that starts what its disk has.
func (h *Host) restoreServices() {
	var p agent.Persisted
	for _, id := range slices.Sorted(maps.Keys(h.local.kept)) {
		p.Services = append(p.Services, h.local.kept[id])
	}
	h.run(func() {
		h.node.WithAgent(func(now time.Duration, a *agent.Local) {
			if err := a.LoadConfigServices(now, nil, nil); err != nil {
				h.w.fail("recovery", "%s: %v", h.name, err)
			}
			a.Restore(now, p)
		})
	})
}

// changeService registers a service with the local agent, or takes one away.
func (h *Host) changeService(r *prng.Rand, value string) {
	id := "local-" + strconv.Itoa(r.IntN(3))
	remove := r.Chance(1, 3)
	h.input(func() {
		h.node.WithAgent(func(now time.Duration, a *agent.Local) {
			if remove {
				if _, ok := a.Service(id); ok {
					h.w.checks.verify("agent", a.RemoveService(now, id))
				}
				return
			}
			h.w.checks.verify("agent", a.AddService(now, agent.ServiceDefinition{ID: id, Name: "local", Meta: map[string]string{"value": value}}))
		})
	})
}

// outOfSync names a service that the agent of a host and the catalog disagree on, "" if they agree. The catalog is read
// from the leader's state.
func (h *Host) outOfSync(leader *Host) string {
	answer, _, err := leader.disk.machine.Read(&catalog.NodeServicesQuery{Node: h.name})
	if err != nil {
		return err.Error()
	}
	stored := map[string]string{}
	if list, ok := answer.Value.(*catalog.NodeServices); ok && list != nil {
		for _, s := range list.Services {
			stored[s.ID] = s.Meta["value"]
		}
	}
	for _, s := range h.node.Agent().Services() {
		id := s.Service.ID
		if value, ok := stored[id]; !ok || value != s.Service.Meta["value"] {
			return h.name + " has the service " + id + ", the catalog does not have it so"
		}
		delete(stored, id)
	}
	delete(stored, "consul") // the leader's own to register
	for id := range stored {
		return "the catalog has the service " + id + " of " + h.name + ", which does not have it"
	}
	return ""
}
