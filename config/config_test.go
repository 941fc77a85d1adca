package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"concord/swim"
)

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	return path
}

func load(t *testing.T, args ...string) Runtime {
	t.Helper()
	rt, _, err := Load(append([]string{"-node", "n1", "-bind", "127.0.0.1", "-data-dir", "/data"}, args...))
	require.NoError(t, err)
	return rt
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	rt := load(t)
	require.Equal(t, "dc1", rt.Datacenter)
	require.Equal(t, []string{"127.0.0.1:8500"}, rt.HTTP)
	require.Equal(t, []string{"127.0.0.1:8600"}, rt.DNS)
	require.Equal(t, 8300, rt.ServerPort)
	require.Equal(t, 8301, rt.SerfPort)
	require.Equal(t, 5, rt.RaftMultiplier)
	require.False(t, rt.Server)
	require.True(t, rt.LeaveOnTerminate, "clients leave")
	require.True(t, rt.DisableRemoteExec)
	require.False(t, rt.SkipLeaveOnInterrupt)
	server := load(t, "-server")
	require.False(t, server.LeaveOnTerminate, "servers keep their place")
	require.True(t, server.SkipLeaveOnInterrupt)
}

func TestDev(t *testing.T) {
	t.Parallel()
	rt, _, err := Load([]string{"--dev", "--node=n1"})
	require.NoError(t, err)
	require.True(t, rt.Server)
	require.True(t, rt.Bootstrap)
	require.Empty(t, rt.DataDir)
	require.Equal(t, "127.0.0.1", rt.Advertise.String())
	require.Equal(t, 1, rt.RaftMultiplier)
}

const sampleJSON = `{"server": true, "bootstrap_expect": 3, "ports": {"http": 9500, "dns": -1}, "retry_join": ["a"],
	"performance": {"raft_multiplier": 2}, "autopilot": {"server_stabilization_time": "3s", "min_quorum": 3},
	"service": {"name": "web", "port": 80, "check": {"ttl": "10s"}}, "node_meta": {"rack": "r1"}}`

const sampleHCL = `server = true
bootstrap_expect = 3
ports { http = 9500  dns = -1 }
retry_join = ["a"]
performance { raft_multiplier = 2 }
autopilot { server_stabilization_time = "3s"  min_quorum = 3 }
service { name = "web"  port = 80  check { ttl = "10s" } }
node_meta { rack = "r1" }`

// Both formats say the same.
func TestFormats(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"c.json": sampleJSON, "c.hcl": sampleHCL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rt := load(t, "-config-file", file(t, name, text), "-retry-join", "b")
			require.True(t, rt.Server)
			require.Equal(t, 3, rt.Expect)
			require.Equal(t, []string{"127.0.0.1:9500"}, rt.HTTP)
			require.Empty(t, rt.DNS)
			require.Equal(t, []string{"a", "b"}, rt.JoinLAN.Retry, "lists grow, and flags come last")
			require.Equal(t, 2, rt.RaftMultiplier)
			require.Equal(t, int64(3*time.Second), rt.Autopilot.ServerStabilizationTime)
			require.Equal(t, "r1", rt.NodeMeta["rack"])
			require.Len(t, rt.Services, 1)
			require.Equal(t, "web", rt.Services[0].Name)
			require.Equal(t, 10*time.Second, rt.Services[0].Checks[0].TTL)
		})
	}
}

func TestDirectoriesAreReadInOrder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{"b.json": `{"datacenter": "second"}`, "a.hcl": `datacenter = "first"`, "notes.txt": "not read"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	require.Equal(t, "second", load(t, "-config-dir", dir).Datacenter)
	require.Equal(t, "third", load(t, "-config-dir", dir, "-datacenter", "third").Datacenter, "flags win")
}

