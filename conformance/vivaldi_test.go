package conformance

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	serf "github.com/hashicorp/serf/coordinate"
	"github.com/stretchr/testify/require"

	"concord/internal/prng"
	"concord/swim/coordinate"
)

// measured is a pool whose members keep coordinates; both implementations get the same samples.
type measured struct {
	rng   *prng.Rand
	rtt   func(i, j int) float64 // in seconds
	ours  []*coordinate.Client
	serfs []*serf.Client
	liars int
}

func newMeasured(t *testing.T, n, liars int, rtt func(i, j int) float64) *measured {
	m := &measured{rng: prng.New(1), rtt: rtt, liars: liars}
	for i := range n {
		s, err := serf.NewClient(serf.DefaultConfig())
		require.NoError(t, err)
		m.serfs = append(m.serfs, s)
		m.ours = append(m.ours, coordinate.NewClient(m.rng.Fork(fmt.Sprint(i)), n))
	}
	return m
}

func (m *measured) float() float64 { return float64(m.rng.Uint64()>>11) / (1 << 53) }

// toSerf is a coordinate as Serf has it, by way of the JSON that both show.
func toSerf(c coordinate.Coordinate) *serf.Coordinate {
	return &serf.Coordinate{Vec: c.Vec[:], Error: c.Error, Adjustment: c.Adjustment, Height: c.Height}
}

// rounds lets each member probe another so many times. Round trips are up to a fifth longer than the true one, and some are held up.
func (m *measured) rounds(t *testing.T, n int) {
	for range n {
		for i := range m.ours {
			j := m.rng.IntN(len(m.ours))
			if i == j {
				continue
			}
			seconds := m.rtt(i, j) * (1 + m.float()/5)
			if m.rng.Chance(1, 20) {
				seconds += 0.2
			}
			rtt := time.Duration(seconds * 1e9)
			told, serfTold := m.ours[j].Coordinate(), m.serfs[j].GetCoordinate()
			if j < m.liars {
				told = coordinate.New()
				for d := range told.Vec {
					told.Vec[d] = 20*m.float() - 10
				}
				told.Error = 0
				serfTold = toSerf(told)
			}
			require.NoError(t, m.ours[i].Update(fmt.Sprint(j), told, rtt))
			_, err := m.serfs[i].Update(fmt.Sprint(j), serfTold, rtt)
			require.NoError(t, err)
		}
	}
}

// medians are the median relative errors between those who do not lie.
func (m *measured) medians() (ours, serfs float64) {
	var a, b []float64
	for i := m.liars; i < len(m.ours); i++ {
		for j := i + 1; j < len(m.ours); j++ {
			truth := m.rtt(i, j) * 1.1
			x, y := m.ours[i].Coordinate(), m.ours[j].Coordinate()
			a = append(a, math.Abs(x.Distance(&y).Seconds()-truth)/truth)
			b = append(b, math.Abs(m.serfs[i].DistanceTo(m.serfs[j].GetCoordinate()).Seconds()-truth)/truth)
		}
	}
	slices.Sort(a)
	slices.Sort(b)
	return a[len(a)/2], b[len(b)/2]
}

// TestVivaldiBesideSerf: estimates from the same samples are at least as good as those of Serf's package, and stay so when a fifth
// of the members lie.
func TestVivaldiBesideSerf(t *testing.T) {
	for _, network := range []struct {
		name string
		rtt  func(i, j int) float64
	}{
		{"one rack", func(i, j int) float64 { return 0.0005 }},
		{"a line", func(i, j int) float64 { return 0.002 * math.Abs(float64(i-j)) }},
		{"three datacenters", func(i, j int) float64 {
			if i%3 == j%3 {
				return 0.001
			}
			return 0.08
		}},
	} {
		for _, liars := range []int{0, 8} {
			m := newMeasured(t, 40, liars, network.rtt)
			m.rounds(t, 600)
			ours, serfs := m.medians()
			t.Logf("%s, %d of 40 lie: median relative error %.3f, Serf's %.3f", network.name, liars, ours, serfs)
			require.Less(t, ours, serfs)
		}
	}
}

// What either shows, the other takes, and both estimate the same.
func TestCoordinateDistanceIsSerfs(t *testing.T) {
	m := newMeasured(t, 10, 0, func(i, j int) float64 { return 0.01 * float64(1+(i+j)%4) })
	m.rounds(t, 50)
	for i, a := range m.ours {
		x, y := a.Coordinate(), m.ours[(i+1)%len(m.ours)].Coordinate()
		require.True(t, toSerf(x).IsValid())
		require.InDelta(t, float64(toSerf(x).DistanceTo(toSerf(y))), float64(x.Distance(&y)), 2)
	}
}
