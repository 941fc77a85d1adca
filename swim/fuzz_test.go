package swim

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"concord/internal/prng"
	"concord/swim/coordinate"

	"github.com/stretchr/testify/require"
)

// FuzzNode hands a node any sequence of structured messages, claims and ticks; its invariants are on,
// and what it holds and sends stays bounded.
func FuzzNode(f *testing.F) {
	for seed := range uint64(8) {
		b := make([]byte, 400)
		prng.New(seed).Read(b)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		data = data[:min(len(data), 2000)]
		n := solo(t, Config{Coordinates: true, MaxMembers: 6, ReconnectTimeout: time.Minute, TombstoneTimeout: 40 * time.Second})
		in := &bytesSource{data: data}
		now := time.Duration(0)
		for !in.empty() {
			now += time.Duration(in.next()) * 40 * time.Millisecond
			switch in.next() % 8 {
			case 0, 1:
				n.HandlePacket(now, in.packet(n))
			case 2, 3:
				n.HandleStream(now, in.packet(n))
			case 4:
				_ = n.ForceLeave(now, in.name(n), in.next()%2 == 0)
			case 5:
				if in.next()%16 == 0 {
					n.Leave(now)
				}
			case 6:
				_ = n.SetTags(now, in.tags())
			default:
				n.StreamFailed(now, address(int(in.next()%4)))
			}
			for range 100 {
				if n.NextDeadline() > now {
					break
				}
				n.Tick(now)
			}
			require.Greater(t, n.NextDeadline(), now, "never at rest")
			n.checkMembers()
			out := n.Output()
			for i := range out.Packets {
				require.LessOrEqual(t, out.Packets[i].Size(), n.cfg.MaxPacket)
			}
			require.LessOrEqual(t, len(out.Packets)+len(out.Streams)+len(out.Notices), 1200)
			own, _ := n.Coordinate()
			require.NoError(t, own.Validate())
			n.Members()
			n.Stats()
		}
	})
}

type bytesSource struct{ data []byte }

func (s *bytesSource) empty() bool { return len(s.data) == 0 }

func (s *bytesSource) next() byte {
	if len(s.data) == 0 {
		return 0
	}
	b := s.data[0]
	s.data = s.data[1:]
	return b
}

func (s *bytesSource) name(n *Node) string {
	switch b := s.next() % 10; b {
	case 0:
		return n.cfg.Name
	case 1:
		return ""
	case 2:
		return strings.Repeat("x", 200)
	default:
		return nodeName(int(b))
	}
}

func (s *bytesSource) tags() map[string]string {
	b := s.next()
	if b < 128 {
		return nil
	}
	return map[string]string{"k": strings.Repeat("v", int(b-128)*5)}
}

func (s *bytesSource) updates(n *Node) []*Update {
	us := make([]*Update, s.next()%4)
	for i := range us {
		us[i] = &Update{
			State: State(s.next() % 6), Name: s.name(n), ID: []string{"", "a", "b", "id-self"}[s.next()%4],
			Addr: address(int(s.next() % 4)), Incarnation: uint64(s.next() % 4), Tags: s.tags(), From: s.name(n),
			Prune: s.next()%4 == 0, Age: time.Duration(s.next()-3) * time.Second,
		}
		switch s.next() {
		case 0:
			us[i].Incarnation = 1<<64 - 1
		case 1:
			us[i].Incarnation = maxIncarnation
		case 2:
			us[i].Age = 1<<63 - 1
		case 3:
			us[i].Addr = netip.AddrPort{}
		}
	}
	return us
}

func (s *bytesSource) packet(n *Node) Packet {
	p := Packet{
		Addr: address(int(s.next() % 4)),
		Message: Message{
			Type: MessageType(s.next() % 10), Target: s.name(n), From: s.name(n),
			Seq: n.seq - uint64(s.next()%4), Addr: address(int(s.next() % 4)), Join: s.next()%2 == 0,
		},
		Updates: s.updates(n),
	}
	if s.next()%4 == 0 {
		c := coordinate.New()
		c.Vec[0], c.Height = float64(int8(s.next()))/10, float64(int8(s.next()))/10
		p.Message.Coordinate = c.Pack()[:max(1, coordinate.PackedSize-int(s.next()%2))]
	}
	if p.Message.Type >= MsgPushPull {
		p.Message.Members = s.updates(n)
	}
	return p
}
