// Package bench measures Concord: go test -bench . ./bench
//
// Servers run in this process, with real sockets and, but for the gossip figures, real disks.
package bench

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	dnsapi "concord/api/dns"
	"concord/gossip"
	"concord/node"
	"concord/node/process"
	"concord/raft/autopilot"
	"concord/swim"
)

// freePort finds a port that is free for TCP and UDP.
func freePort(tb testing.TB) int {
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(tb, err)
		p, err := net.ListenPacket("udp", l.Addr().String())
		l.Close()
		if err == nil {
			p.Close()
			return l.Addr().(*net.TCPAddr).Port
		}
	}
	tb.Fatal("no free port")
	return 0
}

// servers starts n servers that form a cluster, and returns them with the leader first.
func servers(tb testing.TB, n int) []*process.Process {
	tb.Helper()
	loopback := netip.MustParseAddr("127.0.0.1")
	var all []*process.Process
	var join []string
	for i := range n {
		serf := freePort(tb)
		cfg := process.Config{
			Node:    node.Config{Name: fmt.Sprintf("s%d", i), Datacenter: "dc1", Server: true, Expect: n, Build: "bench", LAN: gossip.Config{Swim: swim.LAN()}, Raft: node.RaftTiming(1)},
			DataDir: tb.TempDir(), Bind: loopback, BindLAN: loopback, Advertise: loopback, ServerPort: freePort(tb), SerfPort: serf,
			HTTP: []string{fmt.Sprintf("127.0.0.1:%d", freePort(tb))}, DNS: []string{fmt.Sprintf("127.0.0.1:%d", freePort(tb))},
			DNSConfig: dnsapi.Config{Datacenter: "dc1", AllowStale: true},
			LAN:       process.Joining{Retry: join, RetryInterval: 100 * time.Millisecond}, Version: "bench", Log: hclog.NewNullLogger(),
		}
		cfg.Node.Autopilot.LastContactThreshold = int64(autopilot.DefaultConfig().LastContactThreshold)
		p, err := process.Start(cfg)
		require.NoError(tb, err)
		tb.Cleanup(func() { p.Close() })
		all = append(all, p)
		join = append(join, fmt.Sprintf("127.0.0.1:%d", serf))
	}
	leader := waitForLeader(tb, all)
	all[0], all[leader] = all[leader], all[0]
	return all
}

// waitForLeader returns the number of the server that all of them take for the leader.
func waitForLeader(tb testing.TB, all []*process.Process) int {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		agreed := map[string]int{}
		leader := -1
		for i, p := range all {
			addr, err := p.Leader(ctx)
			require.NoError(tb, err)
			agreed[addr]++
			self, err := p.Self(ctx)
			require.NoError(tb, err)
			if stats := self["Stats"].(map[string]map[string]string); stats["raft"]["state"] == "Leader" {
				leader = i
			}
		}
		if len(agreed) == 1 && agreed[""] == 0 && leader >= 0 {
			return leader
		}
		select {
		case <-ctx.Done():
			tb.Fatal("no leader")
		case <-time.After(5 * time.Millisecond):
		}
	}
}
