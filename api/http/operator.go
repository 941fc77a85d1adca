package httpapi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"concord/catalog"
	"concord/raft/autopilot"
	"concord/wire"
)

// operatorRoutes: https://developer.hashicorp.com/consul/api-docs/operator and .../status
var operatorRoutes = []route{
	{"/v1/status/leader", get, (*request).leader},
	{"/v1/status/peers", get, (*request).peers},
	{"/v1/operator/raft/configuration", get, (*request).raftConfiguration},
	{"/v1/operator/raft/peer", []string{http.MethodDelete}, (*request).raftRemovePeer},
	{"/v1/operator/raft/transfer-leader", []string{http.MethodPost, http.MethodPut}, (*request).transferLeader},
	{"/v1/operator/keyring", keyringMethods, (*request).keyring},
	{"/v1/operator/autopilot/configuration", getPut, (*request).autopilotConfiguration},
	{"/v1/operator/autopilot/health", get, (*request).autopilotHealth},
	{"/v1/operator/autopilot/state", get, (*request).autopilotState},
}

func (q *request) operator(op wire.Operator) (*wire.OperatorReply, error) {
	resp := q.do(&wire.Request{Operator: &op})
	if err := failure(resp); err != nil {
		return nil, err
	}
	return resp.Operator, nil
}

// raftServers are the servers in the Raft configuration of another datacenter.
func (q *request) raftServers() ([]wire.RaftServer, error) {
	r, err := q.operator(wire.Operator{Kind: wire.RaftConfiguration})
	if err != nil {
		return nil, err
	}
	return r.Servers, nil
}

func (q *request) leader() (any, error) {
	if q.dc == "" {
		return q.s.backend.Leader(q.r.Context())
	}
	servers, err := q.raftServers()
	for _, s := range servers {
		if s.Leader {
			return s.Address, nil
		}
	}
	return "", err
}

func (q *request) peers() (any, error) {
	if q.dc == "" {
		return q.s.backend.Peers(q.r.Context())
	}
	servers, err := q.raftServers()
	addrs := make([]string, 0, len(servers))
	for _, s := range servers {
		addrs = append(addrs, s.Address)
	}
	return addrs, err
}

func (q *request) raftConfiguration() (any, error) {
	r, err := q.operator(wire.Operator{Kind: wire.RaftConfiguration})
	if err != nil {
		return nil, err
	}
	type server struct {
		ID, Node, Address string
		Leader            bool
		ProtocolVersion   string
		Voter             bool
	}
	out := struct {
		Servers []server
		Index   uint64
	}{Servers: []server{}, Index: r.Index}
	for _, v := range r.Servers {
		out.Servers = append(out.Servers, server{v.ID, v.Node, v.Address, v.Leader, v.ProtocolVersion, v.Voter})
	}
	return out, nil
}

func (q *request) raftRemovePeer() (any, error) {
	id, address := q.params.Get("id"), q.params.Get("address")
	if (id == "") == (address == "") {
		return nil, badRequest("Must specify either ?id with the server's ID or ?address with IP:port of peer to remove")
	}
	_, err := q.operator(wire.Operator{Kind: wire.RemovePeer, ID: id, Address: address})
	return nil, err
}

func (q *request) transferLeader() (any, error) {
	if _, err := q.operator(wire.Operator{Kind: wire.TransferLeader, ID: q.params.Get("id")}); err != nil {
		return nil, err
	}
	return map[string]bool{"Success": true}, nil
}

// readable is a duration that JSON shows as "10s" and reads so, or as a number of nanoseconds.
type readable time.Duration

// MarshalJSON writes the duration as text.
func (d readable) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// UnmarshalJSON reads text or nanoseconds.
func (d *readable) UnmarshalJSON(p []byte) error {
	var text string
	if json.Unmarshal(p, &text) == nil {
		v, err := time.ParseDuration(text)
		*d = readable(v)
		return err
	}
	n, err := strconv.ParseInt(string(p), 10, 64)
	*d = readable(n)
	return err
}

// autopilotConfig is the JSON shape of the configuration. What Consul Enterprise alone knows is shown unset.
type autopilotConfig struct {
	CleanupDeadServers      bool
	LastContactThreshold    readable
	MaxTrailingLogs         uint64
	MinQuorum               uint
	ServerStabilizationTime readable
	RedundancyZoneTag       string
	DisableUpgradeMigration bool
	UpgradeVersionTag       string
	CreateIndex             uint64
	ModifyIndex             uint64
}

func (q *request) autopilotConfiguration() (any, error) {
	if q.r.Method == http.MethodPut {
		return q.setAutopilot()
	}
	v, err := q.read(&catalog.AutopilotQuery{})
	if err != nil {
		return nil, err
	}
	c := v.(*catalog.AutopilotConfig)
	if c == nil {
		return nil, missing("autopilot is not configured yet: no leader has stored a configuration")
	}
	return autopilotConfig{CleanupDeadServers: c.CleanupDeadServers, LastContactThreshold: readable(c.LastContactThreshold),
		MaxTrailingLogs: c.MaxTrailingLogs, MinQuorum: c.MinQuorum, ServerStabilizationTime: readable(c.ServerStabilizationTime),
		CreateIndex: c.CreateIndex, ModifyIndex: c.ModifyIndex}, nil
}

