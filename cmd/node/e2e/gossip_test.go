package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"concord/internal/testcluster"
)

// handler is the script of Serf's introduction, which shows what it got, and also writes that down.
const handler = `#!/bin/sh
{
	echo
	echo "New event: ${SERF_EVENT}${SERF_USER_EVENT:+ ${SERF_USER_EVENT}}. Data follows..."
	while read line; do
		printf "${line}\n"
	done
} | tee -a "$HANDLED"
`

// TestIntroduction is the session of Serf's introduction, command for command, and what its users do after it.
func TestIntroduction(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	script := filepath.Join(t.TempDir(), "handler.sh")
	require.NoError(t, os.WriteFile(script, []byte(handler), 0o700))
	ports := testcluster.FreePorts(t)
	one := testcluster.NewGossipAgent(t, "agent-one", "127.0.46.1", ports, "-log-level=debug", "-event-handler="+script)
	two := testcluster.NewGossipAgent(t, "agent-two", "127.0.46.2", ports, "-tag", "role=db",
		"-event-handler=user:hello-there="+script, "-event-handler=query:load=echo 0.5 of $SERF_SELF_NAME")
	one.Start()
	line := func(p *testcluster.Agent, status, tags string) string {
		return strings.TrimSpace(fmt.Sprintf("%s  %s  %s  %s", p.Name, p.LANAddr(), status, tags))
	}
	one.AwaitGossip(line(one, "alive", "")+"\n", "members")
	two.Start()
	two.AwaitGossip(line(two, "alive", "role=db")+"\n", "members")

	require.Equal(t, "Successfully joined cluster by contacting 1 nodes.\n", one.Gossip("join", two.LANAddr()))
	both := line(one, "alive", "") + "  \n" + line(two, "alive", "role=db") + "\n"
	one.AwaitGossip(both, "members")
	two.AwaitGossip(both, "members")
	handles := func(p *testcluster.Agent, want string) {
		testcluster.Eventually(t, p.Name+"'s handler", func() string {
			if strings.Contains(p.Handled(), want) {
				return ""
			}
			return p.Handled() + "\nwithout " + want
		})
	}
	handles(one, "New event: member-join. Data follows...\nagent-one\t127.0.46.1\n")
	handles(one, "agent-two\t127.0.46.2\tdb\trole=db\n")

	require.Equal(t, "Event 'hello-there' dispatched! Coalescing enabled: true\n", one.Gossip("event", "hello-there", "from one"))
	handles(one, "New event: user hello-there. Data follows...\nfrom one\n")
	handles(two, "New event: user hello-there. Data follows...\nfrom one\n")
	require.NotContains(t, two.Handled(), "member-join", "it is a handler of one event only")

	out := one.Gossip("query", "-timeout=1s", "load")
	for _, want := range []string{"Query 'load' dispatched\n", "Ack from 'agent-one'\n", "Ack from 'agent-two'\n", "Response from 'agent-two': 0.5 of agent-two\n", "Total Acks: 2\n"} {
		require.Contains(t, out, want)
	}
	require.Equal(t, "Successfully updated agent tags\n", one.Gossip("tags", "-set", "role=web", "-set", "a=b"))
	two.AwaitGossip(line(one, "alive", "a=b,role=web")+"\n"+line(two, "alive", "role=db")+"\n", "members")
	require.Contains(t, one.Gossip("reachability"), "Successfully contacted all live nodes\n")
	require.Regexp(t, `^Estimated agent-one <-> agent-two rtt: \d+\.\d{3} ms\n$`, two.Gossip("rtt", "agent-one", "agent-two"))
	require.Contains(t, one.Log(), "[DEBUG] agent: Event 'user' script output: \nNew event: user hello-there. Data follows...")

	require.Equal(t, "Graceful leave complete\n", two.Gossip("leave"))
	<-two.Exited
	require.Zero(t, two.Cmd.ProcessState.ExitCode())
	one.AwaitGossip(line(one, "alive", "a=b,role=web")+"\n"+line(two, "left ", "role=db")+"\n", "members")
	handles(one, "New event: member-leave. Data follows...\nagent-two")
	require.Zero(t, one.Stop(syscall.SIGINT))
}

// TestGossipAgentKilled kills an agent with a snapshot: it is failed, comes back on its own, and is forced to leave in the end.
// Meanwhile the keys change.
func TestGossipAgentKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	const first, second = "5K9OtfP7efFrNKe5WCQvXvnaXJ5cWP0SvXiwe0kkjM4=", "HvY8ubRZMgafUOWvrOadwOckVa1wN3QWAo46FVKbVN8="
	ports, dir := testcluster.FreePorts(t), t.TempDir()
	keyring := func(name string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(`["`+first+`"]`), 0o600))
		return "-keyring-file=" + path
	}
	one := testcluster.NewGossipAgent(t, "agent-one", "127.0.47.1", ports, keyring("one"), "-event-handler=member-failed=cat >> $HANDLED")
	two := testcluster.NewGossipAgent(t, "agent-two", "127.0.47.2", ports, keyring("two"), "-snapshot="+filepath.Join(dir, "snapshot"), "-event-handler=user=cat >> $HANDLED")
	one.Start()
	one.AwaitGossip("agent-one  "+one.LANAddr()+"  alive\n", "members")
	two.Start()
	two.AwaitGossip("Successfully joined cluster by contacting 1 nodes.\n", "join", one.LANAddr())
	one.Gossip("event", "-coalesce=false", "told", "once")
	testcluster.Eventually(t, "the event", func() string { return strings.TrimPrefix("once\n", two.Handled()) })

	status := func(want string) {
		testcluster.Eventually(t, "agent-two "+want, func() string {
			if out := one.Gossip("members", "-name=agent-two", "-status="+want); strings.Contains(out, "agent-two") {
				return ""
			}
			return one.Gossip("members")
		})
	}
	two.Kill()
	status("failed")
	testcluster.Eventually(t, "the handler", func() string {
		if strings.HasPrefix(one.Handled(), "agent-two\t127.0.47.2") {
			return ""
		}
		return one.Handled()
	})
	two.Start()
	status("alive")
	require.Equal(t, "==> Installing key on all members...\n==> Successfully installed key!\n", one.Gossip("keys", "-install", second))
	require.Equal(t, "==> Changing primary key on all members...\n==> Successfully changed primary key!\n", one.Gossip("keys", "-use", second))
	require.Equal(t, "==> Removing key on all members...\n==> Successfully removed key!\n", one.Gossip("keys", "-remove", first))
	require.Equal(t, "==> Asking all members for installed keys...\n==> Keys gathered, listing cluster keys...\n\n"+second+"  [2/2]\n", two.Gossip("keys", "-list"))
	require.Equal(t, "once\n", two.Handled(), "nothing is told again")
	two.Kill()
	status("failed")
	two.Start()
	status("alive")
	require.Equal(t, 1, two.Stop(syscall.SIGTERM), "it does not leave")
	status("failed")
	require.Empty(t, one.Gossip("force-leave", "agent-two"))
	status("left")
}
