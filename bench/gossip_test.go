package bench

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"concord/gossip"
	"concord/internal/prng"
	"concord/swim"
	"concord/wire"
)

func gossipAddr(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 8301)
}

// claims are members as an agent would describe them.
func claims(n int) (out []*swim.Update) {
	for i := range n {
		out = append(out, &swim.Update{
			State: swim.StateAlive, Name: fmt.Sprintf("client-%04d", i), ID: fmt.Sprintf("00000000-0000-0000-0000-%012d", i), Addr: gossipAddr(i),
			Incarnation: 3, From: fmt.Sprintf("client-%04d", i), Tags: map[string]string{"role": "node", "dc": "dc1", "build": "1.8.7", "vsn": "2"},
		})
	}
	return out
}

// BenchmarkGossipCodec is a ping with no news and with three claims.
func BenchmarkGossipCodec(b *testing.B) {
	for _, news := range []int{0, 3} {
		p := swim.Packet{Message: swim.Message{Type: swim.MsgPing, Seq: 1 << 40, Target: "client-0001", From: "client-0002"}, Updates: claims(news)}
		encoded := wire.AppendPacket(nil, &p)
		b.Run(fmt.Sprintf("encode/news=%d", news), func(b *testing.B) {
			b.ReportAllocs()
			var buf []byte
			for b.Loop() {
				buf = wire.AppendPacket(buf[:0], &p)
			}
			perSecond(b, "packets/s")
		})
		b.Run(fmt.Sprintf("decode/news=%d", news), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := wire.DecodePacket(encoded); err != nil {
					b.Fatal(err)
				}
			}
			perSecond(b, "packets/s")
		})
	}
}

func perSecond(b *testing.B, unit string) { b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), unit) }

func newPool(b testing.TB, name string, at netip.AddrPort) *gossip.Pool {
	cfg := swim.LAN()
	cfg.Name, cfg.ID, cfg.Addr = name, "id-"+name, at
	p, err := gossip.New(gossip.Config{Swim: cfg}, prng.New(1), 0)
	require.NoError(b, err)
	return p
}

// link are two pools and a network without delay between them.
type link struct {
	now   time.Duration
	pools map[netip.AddrPort]*gossip.Pool
}

// carry delivers what the pools send until they are silent.
func (l *link) carry(b testing.TB) {
	for busy := true; busy; {
		busy = false
		for at, p := range l.pools {
			if !p.HasOutput() {
				continue
			}
			busy = true
			for _, s := range p.Output().Sends {
				require.NoError(b, l.pools[s.To].Receive(l.now, at, s.Stream, s.Payload))
			}
		}
	}
}

// tick lets the pool whose deadline comes first act.
func (l *link) tick() {
	var next *gossip.Pool
	for _, p := range l.pools {
		if next == nil || p.NextDeadline() < next.NextDeadline() {
			next = p
		}
	}
	l.now = max(l.now, next.NextDeadline())
	next.Tick(l.now)
}

// BenchmarkGossipProbe is a probe of two members at rest, through both cores and codecs: tick, ping, ack.
func BenchmarkGossipProbe(b *testing.B) {
	l := &link{pools: map[netip.AddrPort]*gossip.Pool{gossipAddr(1): newPool(b, "a", gossipAddr(1)), gossipAddr(2): newPool(b, "b", gossipAddr(2))}}
	l.pools[gossipAddr(1)].Join(0, []netip.AddrPort{gossipAddr(2)})
	l.carry(b)
	probes := func() (n uint64) {
		for _, p := range l.pools {
			n += p.Stats().Probes
		}
		return n
	}
	for probes() < 100 { // what there was to tell is told
		l.tick()
		l.carry(b)
	}
	b.ReportAllocs()
	for b.Loop() {
		for before := probes(); probes() == before; {
			l.tick()
			l.carry(b)
		}
	}
	perSecond(b, "probes/s")
	for _, p := range l.pools {
		require.Zero(b, p.Stats().ProbesFailed)
	}
}

// BenchmarkGossipState is a full state of 1,000 members, taken in by a member that knows them all and by one that knows nobody.
func BenchmarkGossipState(b *testing.B) {
	const members = 1000
	state := swim.Packet{Message: swim.Message{Type: swim.MsgPushPullReply, From: "client-0000", Members: claims(members)}}
	encoded := wire.AppendPacket(nil, &state)
	receive := func(b *testing.B, p *gossip.Pool) {
		require.NoError(b, p.Receive(0, gossipAddr(0), true, encoded))
		p.Output()
	}
	b.Run("known", func(b *testing.B) {
		p := newPool(b, "known", gossipAddr(members))
		receive(b, p)
		require.Equal(b, members+1, p.NumAlive())
		b.ReportAllocs()
		for b.Loop() {
			receive(b, p)
		}
		perSecond(b, "states/s")
	})
	b.Run("unknown", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			receive(b, newPool(b, "unknown", gossipAddr(members)))
		}
		perSecond(b, "states/s")
	})
}
