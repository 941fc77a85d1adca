package swim

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"concord/internal/prng"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// pair are two nodes that hand each other their streams.
type pair [2]*Node

func newPair(t require.TestingT, now time.Duration) pair {
	var p pair
	for i := range p {
		cfg := Config{Name: fmt.Sprint("self", i), ID: fmt.Sprint("id-self", i), Addr: address(i + 1)}
		n, err := New(cfg, prng.New(uint64(i)), now)
		require.NoError(t, err)
		p[i] = n
	}
	p[1].learn(p[0].self.claim, false)
	p[0].learn(p[1].self.claim, false)
	return p
}

// exchange lets one node begin an exchange with the other and tells how many messages it took.
func (p pair) exchange(from int) (messages int) {
	p[from].exchange(p[1-from].cfg.Addr, "")
	for some := true; some; {
		some = false
		for i, n := range p {
			for _, s := range n.Output().Streams {
				s.Addr = n.cfg.Addr
				p[1-i].HandleStream(n.now, s)
				messages++
				some = true
			}
		}
	}
	return messages
}

// expire lets all suspicions end.
func (p pair) expire() {
	for _, n := range p {
		n.now += 10 * time.Minute
		n.expireWatches()
	}
}

// genClaim draws claims as owners and others make them: all claims of one incarnation tell the same address and tags.
func genClaim(members int, failures bool) *rapid.Generator[*Update] {
	return rapid.Custom(func(t *rapid.T) *Update {
		who, owner := rapid.IntRange(5, 5+members).Draw(t, "who"), rapid.IntRange(0, 1).Draw(t, "owner")
		inc := rapid.Uint64Range(1, 3).Draw(t, "incarnation")
		u := claimOf(who, State(rapid.IntRange(int(StateAlive), int(StateLeft)).Draw(t, "state")), inc)
		u.ID = fmt.Sprint("owner", who, owner)
		u.Addr = netip.AddrPortFrom(address(who).Addr(), uint16(1000+10*owner+int(inc)))
		if u.State == StateDead && !failures {
			u.State = StateSuspect
		}
		u.From = nodeName(who)
		if u.State == StateLeft && failures && rapid.Bool().Draw(t, "forced") {
			u.From, u.Prune = nodeName(who+1), rapid.Bool().Draw(t, "prune")
		}
		if u.State == StateAlive && inc > 1 {
			u.Tags = map[string]string{"inc": fmt.Sprint(u.ID, inc)}
		}
		return &u
	})
}

// Two nodes, whatever each of them heard, have equal digests once they have exchanged what they know; and where failures
// were told that raise suspicions only, when these are over.
func TestDigestsAreEqualAfterAnExchange(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		p := newPair(rt, time.Second)
		failures := rapid.Bool().Draw(rt, "failures")
		members := rapid.SampledFrom([]int{3, 20, 200}).Draw(rt, "members")
		for i := range members {
			if members == 200 {
				for _, n := range p {
					n.learn(ptr(aliveClaim(i+5, 0)), false)
				}
			}
		}
		for i, n := range p {
			for _, u := range rapid.SliceOfN(genClaim(members, failures), 0, 30).Draw(rt, fmt.Sprint("heard by ", i)) {
				n.learn(u, true)
			}
			n.checkMembers()
		}
		differed := p[0].digest != p[1].digest
		for round := 0; p[0].digest != p[1].digest; round++ {
			require.Less(rt, round, map[bool]int{false: 1, true: 4}[failures], "they differ for ever")
			p.exchange(rapid.IntRange(0, 1).Draw(rt, "from"))
			for _, n := range p {
				n.checkMembers()
			}
			if failures {
				p.expire()
			}
		}
		if differed {
			return
		}
		require.LessOrEqual(rt, p.exchange(0), 2, "nothing to tell")
	})
}

// In a large pool only the members that differ are exchanged, not all.
func TestExchangeIsSmall(t *testing.T) {
	t.Parallel()
	p := newPair(t, time.Second)
	for i := range 5000 {
		for _, n := range p {
			n.learn(ptr(aliveClaim(i+5, 1)), false)
		}
	}
	require.Equal(t, p[0].digest, p[1].digest)
	require.Equal(t, 1, p.exchange(0), "no bucket differs")
	for i, n := range p {
		n.learn(ptr(aliveClaim(7000+i, 1)), false)
	}
	before := p[0].stats.UpdatesAccepted + p[1].stats.UpdatesAccepted
	p[0].exchange(p[1].cfg.Addr, "")
	asks := p[0].Output().Streams[0]
	require.Less(t, asks.Size(), 3000)
	p[1].HandleStream(time.Second, asks)
	tells := p[1].Output().Streams[0]
	require.Less(t, len(tells.Message.Members), 120)
	p[0].HandleStream(time.Second, tells)
	answers := p[0].Output().Streams[0]
	require.Less(t, len(answers.Message.Members), 120)
	p[1].HandleStream(time.Second, answers)
	require.Equal(t, p[0].digest, p[1].digest)
	require.Equal(t, before+2, p[0].stats.UpdatesAccepted+p[1].stats.UpdatesAccepted)
}

// What a stranger may send as buckets is refused.
func TestBucketsAreBounded(t *testing.T) {
	t.Parallel()
	n := solo(t, Config{})
	for _, size := range []int{0, 1, 32, 63, 65, 96, 8192} {
		n.HandleStream(0, Packet{Addr: address(2), Message: Message{Type: MsgBuckets, Buckets: make([]uint64, size)}})
	}
	for _, size := range []int{3, 65, 128} {
		n.HandleStream(0, Packet{Addr: address(2), Message: Message{Type: MsgPushPull, Buckets: make([]uint64, size)}})
	}
	require.EqualValues(t, 10, n.Stats().InvalidMessages)
	require.Empty(t, n.Output().Streams)
}

// One ping brings about one exchange, however many come.
func TestExchangesAreRare(t *testing.T) {
	t.Parallel()
	n := solo(t, Config{})
	heard(n, 0, aliveClaim(2, 1))
	for range 100 {
		n.HandlePacket(time.Second, Packet{Addr: address(2), Message: Message{Type: MsgPing, Target: "self", From: nodeName(2), Digest: Digest{Members: 5}}})
	}
	require.Len(t, n.Output().Streams, 1)
	require.EqualValues(t, 1, n.Stats().DigestsDiffer)
	n.HandlePacket(2*time.Second, Packet{Addr: address(2), Message: Message{Type: MsgPing, Target: "self", From: nodeName(2), Digest: Digest{Members: n.digest}}})
	require.Empty(t, n.Output().Streams)
}

// Whoever missed news of a mass join learns of it within seconds, not at the next interval.
func TestHolesCloseSoon(t *testing.T) {
	t.Parallel()
	for _, n := range []int{30, 150} {
		w := newNetwork(t, 141)
		w.loss = 10
		w.cluster(n, Config{PushPullInterval: time.Hour})
		t.Log(w.until(10*time.Second, "no holes", w.agree(0)))
	}
}

// Behind routers that put addresses of their own into datagrams, holes close as well, though nobody listens at these addresses.
func TestHolesCloseBehindRouters(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		w := newNetwork(t, seed)
		w.routers, w.loss = true, 30
		w.cluster(6, Config{PushPullInterval: 5 * time.Second})
		w.until(30*time.Second, "no holes", w.agree(0))
	}
}
