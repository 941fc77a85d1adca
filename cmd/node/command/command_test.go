package command

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/cli"
	"github.com/stretchr/testify/require"
)

// agent is an HTTP API with fixed answers that remembers what it was asked.
type agent struct {
	answers map[string]string // by "METHOD /path"
	asked   []string
}

func (a *agent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	a.asked = append(a.asked, strings.TrimSpace(fmt.Sprintf("%s %s %s", r.Method, r.URL.RequestURI(), body)))
	answer, ok := a.answers[r.Method+" "+r.URL.Path]
	if !ok {
		http.Error(w, "no answer for "+r.URL.Path, http.StatusNotFound)
		return
	}
	if code, text, is := strings.Cut(answer, "!"); is {
		var status int
		fmt.Sscan(code, &status)
		http.Error(w, text, status)
		return
	}
	io.WriteString(w, answer)
}

func run(t *testing.T, a *agent, stdin string, args ...string) (code int, out, errs string) {
	t.Helper()
	server := httptest.NewServer(a)
	defer server.Close()
	ui := cli.NewMockUi()
	commands := Commands(ui, "1.2.3")
	var name string
	for i := len(args); i > 0; i-- {
		if n := strings.Join(args[:i], " "); commands[n] != nil {
			name, args = n, args[i:]
			break
		}
	}
	require.NotEmpty(t, name, "no such verb")
	c, err := commands[name]()
	require.NoError(t, err)
	if r, ok := c.(*runner); ok {
		r.stdin = strings.NewReader(stdin)
	}
	code = c.Run(append([]string{"-http-addr", server.URL}, args...))
	return code, ui.OutputWriter.String(), ui.ErrorWriter.String()
}

func TestEveryVerbHasAnExample(t *testing.T) {
	t.Parallel()
	for name, make := range Commands(cli.NewMockUi(), "1") {
		c, err := make()
		require.NoError(t, err)
		require.Contains(t, c.Help(), "$ node "+name, name)
		require.NotEmpty(t, c.Synopsis(), name)
	}
}

const twoMembers = `[{"Name":"s1","Addr":"10.0.0.1","Port":8301,"Status":1,"Tags":{"role":"consul","build":"1.8.7:abc","vsn":"2","dc":"dc1"}},
	{"Name":"c1","Addr":"10.0.0.2","Port":8301,"Status":4,"Tags":{"role":"node","build":"1.8.7","vsn":"2","dc":"dc1"}}]`

const (
	place1           = `{"Node":"n1","Segment":"","Coord":{"Vec":[0.0003,0,0,0,0,0,0,0],"Error":1.5,"Adjustment":0,"Height":0.0001}}`
	place2           = `{"Node":"n2","Segment":"","Coord":{"Vec":[0,0.0004,0,0,0,0,0,0],"Error":1.5,"Adjustment":0,"Height":0.00001}}`
	places           = "[" + place1 + "," + place2 + "]"
	datacenterPlaces = `[{"Datacenter":"dc1","AreaID":"wan","Coordinates":[` + place1 + `]},{"Datacenter":"dc2","AreaID":"wan","Coordinates":[` + place2 + `]}]`
)

