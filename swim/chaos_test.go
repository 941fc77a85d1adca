package swim

import (
	"fmt"
	"testing"
	"time"

	"concord/internal/prng"

	"github.com/stretchr/testify/require"
)

// Whatever happened before, once the network is well and the nodes are up, all see all alive, with the
// address and the tags each has; those that stay down are failed, or left if they left. Safety first:
// the invariants are checked all along.
func TestChaos(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			c := &chaos{rng: prng.New(seed), w: newNetwork(t, seed)}
			c.w.cluster(3+c.rng.IntN(12), c.config())
			for range 40 {
				c.step()
				c.w.run(c.rng.Duration(0, 20*time.Second))
			}
			c.heal()
		})
	}
}

type chaos struct {
	rng  *prng.Rand
	w    *network
	side map[*peer]bool
}

// config has short memories now and then, and small messages.
func (c *chaos) config() (cfg Config) {
	if c.rng.Chance(1, 2) {
		cfg.ReconnectTimeout, cfg.TombstoneTimeout = 2*time.Minute, time.Minute
	}
	if c.rng.Chance(1, 3) {
		cfg.MaxState = 3000
	}
	c.w.refuses = c.rng.Chance(1, 2)
	return cfg
}

func (c *chaos) any() *peer { return c.w.peers[c.rng.IntN(len(c.w.peers))] }

func (c *chaos) step() {
	w, p := c.w, c.any()
	switch c.rng.IntN(9) {
	case 0:
		if p.up {
			w.crash(p)
		}
	case 1, 2:
		c.restart(p)
	case 3:
		c.side = make(map[*peer]bool)
		oneWay := c.rng.Chance(1, 3)
		for _, q := range w.peers {
			c.side[q] = c.rng.Chance(1, 3)
		}
		w.cut = func(a, b *peer) bool { return c.side[a] != c.side[b] && (!oneWay || c.side[a]) }
	case 4:
		w.cut = nil
	case 5:
		w.loss = c.rng.Uint64N(40)
	case 6:
		if p.up {
			require.NoError(w.t, p.SetTags(w.now, map[string]string{"at": w.now.String()}))
			w.drain(p)
		}
	case 7:
		if p.up {
			w.do(p, p.Leave)
			w.run(c.rng.Duration(0, 6*time.Second))
			w.crash(p)
		}
	case 8:
		if q := c.any(); p.up && q != p {
			if p.ForceLeave(w.now, q.name, c.rng.Chance(1, 2)) == nil {
				w.drain(p)
			}
		}
	}
}

func (c *chaos) restart(p *peer) {
	if p.up {
		return
	}
	if c.rng.Chance(1, 3) {
		p.addr = address(1000 + c.rng.IntN(60000))
	}
	if c.rng.Chance(1, 4) {
		p.kept = 0
	}
	c.w.start(p)
	c.w.join(p, c.any(), c.any())
}

func (c *chaos) heal() {
	w := c.w
	w.cut, w.loss = nil, 0
	for _, p := range w.peers {
		c.restart(p)
	}
	for i, p := range w.peers { // as retry-join would
		w.join(p, w.peers[(i+1)%len(w.peers)], w.peers[0])
	}
	took := w.until(5*time.Minute, "all see all alive", w.agree(0))
	w.run(2 * time.Minute)
	require.True(w.t, w.agree(0)(), "no relapse")
	for _, p := range w.peers {
		p.checkMembers()
		require.Equal(w.t, w.peers[0].digest, p.digest)
		for _, q := range w.peers {
			m, _ := p.Member(q.name)
			require.Equal(w.t, q.Local().Update.Tags, m.Tags)
			require.Equal(w.t, q.Local().Incarnation, m.Incarnation)
		}
	}
	w.t.Logf("converged after %v", took)
}