func (q *request) setAutopilot() (any, error) {
	d := autopilot.DefaultConfig()
	body := autopilotConfig{CleanupDeadServers: d.CleanupDeadServers, LastContactThreshold: readable(d.LastContactThreshold),
		MaxTrailingLogs: d.MaxTrailingLogs, MinQuorum: d.MinQuorum, ServerStabilizationTime: readable(d.ServerStabilizationTime)}
	if err := q.decodeAutopilot(&body); err != nil {
		return nil, err
	}
	c := &catalog.SetAutopilot{Config: catalog.AutopilotConfig{CleanupDeadServers: body.CleanupDeadServers,
		LastContactThreshold: int64(body.LastContactThreshold), MaxTrailingLogs: body.MaxTrailingLogs, MinQuorum: body.MinQuorum,
		ServerStabilizationTime: int64(body.ServerStabilizationTime)}}
	if q.has("cas") {
		index, err := strconv.ParseUint(q.params.Get("cas"), 10, 64)
		if err != nil {
			return nil, badRequest("Bad request: Error parsing cas value: %v", err)
		}
		c.CAS, c.Config.ModifyIndex = true, index
	}
	r, err := q.write(c)
	if err != nil {
		return nil, err
	}
	return r.OK, nil
}

// decodeAutopilot is strict: a field with a wrong name would leave a default in force that the operator meant to change.
func (q *request) decodeAutopilot(c *autopilotConfig) error {
	p, err := q.body(maxBody)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(p))
	d.DisallowUnknownFields()
	if err := d.Decode(c); err != nil {
		return badRequest("Bad request: Error parsing autopilot config: %v", err)
	}
	if c.LastContactThreshold < 0 || c.ServerStabilizationTime < 0 {
		return badRequest("Bad request: Error parsing autopilot config: a duration is negative")
	}
	return nil
}

// serverHealth is an element of /v1/operator/autopilot/health.
type serverHealth struct {
	ID, Name, Address, SerfStatus, Version string
	Leader                                 bool
	LastContact                            string
	LastTerm, LastIndex                    uint64
	Healthy, Voter                         bool
	StableSince                            time.Time
}

func (q *request) health() (*autopilot.Health, error) {
	r, err := q.operator(wire.Operator{Kind: wire.AutopilotHealth})
	if err != nil {
		return nil, err
	}
	if r.Health == nil {
		return nil, &status{http.StatusInternalServerError, "the leader does not know the health of the servers yet, try again"}
	}
	return r.Health, nil
}

func healthOf(s *autopilot.ServerHealth) serverHealth {
	contact := "never"
	if s.LastContact >= 0 {
		contact = s.LastContact.String()
	}
	return serverHealth{ID: s.ID, Name: s.Name, Address: s.Address, SerfStatus: s.SerfStatus, Version: s.Version, Leader: s.Leader,
		LastContact: contact, LastTerm: s.LastTerm, LastIndex: s.LastIndex, Healthy: s.Healthy, Voter: s.Voter,
		StableSince: time.Now().Add(-s.StableSince).UTC().Truncate(time.Second)}
}

// autopilotHealth answers 429 while a server is unhealthy, for monitors that look no further.
func (q *request) autopilotHealth() (any, error) {
	h, err := q.health()
	if err != nil {
		return nil, err
	}
	out := struct {
		Healthy          bool
		FailureTolerance int
		Servers          []serverHealth
	}{h.Healthy, h.FailureTolerance, []serverHealth{}}
	for i := range h.Servers {
		out.Servers = append(out.Servers, healthOf(&h.Servers[i]))
	}
	if !h.Healthy {
		q.w.Header()["Content-Type"] = typeJSON
		q.w.WriteHeader(http.StatusTooManyRequests)
	}
	return out, nil
}

func (q *request) autopilotState() (any, error) {
	h, err := q.health()
	if err != nil {
		return nil, err
	}
	type server struct {
		ID, Name, Address, NodeStatus, Version, LastContact string
		LastTerm, LastIndex                                 uint64
		Healthy                                             bool
		StableSince                                         time.Time
		Status                                              string
		Meta                                                map[string]string
		NodeType                                            string
	}
	servers, voters, leader := map[string]server{}, []string{}, ""
	for i := range h.Servers {
		s := &h.Servers[i]
		v := healthOf(s)
		role := "non-voter"
		if s.Voter {
			role = "voter"
			voters = append(voters, s.ID)
		}
		if s.Leader {
			role, leader = "leader", s.ID
		}
		servers[s.ID] = server{v.ID, v.Name, v.Address, v.SerfStatus, v.Version, v.LastContact, v.LastTerm, v.LastIndex, v.Healthy, v.StableSince, role,
			map[string]string{}, "voter"}
	}
	return map[string]any{"Healthy": h.Healthy, "FailureTolerance": h.FailureTolerance, "OptimisticFailureTolerance": h.FailureTolerance,
		"Servers": servers, "Leader": leader, "Voters": voters}, nil
}