func TestVerbs(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "web.hcl")
	require.NoError(t, os.WriteFile(file, []byte(`service { name = "web" id = "web1" }`), 0o644))
	for _, c := range []struct {
		args    string
		answers map[string]string
		code    int
		out     string // whole output, or error output if the code is not 0
		asked   string // last request
	}{
		{"members", map[string]string{"GET /v1/agent/members": twoMembers}, 0,
			"Node  Address        Status  Type    Build  Protocol  DC   Segment\ns1    10.0.0.1:8301  alive   server  1.8.7  2         dc1  <all>\nc1    10.0.0.2:8301  failed  client  1.8.7  2         dc1  <default>\n",
			"GET /v1/agent/members?segment=_all"},
		{"members -detailed -status=failed -segment x", map[string]string{"GET /v1/agent/members": twoMembers}, 0,
			"Node  Address        Status  Tags\nc1    10.0.0.2:8301  failed  build=1.8.7,dc=dc1,role=node,segment=<default>,vsn=2\n", "GET /v1/agent/members?segment=x"},
		{"members -status left", map[string]string{"GET /v1/agent/members": twoMembers}, 2, "", ""},
		{"join a b", map[string]string{"PUT /v1/agent/join/a": ""}, 0, "Successfully joined cluster by contacting 1 nodes.\n", ""},
		{"leave", map[string]string{"PUT /v1/agent/leave": ""}, 0, "Graceful leave complete\n", "PUT /v1/agent/leave"},
		{"force-leave -prune x", map[string]string{"PUT /v1/agent/force-leave/x": ""}, 0, "", "PUT /v1/agent/force-leave/x?prune=1"},
		{"info", map[string]string{"GET /v1/agent/self": `{"Stats":{"b":{"k":"v"},"a":{}}}`}, 0, "a:\nb:\n\tk = v\n", ""},
		{"kv get k", map[string]string{"GET /v1/kv/k": `[{"Key":"k","Value":"aGk="}]`}, 0, "hi\n", ""},
		{"kv get missing", nil, 1, "Error! No key exists at: missing\n", ""},
		{"kv get k", map[string]string{"GET /v1/kv/k": "500!No cluster leader"}, 1, "Error querying Consul agent: Unexpected response code: 500 (No cluster leader)\n", ""},
		{"kv get -recurse p", map[string]string{"GET /v1/kv/p": `[{"Key":"p/a","Value":"MQ=="},{"Key":"p/b","Value":null}]`}, 0, "p/a:1\np/b:\n", "GET /v1/kv/p?recurse="},
		{"kv get -keys p/", map[string]string{"GET /v1/kv/p/": `["p/a"]`}, 0, "p/a\n", "GET /v1/kv/p/?keys=&separator=%2F"},
		{"kv put -flags 4 k v", map[string]string{"PUT /v1/kv/k": "true"}, 0, "Success! Data written to: k\n", "PUT /v1/kv/k?flags=4 v"},
		{"kv put k -", map[string]string{"PUT /v1/kv/k": "true"}, 0, "Success! Data written to: k\n", "PUT /v1/kv/k from stdin"},
		{"kv put -cas -modify-index 3 k v", map[string]string{"PUT /v1/kv/k": "false"}, 1, "Error! Did not write to k: CAS failed\n", "PUT /v1/kv/k?cas=3 v"},
		{"kv delete -recurse p", map[string]string{"DELETE /v1/kv/p": "true"}, 0, "Success! Deleted keys with prefix: p\n", "DELETE /v1/kv/p?recurse="},
		{"catalog datacenters", map[string]string{"GET /v1/catalog/datacenters": `["dc1"]`}, 0, "dc1\n", ""},
		{"catalog nodes", map[string]string{"GET /v1/catalog/nodes": `[{"ID":"0123456789","Node":"n","Address":"10.0.0.1","Datacenter":"dc1"}]`}, 0, "Node  ID        Address   DC\nn     01234567  10.0.0.1  dc1\n", ""},
		{"catalog services -tags", map[string]string{"GET /v1/catalog/services": `{"web":["b","a"],"api":[]}`}, 0, "api\nweb  a,b\n", ""},
		{"services register " + file, map[string]string{"PUT /v1/agent/service/register": ""}, 0, "Registered service: web\n", ""},
		{"services deregister " + file, map[string]string{"PUT /v1/agent/service/deregister/web1": ""}, 0, "Deregistered service: web1\n", ""},
		{"operator raft list-peers", map[string]string{"GET /v1/operator/raft/configuration": `{"Servers":[{"ID":"i","Node":"n","Address":"a:1","Leader":true,"Voter":true,"ProtocolVersion":"3"}]}`}, 0,
			"Node  ID  Address  State   Voter  RaftProtocol\nn     i   a:1      leader  true   3\n", ""},
		{"operator raft remove-peer", nil, 1, "an address or id is required for the peer to remove\nSee 'node operator raft remove-peer -help'.\n", ""},
		{"operator autopilot set-config -max-trailing-logs 9", map[string]string{"GET /v1/operator/autopilot/configuration": `{"CleanupDeadServers":true,"LastContactThreshold":"200ms","ModifyIndex":5}`, "PUT /v1/operator/autopilot/configuration": "true"}, 0, "Configuration updated!\n", ""},
		{"catalog nodes -near a", map[string]string{"GET /v1/catalog/nodes": `[{"Node":"b"},{"Node":"a"}]`}, 0, "Node  ID  Address  DC\nb\na\n", "GET /v1/catalog/nodes?near=a"},
		{"rtt n1 N2", map[string]string{"GET /v1/coordinate/nodes": places}, 0, "Estimated n1 <-> N2 rtt: 0.610 ms (using LAN coordinates)\n", ""},
		{"rtt n2", map[string]string{"GET /v1/coordinate/nodes": places, "GET /v1/agent/self": `{"Config":{"NodeName":"n1"}}`}, 0,
			"Estimated n2 <-> n1 rtt: 0.610 ms (using LAN coordinates)\n", ""},
		{"rtt n1 n3", map[string]string{"GET /v1/coordinate/nodes": places}, 1, "Could not find a coordinate for node \"n3\"\n", ""},
		{"rtt", nil, 1, "One or two node names must be specified\nSee 'node rtt -help'.\n", ""},
		{"rtt n1 n2", map[string]string{"GET /v1/coordinate/nodes": "401!Coordinate support disabled"}, 1,
			"Error getting coordinates: Unexpected response code: 401 (Coordinate support disabled)\n", ""},
		{"rtt -wan n1.dc1 n2.dc2", map[string]string{"GET /v1/coordinate/datacenters": datacenterPlaces}, 0,
			"Estimated n1.dc1 <-> n2.dc2 rtt: 0.610 ms (using WAN coordinates)\n", ""},
		{"rtt -wan n1.dc1 n2", nil, 1, "Node names must be specified as <node name>.<datacenter> with -wan\nSee 'node rtt -help'.\n", ""},
		{"rtt -wan n1.dc2 n2.dc2", map[string]string{"GET /v1/coordinate/datacenters": datacenterPlaces}, 1, "Could not find a coordinate for node \"n1.dc2\"\n", ""},
		{"version", nil, 0, "Concord v1.2.3\n", ""},
	} {
		t.Run(c.args, func(t *testing.T) {
			t.Parallel()
			a := &agent{answers: c.answers}
			code, out, errs := run(t, a, "from stdin", strings.Fields(c.args)...)
			require.Equal(t, c.code, code, errs)
			if c.code != 0 {
				out = errs
			}
			require.Equal(t, c.out, out)
			if c.asked != "" {
				require.Equal(t, c.asked, a.asked[len(a.asked)-1])
			}
		})
	}
}

