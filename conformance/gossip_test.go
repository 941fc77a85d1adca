package conformance

import (
	"fmt"
	"testing"
	"time"

	serf "github.com/hashicorp/serf/client"
	"github.com/stretchr/testify/require"

	"concord/internal/testcluster"
)

// patience is how long something may take that takes a second or two.
const patience = 30 * time.Second

func next[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatal("nothing comes")
	}
	panic("not reached")
}

// serfClient connects Serf's own client to a gossip-only agent once it runs.
func serfClient(t *testing.T, a *testcluster.Agent, token string) *serf.RPCClient {
	t.Helper()
	var c *serf.RPCClient
	testcluster.Eventually(t, "connecting to "+a.Name, func() string {
		var err error
		if c, err = serf.ClientFromConfig(&serf.Config{Addr: a.RPCAddr(), AuthKey: token}); err != nil {
			return err.Error()
		}
		return ""
	})
	t.Cleanup(func() { c.Close() })
	return c
}

// TestSerfClient uses gossip-only agents through Serf's Go client.
func TestSerfClient(t *testing.T) {
	ports := testcluster.FreePorts(t)
	a := testcluster.NewGossipAgent(t, "a", "127.0.48.1", ports, "-tag", "role=web", "-rpc-auth=secret", "-encrypt=5K9OtfP7efFrNKe5WCQvXvnaXJ5cWP0SvXiwe0kkjM4=")
	b := testcluster.NewGossipAgent(t, "b", "127.0.48.2", ports, "-encrypt=5K9OtfP7efFrNKe5WCQvXvnaXJ5cWP0SvXiwe0kkjM4=")
	a.Start()
	b.Start()
	one, two := serfClient(t, a, "secret"), serfClient(t, b, "")
	_, err := serf.ClientFromConfig(&serf.Config{Addr: a.RPCAddr(), AuthKey: "wrong"})
	require.ErrorContains(t, err, "Invalid authentication token")

	events := make(chan map[string]interface{}, 64)
	stream, err := two.Stream("member-join,member-update,user:deploy,query:load", events)
	require.NoError(t, err)
	n, err := two.Join([]string{a.LANAddr()}, false)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	_, err = two.Join([]string{"127.0.48.9:1"}, false)
	require.ErrorContains(t, err, "1 error occurred")
	require.Equal(t, "member-join", next(t, events)["Event"])

	serfMembers(t, a, one)
	serfEvents(t, one, two, events)
	serfQueries(t, one, two, events)
	serfKeys(t, one)

	require.NoError(t, two.Stop(stream))
	require.NoError(t, two.Leave())
	<-b.Exited
	testcluster.Eventually(t, "b left", func() string {
		left, err := one.MembersFiltered(nil, "left", "b")
		require.NoError(t, err)
		if len(left) == 1 {
			return ""
		}
		return "it has not"
	})
	require.NoError(t, one.ForceLeavePrune("b"))
	all, err := one.Members()
	require.NoError(t, err)
	require.Len(t, all, 1)
}

func serfMembers(t *testing.T, a *testcluster.Agent, one *serf.RPCClient) {
	all, err := one.Members()
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, serf.Member{Name: "a", Addr: all[0].Addr, Port: uint16(a.LAN), Tags: map[string]string{"role": "web"}, Status: "alive",
		ProtocolMin: 1, ProtocolMax: 5, ProtocolCur: 2, DelegateMin: 2, DelegateMax: 5, DelegateCur: 5}, all[0])
	require.Equal(t, "127.0.48.1", all[0].Addr.String())
	some, err := one.MembersFiltered(map[string]string{"role": "w.*"}, "alive", "")
	require.NoError(t, err)
	require.Len(t, some, 1)
	stats, err := one.Stats()
	require.NoError(t, err)
	require.Equal(t, "2", stats["serf"]["members"])
	require.Equal(t, "true", stats["serf"]["encrypted"])
	testcluster.Eventually(t, "a coordinate", func() string {
		c, err := one.GetCoordinate("b")
		require.NoError(t, err)
		if c == nil || len(c.Vec) != 8 {
			return fmt.Sprint(c)
		}
		return ""
	})
	c, err := one.GetCoordinate("nobody")
	require.NoError(t, err)
	require.Nil(t, c)
}

func serfEvents(t *testing.T, one, two *serf.RPCClient, events <-chan map[string]interface{}) {
	require.NoError(t, one.UpdateTags(map[string]string{"role": "db"}, nil))
	for next(t, events)["Event"] != "member-update" { // the join may have been told in two parts
	}
	require.NoError(t, one.UserEvent("other", nil, false))
	require.NoError(t, one.UserEvent("deploy", []byte("v7"), true))
	e := next(t, events)
	require.Equal(t, "user", e["Event"])
	require.Equal(t, "deploy", e["Name"])
	require.Equal(t, "v7", fmt.Sprintf("%s", e["Payload"]))
	require.Equal(t, true, e["Coalesce"])
	require.ErrorContains(t, one.UserEvent("big", make([]byte, 1000), false), "exceeds configured limit")

	lines := make(chan string, 1024)
	monitor, err := two.Monitor("DEBUG", lines)
	require.NoError(t, err)
	require.Contains(t, next(t, lines), "[INFO] agent: Concord gossip agent starting")
	require.NoError(t, two.Stop(monitor))
}

func serfQueries(t *testing.T, one, two *serf.RPCClient, events <-chan map[string]interface{}) {
	acks, answers := make(chan string, 8), make(chan serf.NodeResponse, 8)
	require.NoError(t, one.Query(&serf.QueryParam{Name: "load", Payload: []byte("1m"), RequestAck: true, Timeout: 5 * time.Second, AckCh: acks, RespCh: answers}))
	q := next(t, events)
	require.Equal(t, "query", q["Event"])
	id, err := number(q["ID"])
	require.NoError(t, err)
	require.NoError(t, two.Respond(id, []byte("0.5")))
	require.ErrorContains(t, two.Respond(id+100, nil), "No pending queries matching ID")
	answer := next(t, answers)
	require.Equal(t, serf.NodeResponse{From: "b", Payload: []byte("0.5")}, answer)
	require.ElementsMatch(t, []string{"a", "b"}, []string{next(t, acks), next(t, acks)})
}

func number(v interface{}) (n uint64, err error) {
	_, err = fmt.Sscan(fmt.Sprint(v), &n)
	return n, err
}

func serfKeys(t *testing.T, one *serf.RPCClient) {
	const first, second = "5K9OtfP7efFrNKe5WCQvXvnaXJ5cWP0SvXiwe0kkjM4=", "HvY8ubRZMgafUOWvrOadwOckVa1wN3QWAo46FVKbVN8="
	_, err := one.InstallKey(second)
	require.NoError(t, err)
	keys, nodes, _, err := one.ListKeys()
	require.NoError(t, err)
	require.Equal(t, 2, nodes)
	require.Equal(t, map[string]int{first: 2, second: 2}, keys)
	_, err = one.UseKey(second)
	require.NoError(t, err)
	messages, err := one.RemoveKey(second)
	require.Error(t, err)
	require.Len(t, messages, 2)
	_, err = one.RemoveKey(first)
	require.NoError(t, err)
}
