package coordinate

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"concord/internal/prng"

	"github.com/stretchr/testify/require"
)

// space is a synthetic network: the true round trips between members, who measure them with noise.
type space struct {
	rng     *prng.Rand
	clients []*Client
	rtt     func(i, j int) float64 // seconds
	liars   int                    // so many of the first members lie
	lie     func() Coordinate      // what they say
	slow    float64                // and how many seconds they delay their answers
}

func newSpace(n int, seed uint64, rtt func(i, j int) float64) *space {
	s := &space{rng: prng.New(seed), rtt: rtt}
	for i := range n {
		s.clients = append(s.clients, NewClient(s.rng.Fork(fmt.Sprint(i)), 64))
	}
	return s
}

func (s *space) float() float64 { return float64(s.rng.Uint64()>>11) / (1 << 53) }

// anywhere is a coordinate anywhere within the bounds, claimed to be certain.
func (s *space) anywhere() Coordinate {
	c := New()
	for i := range c.Vec {
		c.Vec[i] = bound * (2*s.float() - 1)
	}
	c.Error, c.Height = 0, s.float()*bound
	return c
}

// corner is the same far place each time.
func corner() Coordinate {
	c := New()
	for i := range c.Vec {
		c.Vec[i] = bound
	}
	c.Error = 0
	return c
}

// rounds lets each member probe a random other, so many times. Round trips are up to a fifth longer than the true one, and
// one in ten is held up by half a second.
func (s *space) rounds(t testing.TB, n int) {
	for range n {
		for i, c := range s.clients {
			j := s.rng.IntN(len(s.clients))
			if i == j {
				continue
			}
			seconds := s.rtt(i, j) * (1 + s.float()/5)
			if s.rng.Chance(1, 10) {
				seconds += 0.5
			}
			told := s.clients[j].Coordinate()
			if j < s.liars {
				told = s.lie()
				seconds += s.slow
			}
			require.NoError(t, c.Update(fmt.Sprint(j), told, time.Duration(seconds*1e9)))
		}
	}
}

// median returns the median relative error of the estimates between those who do not lie.
func (s *space) median() float64 {
	var errs []float64
	for i := s.liars; i < len(s.clients); i++ {
		for j := i + 1; j < len(s.clients); j++ {
			a, b := s.clients[i].Coordinate(), s.clients[j].Coordinate()
			truth := s.rtt(i, j) * 1.1 // the mean of the noise
			errs = append(errs, math.Abs(a.Distance(&b).Seconds()-truth)/truth)
		}
	}
	slices.Sort(errs)
	return errs[len(errs)/2]
}

// The topologies: one rack, datacenters far apart, places on a map with access links of their own.
func line(i, j int) float64 { return 0.001 * math.Abs(float64(i-j)) }

func flat(i, j int) float64 { return 0.0005 }

func datacenters(i, j int) float64 {
	if i%3 == j%3 {
		return 0.001
	}
	return 0.08
}

// minority: one in ten is far away from the others.
func minority(i, j int) float64 {
	if (i%10 == 9) == (j%10 == 9) {
		return 0.001
	}
	return 0.08
}

func places(n int, seed uint64) func(i, j int) float64 {
	rng := prng.New(seed)
	at := make([][3]float64, n)
	for i := range at {
		at[i] = [3]float64{float64(rng.IntN(100)) / 1000, float64(rng.IntN(100)) / 1000, float64(1+rng.IntN(5)) / 1000}
	}
	return func(i, j int) float64 {
		return math.Hypot(at[i][0]-at[j][0], at[i][1]-at[j][1]) + at[i][2] + at[j][2]
	}
}

// Estimates come close to the truth; and nearly as close if every fifth member lies within the bounds, be it at
// random, with one voice, or slowly.
func TestConvergence(t *testing.T) {
	t.Parallel()
	const n, honest = 40, 0.08
	for name, rtt := range map[string]func(i, j int) float64{
		"flat": flat, "line": line, "datacenters": datacenters, "minority": minority, "places": places(n, 7),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(3) {
				s := newSpace(n, seed, rtt)
				s.rounds(t, 600)
				t.Logf("median relative error %.3f", s.median())
				require.Less(t, s.median(), honest)
				for slow, misled := range map[float64]float64{0: 0.3, 0.4: 0.6} {
					for kind, lie := range map[string]func(*space) Coordinate{"anywhere": (*space).anywhere, "corner": func(*space) Coordinate { return corner() }} {
						s = newSpace(n, seed, rtt)
						s.liars, s.slow, s.lie = n/5, slow, func() Coordinate { return lie(s) }
						s.rounds(t, 600)
						t.Logf("median relative error with liars (%s, %v s slow) %.3f", kind, slow, s.median())
						require.Less(t, s.median(), misled)
					}
				}
			}
		})
	}
}

// A member that is somewhere else after a restart of its network gets there within a few rounds of probes.
func TestRelocation(t *testing.T) {
	t.Parallel()
	moved := false
	s := newSpace(20, 1, func(i, j int) float64 {
		if moved && (i == 0 || j == 0) && i != j {
			return 0.1
		}
		return 0.002
	})
	s.rounds(t, 300)
	moved = true
	s.rounds(t, 100)
	require.Less(t, s.median(), 0.15)
	moved = false
	s.rounds(t, 100)
	require.Less(t, s.median(), 0.15)
}