func TestProblems(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		want string
	}{
		"unknown key":           {`{"foo": 1}`, "invalid config key foo"},
		"unknown inner key":     {`{"ports": {"htpp": 1}}`, "invalid config key ports.htpp"},
		"broken":                {`{"server": tr`, "not valid JSON"},
		"wrong type":            {`{"bootstrap_expect": "many"}`, "bootstrap_expect"},
		"port":                  {`{"ports": {"http": 70000}}`, "ports.http: 70000 is no port"},
		"same port twice":       {`{"ports": {"http": 7000, "dns": 7000}}`, "ports.http and ports.dns are both 7000"},
		"duration":              {`{"retry_interval": "soon"}`, `retry_interval: "soon" is not a duration`},
		"bind":                  {`{"advertise_addr": "here"}`, `advertise_addr: "here" is not an IP address`},
		"advertise everything":  {`{"advertise_addr": "0.0.0.0"}`, "others could not reach the agent"},
		"expect without server": {`{"bootstrap_expect": 3}`, "'bootstrap_expect > 0' requires 'server = true'"},
		"expect and bootstrap":  {`{"server": true, "bootstrap": true, "bootstrap_expect": 3}`, "mutually exclusive"},
		"multiplier":            {`{"performance": {"raft_multiplier": 11}}`, "raft_multiplier cannot be 11"},
		"level":                 {`{"log_level": "loud"}`, "trace, debug, info, warn, error"},
		"node id":               {`{"node_id": "7"}`, "is not a UUID"},
		"encryption":            {`{"encrypt": "pUqJrVyVRj5jsiYEkM/t"}`, "encrypt has invalid key: key size must be 16, 24 or 32 bytes"},
		"tls":                   {`{"verify_outgoing": true}`, "Concord has no TLS"},
		"networks of gossip":    {`{"serf_allowed_cidrs_lan": ["10.0.0.0/8"]}`, "a firewall guards its ports"},
		"label":                 {`{"gossip_lan": {"label": "` + strings.Repeat("x", 256) + `"}}`, "gossip_lan.label: 256 bytes are too many"},
		"preset":                {`{"gossip_lan": {"preset": "turbo"}}`, "gossip_lan.preset: \"turbo\" is none: choose lan, wan or fast"},
		"timing":                {`{"gossip_wan": {"probe_timeout": "6s"}}`, "gossip_wan: swim: "},
		"reconnect":             {`{"reconnect_timeout_wan": "1h"}`, "reconnect_timeout_wan must be >= 8h0m0s"},
		"wan everywhere":        {`{"advertise_addr_wan": "0.0.0.0"}`, "others could not reach the agent"},
		"acl":                   {`{"acl": {"enabled": true}}`, "Concord has no ACLs"},
		"script check":          {`{"check": {"name": "c", "args": ["true"], "interval": "10s"}}`, "not supported"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := file(t, "c.json", c.text)
			_, _, err := Load([]string{"-node", "n1", "-bind", "127.0.0.1", "-data-dir", "/data", "-config-file", path})
			require.ErrorContains(t, err, c.want)
			if strings.Contains(c.want, "invalid config key") {
				require.ErrorContains(t, err, path, "the file must be named")
			}
		})
	}
}

func TestEncryption(t *testing.T) {
	t.Parallel()
	require.Equal(t, Encryption{VerifyIncoming: true, VerifyOutgoing: true}, load(t).Encryption)
	key := "pUqJrVyVRj5jsiYEkM/tFQ=="
	path := file(t, "c.json", `{"encrypt_verify_incoming": false, "encrypt_verify_outgoing": false, "disable_keyring_file": true,
		"gossip_lan": {"label": "a"}, "gossip_wan": {"label": "b"}}`)
	rt := load(t, "-encrypt", key, "-config-file", path)
	require.Equal(t, Encryption{Key: key, DisableFile: true, LabelLAN: "a", LabelWAN: "b"}, rt.Encryption)
	require.NotContains(t, fmt.Sprint(rt.Written), key, "the key would be shown by /v1/agent/self")
}

