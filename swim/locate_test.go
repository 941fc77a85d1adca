package swim

import (
	"math"
	"slices"
	"testing"
	"time"

	"concord/internal/tick"
	"concord/swim/coordinate"

	"github.com/stretchr/testify/require"
)

// probing is a node that has just pinged the other member of its pool.
func probing(t *testing.T) (n *Node, ping Packet, now time.Duration) {
	cfg := LAN()
	n = solo(t, cfg)
	n.HandlePacket(0, Packet{Addr: address(1), Message: Message{Type: MsgGossip}, Updates: []*Update{
		{State: StateAlive, Name: nodeName(1), ID: "id", Addr: address(1), Incarnation: 1}}})
	for n.NextDeadline() != tick.Never {
		now = n.NextDeadline()
		n.Tick(now)
		for _, p := range n.Output().Packets {
			if p.Message.Type == MsgPing {
				return n, p, now
			}
		}
	}
	t.Fatal("no ping")
	return nil, Packet{}, 0
}

func TestOnlyDirectAnswersLocate(t *testing.T) {
	t.Parallel()
	there := coordinate.New()
	there.Vec[3] = 0.02
	good := there.Pack()
	far := coordinate.Coordinate{Height: 11}
	for name, c := range map[string]struct {
		ack              func(m *Message)
		stream           bool
		samples, refused uint64
	}{
		"direct":                 {func(m *Message) {}, false, 1, 0},
		"over a stream":          {func(m *Message) {}, true, 0, 0},
		"passed on by a helper":  {func(m *Message) { m.From = nodeName(2) }, false, 0, 0},
		"without a coordinate":   {func(m *Message) { m.Coordinate = nil }, false, 0, 0},
		"of other dimensions":    {func(m *Message) { m.Coordinate = good[:len(good)-2] }, false, 0, 1},
		"with something behind":  {func(m *Message) { m.Coordinate = append(slices.Clip(good), 0) }, false, 0, 1},
		"to nobody's ping":       {func(m *Message) { m.Seq++ }, false, 0, 0},
		"from beyond the bounds": {func(m *Message) { m.Coordinate = far.Pack() }, false, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, ping, now := probing(t)
			before, on := n.Coordinate()
			require.True(t, on)
			ack := Packet{Addr: address(1), Message: Message{Type: MsgAck, Seq: ping.Message.Seq, From: nodeName(1), Coordinate: good}}
			c.ack(&ack.Message)
			if c.stream {
				n.HandleStream(now+30*time.Millisecond, ack)
			} else {
				n.HandlePacket(now+30*time.Millisecond, ack)
			}
			require.Equal(t, c.samples, n.Stats().Samples)
			require.Equal(t, c.refused, n.Stats().SamplesRefused)
			after, _ := n.Coordinate()
			require.Equal(t, c.samples == 0, before == after)
			told, known := n.CoordinateOf(nodeName(1))
			require.Equal(t, c.samples == 1, known)
			if known {
				require.InDelta(t, 0.02, told.Vec[3], 1e-6)
			}
		})
	}
}

func TestNoCoordinatesWhenOff(t *testing.T) {
	t.Parallel()
	cfg := LAN()
	cfg.Coordinates = false
	w := newNetwork(t, 1)
	w.cluster(3, cfg)
	w.run(20 * time.Second)
	for _, p := range w.peers {
		_, on := p.Coordinate()
		require.False(t, on)
		_, known := p.CoordinateOf(w.peers[0].name)
		require.False(t, known)
		require.Zero(t, p.Stats().Samples+p.Stats().SamplesRefused)
	}
}

// The members of a pool on a line of datacenters find out how far they are from one another.
func TestCoordinatesOfAPool(t *testing.T) {
	t.Parallel()
	w := newNetwork(t, 5)
	truth := func(a, b *peer) time.Duration {
		i, j := slices.Index(w.peers, a)%4, slices.Index(w.peers, b)%4
		return 2*time.Millisecond + 10*time.Millisecond*time.Duration(max(i-j, j-i))
	}
	w.delay = func(from, to *peer) time.Duration { return truth(from, to)/2 + w.rng.Duration(0, 200*time.Microsecond) }
	w.cluster(24, LAN())
	w.run(10 * time.Minute)
	var errs []float64
	for i, a := range w.peers {
		for _, b := range w.peers[i+1:] {
			rtt, known := a.RTT(a.name, b.name)
			require.True(t, known)
			errs = append(errs, math.Abs(rtt.Seconds()/truth(a, b).Seconds()-1))
		}
	}
	slices.Sort(errs)
	t.Logf("relative error: median %.3f, of nine in ten below %.3f", errs[len(errs)/2], errs[len(errs)*9/10])
	require.Less(t, errs[len(errs)/2], 0.1)
	require.Less(t, errs[len(errs)*9/10], 0.4)

	// What is remembered of a member goes with it.
	gone := w.peers[3]
	w.crash(gone)
	w.until(time.Minute, "failed", w.agree(StateDead))
	require.NoError(t, w.peers[0].ForceLeave(w.now, gone.name, true))
	w.drain(w.peers[0])
	w.until(time.Minute, "pruned", w.agree(0))
	_, known := w.peers[0].CoordinateOf(gone.name)
	require.False(t, known)
}