// What export prints, import writes again.
func TestExportImport(t *testing.T) {
	t.Parallel()
	_, out, _ := run(t, &agent{answers: map[string]string{"GET /v1/kv/p": `[{"Key":"p/a","Flags":7,"Value":"MQ=="},{"Key":"p/b","Value":null}]`}}, "", "kv", "export", "p")
	var exported []map[string]any
	require.NoError(t, json.Unmarshal([]byte(out), &exported))
	require.Equal(t, []map[string]any{{"key": "p/a", "flags": 7.0, "value": "MQ=="}, {"key": "p/b", "flags": 0.0, "value": ""}}, exported)
	a := &agent{answers: map[string]string{"PUT /v1/kv/p/a": "true", "PUT /v1/kv/p/b": "true"}}
	code, _, errs := run(t, a, out, "kv", "import", "-")
	require.Equal(t, 0, code, errs)
	require.Equal(t, []string{"PUT /v1/kv/p/a?flags=7 1", "PUT /v1/kv/p/b"}, a.asked)
}

func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	ui := cli.NewMockUi()
	c, err := Commands(ui, "1")["members"]()
	require.NoError(t, err)
	require.Equal(t, 1, c.Run([]string{"-http-addr", "127.0.0.1:1"}))
	require.Contains(t, ui.ErrorWriter.String(), "is it running?")
}

func TestKeyring(t *testing.T) {
	t.Parallel()
	const path = "/v1/operator/keyring"
	a := &agent{answers: map[string]string{"POST " + path: "", "PUT " + path: "", "DELETE " + path: "500!1 error occurred:\n\t* dc1 (LAN) error: no",
		"GET " + path: `[{"WAN":true,"Datacenter":"dc1","Keys":{"k1":1},"PrimaryKeys":{"k1":1},"NumNodes":1},
			{"Datacenter":"dc1","Keys":{"k2":2,"k1":3},"PrimaryKeys":{"k2":3},"NumNodes":3}]`}}
	for _, c := range []struct {
		args, out string
	}{
		{"-install k2 -relay-factor 2", "==> Installing new gossip encryption key...\n"},
		{"-use k2", "==> Changing primary gossip encryption key...\n"},
		{"-list", "==> Gathering installed encryption keys...\n\nWAN:\n  k1 [1/1]\n\ndc1 (LAN):\n  k1 [3/3]\n  k2 [2/3]\n"},
		{"-list-primary -local-only", "==> Gathering installed primary encryption keys...\n\nWAN:\n  k1 [1/1]\n\ndc1 (LAN):\n  k2 [3/3]\n"},
	} {
		code, out, errs := run(t, a, "", append([]string{"keyring"}, strings.Fields(c.args)...)...)
		require.Zero(t, code, errs)
		require.Equal(t, c.out, out)
	}
	code, _, errs := run(t, a, "", "keyring", "-remove", "k1")
	require.Equal(t, 1, code)
	require.Contains(t, errs, "dc1 (LAN) error: no")
	require.Equal(t, []string{`POST ` + path + `?relay-factor=2 {"Key":"k2"}`, `PUT ` + path + ` {"Key":"k2"}`, "GET " + path,
		"GET " + path + "?local-only=true", `DELETE ` + path + ` {"Key":"k1"}`}, a.asked)
	for args, want := range map[string]string{"": "must be given", "-list -use k": "Only a single action is allowed",
		"-list -relay-factor 6": "Relay factor must be in range: [0, 5]", "-use k -local-only": "local-only can only be set for list requests"} {
		code, _, errs := run(t, a, "", append([]string{"keyring"}, strings.Fields(args)...)...)
		require.Equal(t, 1, code)
		require.Contains(t, errs, want)
	}
}
