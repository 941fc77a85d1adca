package httpapi

import (
	"errors"
	"net/http"
	"strconv"

	"concord/agent"
	"concord/catalog"
)

// agentRoutes: https://developer.hashicorp.com/consul/api-docs/agent
var agentRoutes = []route{
	{"/v1/agent/self", get, func(q *request) (any, error) { return q.s.backend.Self(q.r.Context()) }},
	{"/v1/agent/version", get, func(q *request) (any, error) { return q.s.backend.Version(), nil }},
	{"/v1/agent/members", get, (*request).members},
	{"/v1/agent/join/", put, (*request).join},
	{"/v1/agent/leave", put, func(q *request) (any, error) { return nil, q.s.backend.Leave(q.r.Context()) }},
	{"/v1/agent/force-leave/", put, (*request).forceLeave},
	{"/v1/agent/reload", put, func(q *request) (any, error) { return nil, q.s.backend.Reload(q.r.Context()) }},
	{"/v1/agent/maintenance", put, func(q *request) (any, error) { return q.maintenance("") }},

	{"/v1/agent/services", get, (*request).agentServices},
	{"/v1/agent/service/", get, (*request).agentService},
	{"/v1/agent/service/register", put, (*request).registerService},
	{"/v1/agent/service/deregister/", put, func(q *request) (any, error) {
		return q.change(func(a AgentState) error { return a.RemoveService(q.arg) })
	}},
	{"/v1/agent/service/maintenance/", put, (*request).serviceMaintenance},
	{"/v1/agent/health/service/id/", get, (*request).healthByID},
	{"/v1/agent/health/service/name/", get, (*request).healthByName},

	{"/v1/agent/checks", get, (*request).agentChecks},
	{"/v1/agent/check/register", put, (*request).registerCheck},
	{"/v1/agent/check/deregister/", put, func(q *request) (any, error) {
		return q.change(func(a AgentState) error { return a.RemoveCheck(q.arg) })
	}},
	{"/v1/agent/check/pass/", put, func(q *request) (any, error) { return q.ttl(catalog.HealthPassing, q.params.Get("note")) }},
	{"/v1/agent/check/warn/", put, func(q *request) (any, error) { return q.ttl(catalog.HealthWarning, q.params.Get("note")) }},
	{"/v1/agent/check/fail/", put, func(q *request) (any, error) { return q.ttl(catalog.HealthCritical, q.params.Get("note")) }},
	{"/v1/agent/check/update/", put, (*request).updateCheck},
}

func (q *request) change(f AgentChange) (any, error) {
	return nil, q.s.backend.Change(q.r.Context(), f)
}

// allSegments is what clients ask for who do not care; there is but one segment.
const allSegments = "_all"

var errSegments = errors.New("Network segments are not supported in this version of Consul")

func (q *request) members() (any, error) {
	if segment := q.params.Get("segment"); segment != "" && segment != allSegments {
		if q.wan() {
			return nil, badRequest("Cannot provide a segment with wan=true")
		}
		return nil, errSegments
	}
	return q.s.backend.Members(q.r.Context(), q.wan())
}

// wan tells whether the request is about the WAN pool: "?wan" or "?wan=1".
func (q *request) wan() bool {
	return q.has("wan") && q.params.Get("wan") != "0" && q.params.Get("wan") != "false"
}

func (q *request) join() (any, error) {
	if q.arg == "" {
		return nil, badRequest("Missing address to join")
	}
	_, err := q.s.backend.Join(q.r.Context(), []string{q.arg}, q.wan())
	return nil, err
}

func (q *request) forceLeave() (any, error) {
	return nil, q.s.backend.ForceLeave(q.r.Context(), q.arg, q.has("prune"))
}

// localService is a service as the agent's own endpoints show it.
type localService struct {
	*catalog.NodeService
	CreateIndex struct{} `json:"-"`
	ModifyIndex struct{} `json:"-"`
	Datacenter  string
}

func (q *request) local(s *agent.Service) localService {
	return localService{NodeService: &s.Service, Datacenter: q.s.cfg.Datacenter}
}

func (q *request) agentServices() (any, error) {
	all, err := q.s.backend.Services(q.r.Context())
	if err != nil {
		return nil, err
	}
	byID := map[string]*catalog.NodeService{}
	for i := range all {
		byID[all[i].Service.ID] = &all[i].Service
	}
	v, err := q.filtered(byID)
	if err != nil {
		return nil, err
	}
	out := map[string]localService{}
	for id, s := range v.(map[string]*catalog.NodeService) {
		out[id] = localService{NodeService: s, Datacenter: q.s.cfg.Datacenter}
	}
	return out, nil
}

func (q *request) agentService() (any, error) {
	all, err := q.s.backend.Services(q.r.Context())
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].Service.ID == q.arg {
			return q.local(&all[i]), nil
		}
	}
	return nil, missing("unknown service ID: %s", q.arg)
}

func (q *request) registerService() (any, error) {
	var body map[string]any
	if err := q.decode(&body); err != nil {
		return nil, err
	}
	def, ignored, err := agent.DecodeService(body)
	if err != nil {
		return nil, badRequest("Request decode failed: %v", err)
	}
	if len(ignored) > 0 {
		q.s.log.Warn("http: the definition sets what Concord does not serve yet", "service", def.Name, "keys", ignored)
	}
	replace, err := q.flag("replace-existing-checks")
	if err != nil {
		return nil, err
	}
	return q.change(func(a AgentState) error {
		if replace {
			return a.AddServiceReplacingChecks(def)
		}
		return a.AddService(def)
	})
}