// The pools are tuned each for itself, from a preset that the other keys change.
func TestGossip(t *testing.T) {
	t.Parallel()
	rt := load(t, "-server")
	require.Equal(t, swim.LAN(), rt.LAN)
	require.Equal(t, swim.WAN(), rt.WAN)
	require.Equal(t, 8302, rt.SerfWANPort)
	require.Equal(t, rt.Advertise, rt.AdvertiseWAN)
	rt = load(t, "-server", "-serf-wan-port", "-1", "-advertise-wan", "192.0.2.7", "-serf-wan-bind", "127.0.0.2", "-config-file", file(t, "c.hcl",
		`gossip_lan { preset = "fast"  suspicion_mult = 5 }
		gossip_wan { probe_interval = "7s"  retransmit_mult = 3  push_pull_interval = "90s" }
		reconnect_timeout = "9h"`))
	fast := swim.Fast()
	fast.SuspicionMult, fast.ReconnectTimeout = 5, 9*time.Hour
	require.Equal(t, fast, rt.LAN)
	wan := swim.WAN()
	wan.ProbeInterval, wan.RetransmitMult, wan.PushPullInterval = 7*time.Second, 3, 90*time.Second
	require.Equal(t, wan, rt.WAN)
	require.Equal(t, -1, rt.SerfWANPort)
	require.Equal(t, "192.0.2.7", rt.AdvertiseWAN.String())
	require.Equal(t, "127.0.0.2", rt.BindWAN.String())
	require.Equal(t, "127.0.0.1", rt.BindLAN.String())
}

func TestJoiningOfBothPools(t *testing.T) {
	t.Parallel()
	rt := load(t, "-server", "-join", "a", "-join-wan", "b", "-retry-join-wan", "c", "-retry-interval-wan", "3s", "-retry-max-wan", "4")
	require.Equal(t, Joining{Start: []string{"a"}, RetryInterval: 30 * time.Second}, rt.JoinLAN)
	require.Equal(t, Joining{Start: []string{"b"}, Retry: []string{"c"}, RetryInterval: 3 * time.Second, RetryMax: 4}, rt.JoinWAN)
}

func TestClientsDoNotJoinTheWAN(t *testing.T) {
	t.Parallel()
	_, warnings, err := Load([]string{"-node", "n1", "-bind", "127.0.0.1", "-data-dir", "/data", "-retry-join-wan", "a"})
	require.NoError(t, err)
	require.Equal(t, []string{"start_join_wan and retry_join_wan do nothing: only a server with ports.serf_wan is in the WAN pool"}, warnings)
}

// Every problem is reported at once, a line each.
func TestAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	_, _, err := Load([]string{"-node", "n1", "-bind", "nowhere", "-config-file", file(t, "c.json", `{"foo": 1, "log_level": "loud", "ports": {"dns": 0}}`)})
	require.Error(t, err)
	require.Len(t, strings.Split(err.Error(), "\n"), 5, err.Error())
	require.ErrorContains(t, err, "data_dir cannot be empty")
}

func TestKeysThatAreNotServedWarnOnce(t *testing.T) {
	t.Parallel()
	_, warnings, err := Load([]string{"-node", "n1", "-bind", "127.0.0.1", "-data-dir", "/data",
		"-config-file", file(t, "c.json", `{"telemetry": {"statsd_address": "x"}, "disable_update_check": true, "ui": true}`)})
	require.NoError(t, err)
	require.Len(t, warnings, 1)
	require.Contains(t, warnings[0], `"telemetry" is accepted but not served yet`)
}

func TestFlagsThatAreWrong(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-nope"}, {"-http-port", "x"}, {"stray"}, {"-config-format", "toml"}, {"-config-file", "/does/not/exist"}} {
		_, _, err := Load(append([]string{"-node", "n1", "-bind", "127.0.0.1", "-data-dir", "/data"}, args...))
		require.Error(t, err, args)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	_, err := Validate([]string{file(t, "c.json", `{"data_dir": "/data", "bind_addr": "127.0.0.1", "node_name": "n1"}`)}, "")
	require.NoError(t, err)
	_, err = Validate([]string{file(t, "c.conf", `{}`)}, "")
	require.ErrorContains(t, err, "-config-format")
}

func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	rt := load(t, "-config-file", file(t, "c.json", `{"acl_token": "secret", "datacenter": "dc9"}`))
	require.Equal(t, "dc9", rt.Written["datacenter"])
	require.NotContains(t, rt.Written, "acl_token")
}

func FuzzParse(f *testing.F) {
	f.Add(sampleJSON, true)
	f.Add(sampleHCL, false)
	f.Fuzz(func(t *testing.T, text string, json bool) {
		format := "hcl"
		if json {
			format = "json"
		}
		s, err := parse("fuzz", []byte(text), format)
		if err != nil {
			return
		}
		build(false, []source{s}, nil)
	})
}
