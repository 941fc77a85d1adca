package command

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/cli"
	"github.com/stretchr/testify/require"

	gossipagent "concord/gossip/agent"
	"concord/gossip/agent/logs"
)

// gossipAgent runs a gossip-only agent and returns where it is.
func gossipAgent(t *testing.T, args ...string) (rpc, addr string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "rpc") // that of the test may be too long a name for a socket
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	cfg, _, err := gossipagent.Load(append([]string{"-bind=127.0.0.1:0", "-profile=local", "-rpc-addr=unix://" + filepath.Join(dir, "s")}, args...))
	require.NoError(t, err)
	a, err := gossipagent.Start(cfg, logs.New(t.Output(), cfg.NodeName+" ", logs.Info))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, a.Close()) })
	return cfg.RPCAddr, a.Addr().String()
}

// gossip runs a verb and returns all that it prints.
func gossip(t *testing.T, rpc string, args ...string) (code int, out string) {
	t.Helper()
	ui := cli.NewMockUi()
	c, err := Commands(ui, "1.2.3")["gossip "+args[0]]()
	require.NoError(t, err)
	if rpc != "" {
		args = append([]string{args[0], "-rpc-addr=" + rpc}, args[1:]...)
	}
	code = c.Run(args[1:])
	return code, ui.OutputWriter.String() + ui.ErrorWriter.String()
}

// The output is what Serf 0.8.2 prints for the same.
func TestGossipVerbs(t *testing.T) {
	t.Parallel()
	one, addr := gossipAgent(t, "-node=agent-one", "-tag=role=web", "-tag=dc=east", "-event-handler=query:load=echo 0.5")
	two, other := gossipAgent(t, "-node=agent-two")
	port := func(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }
	for _, step := range []struct {
		at, command string
		code        int
		want        string
	}{
		{one, "members", 0, "agent-one  ADDR  alive  dc=east,role=web\n"},
		{one, "join OTHER", 0, "Successfully joined cluster by contacting 1 nodes.\n"},
		{two, "members", 0, "agent-one  ADDR  alive  dc=east,role=web\nagent-two  OTHER  alive\n"},
		{two, "members -detailed", 0, "agent-one  ADDR  alive  dc=east,role=web  Protocol Version: 5  Available Protocol Range: [2, 5]\n" +
			"agent-two  OTHER  alive                    Protocol Version: 5  Available Protocol Range: [2, 5]\n"},
		{two, "members -format=json -name=.*two", 0, `{
  "members": [
    {
      "name": "agent-two",
      "addr": "OTHER",
      "port": PORT,
      "tags": {},
      "status": "alive",
      "protocol": {
        "max": 5,
        "min": 2,
        "version": 5
      }
    }
  ]
}
`},
		{one, "members -role web", 0, "Deprecation warning: 'Role' has been replaced with 'Tags'\nagent-one  ADDR  alive  dc=east,role=web\n"},
		{one, "members -status=failed", 0, "\n"},
		{one, "members -format=xml", 1, "Encoding error: Invalid output format \"xml\"\n"},
		{one, "members -tag x", 1, "Error: Invalid tag: 'x'\n"},
		{one, "event deploy v7", 0, "Event 'deploy' dispatched! Coalescing enabled: true\n"},
		{one, "event -coalesce=false deploy", 0, "Event 'deploy' dispatched! Coalescing enabled: false\n"},
		{one, "event a b c", 1, "Too many command line arguments. Only a name and payload must be specified.\nSee 'node gossip event -help'.\n"},
		{two, "query -timeout=500ms -node=agent-one load", 0, "Query 'load' dispatched\nAck from 'agent-one'\nResponse from 'agent-one': 0.5\nTotal Acks: 1\nTotal Responses: 1\n"},
		{two, "query -timeout=500ms -no-ack -tag=role=db load", 0, "Query 'load' dispatched\nTotal Responses: 0\n"},
		{two, "query -timeout=500ms -tag=role=web -format=json load", 0, "{\n  \"Acks\": [\n    \"agent-one\"\n  ],\n  \"Responses\": {\n    \"agent-one\": \"0.5\\n\"\n  }\n}\n"},
		{two, "query -format=xml load", 1, "Invalid format: xml\n"},
		{two, "query -relay-factor=300 load", 1, "Relay factor must be between 0 and 255\n"},
		{two, "query _serf_x", 1, "Error sending query: Queries cannot contain the '_serf_' prefix\n"},
		{one, "tags -set role=db -delete dc", 0, "Successfully updated agent tags\n"},
		{one, "tags -set x", 1, "Error: Invalid tag: 'x'\n"},
		{one, "members -name=agent-one", 0, "agent-one  ADDR  alive  role=db\n"},
		{one, "rtt nobody", 1, "Could not find a coordinate for node \"nobody\"\n"},
		{one, "keys -list -install=x", 1, "Only one of -install, -use, -remove, or -list allowed\n"},
		{one, "keys -list", 1, "==> Asking all members for installed keys...\n\nFailed to gather member keys: Keyring is empty (encryption not enabled)\n"},
		{one, "force-leave nobody", 0, ""},
		{one, "force-leave", 1, "A node name must be specified to force leave.\nSee 'node gossip force-leave -help'.\n"},
		{one, "reachability", 0, "Total members: 2, live members: 2\nStarting reachability test...\nSuccessfully contacted all live nodes\n"},
		{one, "monitor -log-level=foo", 1, "Error starting monitor: Unknown log level: FOO\n"},
		{two, "leave", 0, "Graceful leave complete\n"},
		{"unix:///nowhere", "leave", 1, "Error connecting to Serf agent: dial unix /nowhere: connect: no such file or directory\n"},
	} {
		fill := strings.NewReplacer("ADDR", addr, "OTHER", other, "PORT", port(other))
		code, out := gossip(t, step.at, strings.Fields(fill.Replace(step.command))...)
		sorted := strings.NewReplacer("Ack from 'agent-one'\nResponse from 'agent-one': 0.5\n", "A", "Response from 'agent-one': 0.5\nAck from 'agent-one'\n", "A")
		require.Equal(t, sorted.Replace(fill.Replace(step.want)), sorted.Replace(out), step.command)
		require.Equal(t, step.code, code, step.command)
	}
	code, out := gossip(t, one, "info")
	require.Zero(t, code)
	require.Regexp(t, regexp.MustCompile("(?s)^agent:\n\tname = agent-one\nevent_handlers:\n\tquery:load = echo 0.5\nruntime:\n.*\tos = .*\nserf:\n.*\tencrypted = false\n.*tags:\n\trole = db\n$"), out)
	_, key := gossip(t, "", "keygen")
	require.Len(t, key, 45)
}

// What a reachability test says depends on who answers.
func TestReachability(t *testing.T) {
	t.Parallel()
	for acks, want := range map[string]string{
		"a b":   "Successfully contacted all live nodes",
		"a":     "Received less acks than live nodes! Missing acks from:\n\tb\n",
		"a b c": "Received more acks than live nodes! Acks from non-live nodes:\n\tc\n",
		"a a b": "some of them twice",
	} {
		ui := cli.NewMockUi()
		heard := map[string]int{}
		for _, name := range strings.Fields(acks) {
			heard[name]++
		}
		err := (&call{ui: ui}).judge(map[string]bool{"a": true, "b": true}, heard)
		require.Contains(t, ui.OutputWriter.String(), want, acks)
		require.Equal(t, acks == "a b", err == nil, fmt.Sprint(acks, err))
	}
}