func (q *request) agentChecks() (any, error) {
	all, err := q.s.backend.Checks(q.r.Context())
	if err != nil {
		return nil, err
	}
	byID := map[string]*catalog.HealthCheck{}
	for i := range all {
		byID[all[i].Check.CheckID] = &all[i].Check
	}
	return q.filtered(byID)
}

func (q *request) registerCheck() (any, error) {
	var body map[string]any
	if err := q.decode(&body); err != nil {
		return nil, err
	}
	def, ignored, err := agent.DecodeCheck(body)
	if err != nil {
		return nil, badRequest("Request decode failed: %v", err)
	}
	if len(ignored) > 0 {
		q.s.log.Warn("http: the definition sets what Concord does not serve yet", "check", def.Name, "keys", ignored)
	}
	return q.change(func(a AgentState) error { return a.AddCheck(def) })
}

func (q *request) ttl(status, note string) (any, error) {
	return q.change(func(a AgentState) error { return a.SetTTL(q.arg, status, note) })
}

func (q *request) updateCheck() (any, error) {
	var body struct{ Status, Output string }
	if err := q.decode(&body); err != nil {
		return nil, err
	}
	switch body.Status {
	case catalog.HealthPassing, catalog.HealthWarning, catalog.HealthCritical:
		return q.ttl(body.Status, body.Output)
	}
	return nil, badRequest("Invalid check status: '%s'", body.Status)
}

func (q *request) serviceMaintenance() (any, error) {
	if q.arg == "" {
		return nil, badRequest("Missing service ID")
	}
	return q.maintenance(q.arg)
}

func (q *request) maintenance(service string) (any, error) {
	if !q.has("enable") {
		return nil, badRequest("Missing value for enable")
	}
	enable, err := strconv.ParseBool(q.params.Get("enable"))
	if err != nil {
		return nil, badRequest("Invalid value for enable: %q", q.params.Get("enable"))
	}
	return q.change(func(a AgentState) error { return a.Maintenance(service, enable, q.params.Get("reason")) })
}

// serviceHealth is an element of /v1/agent/health/service.
type serviceHealth struct {
	AggregatedStatus string
	Service          localService
	Checks           []*catalog.HealthCheck
}

// severity orders states from best to worst; healthStatus is the HTTP status each is answered with.
var (
	severity     = map[string]int{catalog.HealthPassing: 0, catalog.HealthWarning: 1, catalog.HealthCritical: 2}
	healthStatus = map[string]int{catalog.HealthPassing: http.StatusOK, catalog.HealthWarning: http.StatusTooManyRequests,
		catalog.HealthCritical: http.StatusServiceUnavailable}
)

// healths describes the local services that match.
func (q *request) healths(match func(*catalog.NodeService) bool) ([]serviceHealth, string, error) {
	services, err := q.s.backend.Services(q.r.Context())
	if err != nil {
		return nil, "", err
	}
	checks, err := q.s.backend.Checks(q.r.Context())
	if err != nil {
		return nil, "", err
	}
	worst := catalog.HealthPassing
	var out []serviceHealth
	for i := range services {
		if !match(&services[i].Service) {
			continue
		}
		h := serviceHealth{AggregatedStatus: catalog.HealthPassing, Service: q.local(&services[i]), Checks: []*catalog.HealthCheck{}}
		for j := range checks {
			c := &checks[j].Check
			if c.ServiceID != "" && c.ServiceID != h.Service.ID {
				continue
			}
			h.Checks = append(h.Checks, c)
			if severity[c.Status] > severity[h.AggregatedStatus] {
				h.AggregatedStatus = c.Status
			}
		}
		if severity[h.AggregatedStatus] > severity[worst] {
			worst = h.AggregatedStatus
		}
		out = append(out, h)
	}
	return out, worst, nil
}

// answerHealth answers with the state as HTTP status, and with format=text as the only word of the body.
func (q *request) answerHealth(worst string, body any) (any, error) {
	if q.params.Get("format") == "text" {
		q.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		q.w.WriteHeader(healthStatus[worst])
		q.w.Write([]byte(worst))
		return done{}, nil
	}
	q.w.Header()["Content-Type"] = typeJSON
	if healthStatus[worst] != http.StatusOK {
		q.w.WriteHeader(healthStatus[worst])
	}
	return body, nil
}

func (q *request) healthByID() (any, error) {
	if q.arg == "" {
		return nil, badRequest("Missing serviceID")
	}
	found, worst, err := q.healths(func(s *catalog.NodeService) bool { return s.ID == q.arg })
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, missing("ServiceId %s not found", q.arg)
	}
	return q.answerHealth(worst, found[0])
}

func (q *request) healthByName() (any, error) {
	if q.arg == "" {
		return nil, badRequest("Missing service Name")
	}
	found, worst, err := q.healths(func(s *catalog.NodeService) bool { return s.Service == q.arg })
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, missing("ServiceName %s Not Found", q.arg)
	}
	return q.answerHealth(worst, found)
}
