package httpapi

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"concord/catalog"
	"concord/raft/autopilot"
	"concord/wire"
)

// The texts are those of Consul 1.8.
func TestAutopilotConfigurationErrors(t *testing.T) {
	t.Parallel()
	const path = "/v1/operator/autopilot/configuration"
	for _, c := range []struct{ name, target, body, want string }{
		{"duration", path, `{"LastContactThreshold":"x"}`, `Bad request: Error parsing autopilot config: time: invalid duration "x"`},
		{"unknown field", path, `{"Foo":1}`, `Bad request: Error parsing autopilot config: json: unknown field "Foo"`},
		{"no JSON", path, `{bad`, "Bad request: Error parsing autopilot config: invalid character 'b' looking for beginning of object key string"},
		{"nothing", path, ``, "Bad request: Error parsing autopilot config: EOF"},
		{"negative number", path, `{"MaxTrailingLogs":-1}`, "Bad request: Error parsing autopilot config: json: cannot unmarshal number -1"},
		{"negative duration", path, `{"ServerStabilizationTime":"-1s"}`, "a duration is negative"},
		{"cas", path + "?cas=x", `{}`, `Bad request: Error parsing cas value: strconv.ParseUint: parsing "x": invalid syntax`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := &fake{}
			w := request1(t, f, "PUT", c.target, c.body)
			require.Equal(t, 400, w.Code)
			require.Contains(t, w.Body.String(), c.want)
			require.Nil(t, f.asked)
		})
	}
}

func TestAutopilotConfiguration(t *testing.T) {
	t.Parallel()
	f := &fake{resp: written}
	w := request1(t, f, "PUT", "/v1/operator/autopilot/configuration?cas=4",
		`{"CleanupDeadServers":false,"LastContactThreshold":"1s","MaxTrailingLogs":99,"MinQuorum":3,"ServerStabilizationTime":12000000000,"RedundancyZoneTag":""}`)
	require.Equal(t, "true", w.Body.String())
	want := &catalog.SetAutopilot{CAS: true, Config: catalog.AutopilotConfig{LastContactThreshold: int64(time.Second), MaxTrailingLogs: 99, MinQuorum: 3,
		ServerStabilizationTime: int64(12 * time.Second), RaftIndex: catalog.RaftIndex{ModifyIndex: 4}}}
	got, err := wire.DecodeCommand(f.asked.Command)
	require.NoError(t, err)
	require.Equal(t, want, got)

	stored := want.Config
	stored.RaftIndex = catalog.RaftIndex{CreateIndex: 3, ModifyIndex: 4}
	w = request1(t, &fake{resp: answer(&stored)}, "GET", "/v1/operator/autopilot/configuration", "")
	require.JSONEq(t, `{"CleanupDeadServers":false,"LastContactThreshold":"1s","MaxTrailingLogs":99,"MinQuorum":3,"ServerStabilizationTime":"12s",
		"RedundancyZoneTag":"","DisableUpgradeMigration":false,"UpgradeVersionTag":"","CreateIndex":3,"ModifyIndex":4}`, w.Body.String())
}

func TestAutopilotHealth(t *testing.T) {
	t.Parallel()
	servers := []autopilot.ServerHealth{
		{ID: "a", Name: "n1", Address: "10.0.0.1:8300", SerfStatus: "alive", Version: "1", Leader: true, Voter: true, Healthy: true, LastTerm: 2, LastIndex: 9, StableSince: time.Minute},
		{ID: "b", Name: "n2", Address: "10.0.0.2:8300", SerfStatus: "failed", Version: "1", LastContact: -1},
	}
	for _, healthy := range []bool{true, false} {
		f := &fake{resp: &wire.Response{Operator: &wire.OperatorReply{Health: &autopilot.Health{Healthy: healthy, FailureTolerance: 1, Servers: servers}}}}
		w := request1(t, f, "GET", "/v1/operator/autopilot/health", "")
		require.Equal(t, map[bool]int{true: 200, false: 429}[healthy], w.Code)
		var got struct {
			Healthy          bool
			FailureTolerance int
			Servers          []map[string]any
		}
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
		require.Equal(t, healthy, got.Healthy)
		require.Equal(t, 1, got.FailureTolerance)
		require.Len(t, got.Servers, 2)
		since, err := time.Parse(time.RFC3339, got.Servers[0]["StableSince"].(string))
		require.NoError(t, err)
		require.WithinDuration(t, time.Now().Add(-time.Minute), since, 10*time.Second)
		delete(got.Servers[0], "StableSince")
		require.Equal(t, map[string]any{"ID": "a", "Name": "n1", "Address": "10.0.0.1:8300", "SerfStatus": "alive", "Version": "1", "Leader": true,
			"LastContact": "0s", "LastTerm": 2.0, "LastIndex": 9.0, "Healthy": true, "Voter": true}, got.Servers[0])
		require.Equal(t, "never", got.Servers[1]["LastContact"])
	}
}
