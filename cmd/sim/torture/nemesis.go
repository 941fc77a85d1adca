package torture

import (
	"context"
	"fmt"
	"strings"
	"time"

	"concord/internal/prng"
	lin "concord/linearizability"
)

// nemesis makes faults, one after the other, each followed by a moment of calm.
type nemesis struct {
	servers []*server
	network *network
	watch   *watch
	tally   *tally
	rng     *prng.Rand
}

// fault is something that begins and that heal ends.
type fault struct {
	kind  string
	begin func(n *nemesis) (text string, err error)
}

// faultLane is the lane of the report that shows the nemesis.
const faultLane = "faults"

// faults that need no network of their own come first.
var faults = []fault{
	{"kill", func(n *nemesis) (string, error) { return n.kill(n.any()), nil }},
	{"kill-leader", func(n *nemesis) (string, error) { return n.kill(n.leader()), nil }},
	{"kill-majority", func(n *nemesis) (string, error) { return n.kill(n.majority()...), nil }},
	{"kill-all", func(n *nemesis) (string, error) { return n.kill(n.servers...), nil }},
	{"restart", func(n *nemesis) (string, error) { return n.restart(n.any()) }},
	{"rolling-restart", func(n *nemesis) (string, error) { return n.restart(n.servers...) }},
	{"pause", func(n *nemesis) (string, error) { return n.pause(n.any()), nil }},
	{"pause-leader", func(n *nemesis) (string, error) { return n.pause(n.leader()), nil }},
	{"pause-majority", func(n *nemesis) (string, error) { return n.pause(n.majority()...), nil }},
}

var partitions = []fault{
	{"partition", func(n *nemesis) (string, error) { return n.split(n.any()) }},
	{"partition-leader", func(n *nemesis) (string, error) { return n.split(n.leader()) }},
	{"partition-halves", func(n *nemesis) (string, error) { return n.split(n.majority()...) }},
	{"flapping-leader", (*nemesis).flap},
}

// run makes faults until the context ends, and heals the last.
func (n *nemesis) run(ctx context.Context) error {
	possible := faults
	if n.network.isolated() {
		possible = append(append([]fault{}, faults...), partitions...)
	}
	for sleep(ctx, n.rng.Duration(500*time.Millisecond, 3*time.Second)) {
		f := possible[n.rng.IntN(len(possible))]
		n.tally.fault(f.kind)
		n.watch.begin(faultLane, lin.Span{Lane: faultLane, Kind: f.kind, Text: f.kind})
		text, err := f.begin(n)
		if err != nil {
			return fmt.Errorf("fault %s: %w", f.kind, err)
		}
		n.watch.describe(faultLane, text)
		sleep(ctx, n.rng.Duration(500*time.Millisecond, 5*time.Second))
		if err := n.heal(); err != nil {
			return err
		}
	}
	return nil
}

// heal ends every fault.
func (n *nemesis) heal() error {
	for _, s := range n.servers {
		switch s.state {
		case down:
			if err := s.start(); err != nil {
				return err
			}
		case paused:
			s.resume()
		}
		n.watch.end(pauses(s))
	}
	n.watch.end(faultLane)
	n.tally.fault("")
	return n.network.heal()
}

func (n *nemesis) any() *server { return n.servers[n.rng.IntN(len(n.servers))] }

// leader is the server that leads, any if none is known to.
func (n *nemesis) leader() *server {
	name := n.watch.leading()
	for _, s := range n.servers {
		if s.name == name {
			return s
		}
	}
	return n.any()
}

// majority draws so many servers that the others are no quorum.
func (n *nemesis) majority() []*server {
	all := append([]*server{}, n.servers...)
	n.rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:len(all)/2+1]
}

func (n *nemesis) kill(victims ...*server) string {
	for _, s := range victims {
		s.kill()
	}
	return "kill -9 of " + names(victims)
}

// restart ends servers, one after the other, and starts each again at once.
func (n *nemesis) restart(victims ...*server) (string, error) {
	for _, s := range victims {
		if n.rng.Chance(1, 2) {
			s.kill()
		} else {
			s.terminate()
		}
		if err := s.start(); err != nil {
			return "", err
		}
	}
	return "restart of " + names(victims), nil
}

func pauses(s *server) string { return s.name + " paused" }

func (n *nemesis) pause(victims ...*server) string {
	for _, s := range victims {
		s.pause()
		n.watch.begin(pauses(s), lin.Span{Lane: s.name, Kind: "paused", Text: "paused"})
	}
	return "SIGSTOP of " + names(victims)
}

func (n *nemesis) split(victims ...*server) (string, error) {
	side := make([]bool, len(n.servers))
	for i, s := range n.servers {
		for _, v := range victims {
			side[i] = side[i] || s == v
		}
	}
	return names(victims) + " cut off from the other servers", n.network.split(side)
}

// flap cuts the leader off and lets it back, time and again, and leaves it cut off.
func (n *nemesis) flap() (string, error) {
	victim := n.leader()
	for range 3 {
		if _, err := n.split(victim); err != nil {
			return "", err
		}
		time.Sleep(n.rng.Duration(100*time.Millisecond, 600*time.Millisecond))
		if err := n.network.heal(); err != nil {
			return "", err
		}
		time.Sleep(n.rng.Duration(100*time.Millisecond, 400*time.Millisecond))
	}
	text, err := n.split(victim)
	return text + ", time and again", err
}

func names(servers []*server) string {
	var out []string
	for _, s := range servers {
		out = append(out, s.name)
	}
	return strings.Join(out, ", ")
}

// sleep tells whether the time passed before the context ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
