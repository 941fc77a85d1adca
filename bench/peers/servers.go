package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"

	dnsapi "concord/api/dns"
	"concord/catalog"
	"concord/gossip"
	"concord/node"
	"concord/node/process"
	"concord/raft/autopilot"
	"concord/swim"
	"concord/wire"
)

var (
	errStopped = errors.New("the server is stopping")
	errLost    = errors.New("the proposal was overwritten by another leader's")
)

// serverCluster is whole Concord servers, with gossip, catalog and front doors.
type serverCluster struct {
	closers
	leader *process.Process
	keys   []string // of each proposer
}

func openServers(dir string, s shape) (cluster, error) {
	c := &serverCluster{keys: make([]string, maxProposers)}
	for i := range c.keys {
		c.keys[i] = fmt.Sprint("bench/", i)
	}
	if err := c.start(dir, s.nodes); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *serverCluster) start(dir string, nodes int) error {
	var all []*process.Process
	var join []string
	for i := range nodes {
		cfg, serf, err := serverConfig(filepath.Join(dir, fmt.Sprint(i)), i, nodes)
		if err != nil {
			return err
		}
		cfg.LAN.Retry = join
		p, err := process.Start(cfg)
		if err != nil {
			return err
		}
		c.add(p.Close)
		all = append(all, p)
		join = append(join, fmt.Sprintf("127.0.0.1:%d", serf))
	}
	ctx, cancel := context.WithTimeout(context.Background(), electionTimeout)
	defer cancel()
	return await("concord-server", func() bool {
		for _, p := range all {
			self, err := p.Self(ctx)
			if err != nil {
				continue
			}
			if stats := self["Stats"].(map[string]map[string]string); stats["raft"]["state"] == "Leader" {
				c.leader = p
			}
		}
		return c.leader != nil && c.propose(0) == nil
	})
}

// serverConfig is a server as the product's defaults make it, with the timing of Consul's raft_multiplier 1.
func serverConfig(dir string, i, nodes int) (process.Config, int, error) {
	var ports [4]int
	for k := range ports {
		var err error
		if ports[k], err = freePort(); err != nil {
			return process.Config{}, 0, err
		}
	}
	loopback := netip.MustParseAddr("127.0.0.1")
	cfg := process.Config{
		Node: node.Config{Name: fmt.Sprintf("s%d", i), Datacenter: "dc1", Server: true, Expect: nodes, Build: "bench",
			LAN: gossip.Config{Swim: swim.LAN()}, Raft: node.RaftTiming(1)},
		DataDir: dir, Bind: loopback, Advertise: loopback, ServerPort: ports[0], SerfPort: ports[1],
		HTTP: []string{fmt.Sprintf("127.0.0.1:%d", ports[2])}, DNS: []string{fmt.Sprintf("127.0.0.1:%d", ports[3])},
		DNSConfig: dnsapi.Config{Datacenter: "dc1", AllowStale: true},
		LAN:       process.Joining{RetryInterval: 100 * time.Millisecond}, Version: "bench", Log: hclog.NewNullLogger(),
	}
	cfg.Node.Autopilot.LastContactThreshold = int64(autopilot.DefaultConfig().LastContactThreshold)
	return cfg, ports[1], nil
}

func (c *serverCluster) propose(worker int) error {
	write := &catalog.KVWrite{Op: catalog.KVSet, Key: c.keys[worker], Value: command}
	resp := c.leader.Do(context.Background(), &wire.Request{Command: wire.AppendCommand(nil, write)})
	if resp.Code != wire.OK || !resp.Result.OK {
		return fmt.Errorf("%v %s", resp.Code, resp.Err)
	}
	return nil
}

// freePort finds a port of loopback that is free for TCP and UDP.
func freePort() (int, error) {
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		p, err := net.ListenPacket("udp", l.Addr().String())
		l.Close()
		if err == nil {
			p.Close()
			return l.Addr().(*net.TCPAddr).Port, nil
		}
	}
	return 0, errors.New("no port of 127.0.0.1 is free for both TCP and UDP")
}

func freeAddr() (string, error) {
	port, err := freePort()
	return fmt.Sprintf("127.0.0.1:%d", port), err
}
