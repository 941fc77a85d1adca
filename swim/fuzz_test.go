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
			switch in.next() % 10 {
			case 8:
				_ = n.FireEvent(now, in.name(n), make([]byte, in.next()), in.next()%2 == 0)
			case 9:
				_, _ = n.Ask(now, Query{Name: in.name(n), Tags: in.tags(), Ack: in.next()%2 == 0, Timeout: time.Duration(in.next()) * time.Second})
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
				if a := address(int(in.next() % 4)); in.next()%2 == 0 {
					n.StreamFailed(now, a)
				} else {
					n.StreamRefused(now, a)
				}
			}
			now++ // no clock stands still between a message and what it makes due
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

// time returns a Lamport time, most often a low one.
func (s *bytesSource) time() uint64 {
	switch b := uint64(s.next()); {
	case b < 200:
		return b
	case b < 250:
		return b * b
	}
	return []uint64{maxLTime, maxLTime - 1, 1<<64 - 1, 1 << 40}[s.next()%4]
}

func (in *bytesSource) packet(n *Node) Packet {
	p := Packet{
		Addr: address(int(in.next() % 4)),
		Message: Message{
			Type: MessageType(in.next() % 10), Target: in.name(n), From: in.name(n),
			Seq: n.seq - uint64(in.next()%4), Addr: address(int(in.next() % 4)), Join: in.next()%2 == 0,
		},
		Updates: in.updates(n),
	}
	for range in.next() % 3 {
		p.Events = append(p.Events, UserEvent{LTime: in.time(), Name: in.name(n), Payload: make([]byte, in.next()), From: in.name(n),
			Number: uint32(in.next() % 2), Prev: in.time(), Age: time.Duration(in.next()-3) * time.Second})
	}
	for range in.next() % 3 {
		p.Queries = append(p.Queries, QueryCast{ID: QueryID{From: in.name(n), LTime: in.time()}, Addr: address(int(in.next() % 4)),
			Query: Query{Name: in.name(n), Tags: in.tags(), Ack: in.next()%2 == 0, Relay: int(in.next() % 8), Timeout: time.Duration(in.next()) * time.Second}})
	}
	p.Clocks = Clocks{Event: in.time(), Query: in.time()}
	if p.Message.Type == MsgAnswer {
		p.Message.Answer = &Answer{LTime: in.time(), Ack: in.next()%2 == 0, Payload: make([]byte, in.next())}
	}
	if in.next()%4 == 0 {
		c := coordinate.New()
		c.Vec[0], c.Height = float64(int8(in.next()))/10, float64(int8(in.next()))/10
		packed := c.Pack()
		p.Message.Coordinate = packed[:len(packed)-int(in.next()%2)]
	}
	switch in.next() % 4 {
	case 0:
		p.Message.Digest = Digest{Members: uint64(in.next()), Events: uint64(in.next()), EventsFrom: in.time()}
	case 1:
		p.Message.Buckets = make([]uint64, []int{1, 2, 3, 64, 128, 130}[in.next()%6])
		p.Message.Buckets[0] = uint64(in.next())
	}
	if p.Message.Type >= MsgPushPull {
		p.Message.Members = in.updates(n)
	}
	return p
}
