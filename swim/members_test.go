package swim

import (
	"fmt"
	"runtime"
	"testing"

	"concord/internal/prng"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The table against a map: who was added and not removed is found, under its own name, and is in exactly one list.
func TestTableFindsWhoIsThere(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		rng := prng.New(rapid.Uint64().Draw(rt, "seed"))
		table, known := newTable(rng.Uint64()), make(map[string]*Update)
		names := rapid.IntRange(1, 300).Draw(rt, "names")
		for range rapid.IntRange(1, 400).Draw(rt, "steps") {
			u := aliveClaim(rng.IntN(names), 1)
			m := table.get(u.Name)
			require.Equal(rt, known[u.Name] == nil, m == nil)
			switch {
			case m == nil:
				table.add(&u, listID(rng.IntN(int(lists))), rng)
				known[u.Name] = &u
			case rng.Chance(1, 3):
				table.move(m, listID(rng.IntN(int(lists))), rng)
			default:
				require.Same(rt, known[u.Name], m.claim)
				table.remove(m)
				delete(known, u.Name)
			}
		}
		require.Equal(rt, len(known), table.len())
		for name, u := range known {
			require.Same(rt, u, table.get(name).claim)
		}
		seen := 0
		for id, l := range table.lists {
			for i, slot := range l {
				m := table.member(slot)
				require.Equal(rt, listID(id), m.list)
				require.EqualValues(rt, i, m.pos)
				seen++
			}
		}
		require.Equal(rt, len(known), seen)
		order := table.ordered()
		for i := range order[:max(0, len(order)-1)] {
			require.Less(rt, table.nameOf(order[i]), table.nameOf(order[i+1]))
		}
	})
}

// A member that is alive costs a node 40 bytes besides its claim, which the nodes of a process share.
func TestMembersAreSmall(t *testing.T) {
	const members, nodes = 10000, 20
	claims := make([]*Update, members)
	for i := range claims {
		claims[i] = ptr(aliveClaim(i, 1))
	}
	heap := func() uint64 {
		var s runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	before, all := heap(), make([]*Node, nodes)
	for i := range all {
		all[i] = solo(t, Config{})
		all[i].HandleStream(0, Packet{Addr: address(2), Message: Message{Type: MsgPushPullReply, Members: claims}})
		all[i].Output()
	}
	each := float64(heap()-before) / members / nodes
	t.Logf("%.1f bytes a member", each)
	require.Less(t, each, 45.0)
	runtime.KeepAlive(all)
}

func BenchmarkFind(b *testing.B) {
	rng := prng.New(1)
	table := newTable(1)
	names := make([]string, 10000)
	for i := range names {
		u := aliveClaim(i, 1)
		table.add(&u, live, rng)
		names[i] = fmt.Sprint(u.Name)
	}
	for i := 0; b.Loop(); i++ {
		table.get(names[i%len(names)])
	}
}

// BenchmarkPing is what most of a node's work is: to answer a ping in a large pool where there is no news.
func BenchmarkPing(b *testing.B) {
	n := solo(b, Config{})
	for i := range 10000 {
		n.learn(ptr(aliveClaim(i+2, 1)), false)
	}
	n.queue.clear()
	n.Output()
	p := Packet{Addr: address(2), Message: Message{Type: MsgPing, Seq: 7, Target: "self", From: nodeName(2)}}
	b.ReportAllocs()
	for b.Loop() {
		n.HandlePacket(0, p)
		n.Output()
	}
}
