package swim

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden traces in testdata")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *rewrite {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got, "run the test with -rewrite if the change is meant")
}

// traced starts to write down what is sent.
func traced(w *network) *strings.Builder {
	b := new(strings.Builder)
	w.trace = func(format string, args ...any) { fmt.Fprintf(b, format, args...) }
	return b
}

// SWIM section 3.1: a round of ping and ack. The first is what docs/ARCHITECTURE.md follows.
func TestGoldenPing(t *testing.T) {
	t.Parallel()
	w := newNetwork(t, 1)
	w.cluster(2, Config{})
	w.run(10 * time.Second)
	b := traced(w)
	w.run(2 * time.Second)
	golden(t, "ping.txt", b.String())
}

func TestGoldenJoin(t *testing.T) {
	t.Parallel()
	w := newNetwork(t, 2)
	w.cluster(2, Config{})
	w.run(time.Second)
	b := traced(w)
	w.join(w.add(2, Config{}), w.peers[0])
	w.run(time.Second)
	golden(t, "join.txt", b.String())
}

// SWIM section 3.1 and 4.2: direct probe, indirect probes with nacks, suspicion, confirmation, death.
func TestGoldenFailure(t *testing.T) {
	t.Parallel()
	w := newNetwork(t, 3)
	w.cluster(4, Config{SuspicionMult: 3, SuspicionMaxMult: 1})
	w.run(20 * time.Second)
	b := traced(w)
	w.crash(w.peers[3])
	w.run(8 * time.Second)
	golden(t, "failure.txt", b.String())
}

// SWIM section 4.2: the suspect hears of it with the ping and refutes.
func TestGoldenRefute(t *testing.T) {
	t.Parallel()
	w := newNetwork(t, 4)
	w.cluster(3, Config{})
	w.run(20 * time.Second)
	b := traced(w)
	victim := w.peers[2]
	w.cut = func(a, b *peer) bool { return b == victim && w.now < 21500*time.Millisecond }
	w.run(4 * time.Second)
	golden(t, "refute.txt", b.String())
	require.Equal(t, 0, w.peers[0].count(EventFailed))
	require.Equal(t, 0, w.peers[1].count(EventFailed))
}

func TestGoldenLeave(t *testing.T) {
	t.Parallel()
	w := newNetwork(t, 5)
	w.cluster(3, Config{})
	w.run(5 * time.Second)
	b := traced(w)
	w.do(w.peers[1], w.peers[1].Leave)
	w.run(time.Second)
	golden(t, "leave.txt", b.String())
}

// Strong completeness and accuracy (SWIM section 2): who fails is found by all, nobody else is.
func TestCompletenessAndAccuracy(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2, 3, 8, 50} {
		for _, loss := range []uint64{0, 5} {
			t.Run(fmt.Sprintf("%d nodes, %d%% loss", n, loss), func(t *testing.T) {
				t.Parallel()
				w := newNetwork(t, uint64(n)*100+loss)
				w.loss = loss
				w.cluster(n, Config{})
				w.until(2*time.Minute, "joined", w.agree(StateDead))
				w.run(2 * time.Minute)
				for _, p := range w.peers {
					require.Zero(t, p.count(EventFailed), "%s: a false positive", p.name)
					require.Equal(t, n, p.count(EventJoin))
				}
				w.crash(w.peers[n-1])
				took := w.until(2*time.Minute, "death known to all", w.agree(StateDead))
				t.Logf("death known to all after %v", took)
				for _, p := range w.peers[:n-1] {
					require.Equal(t, 1, p.count(EventFailed))
				}
			})
		}
	}
}

// A healthy pool has neither suspicions nor refutations, and sends one ping and one ack for each
// member and period, whatever its size (SWIM section 3: constant load).
func TestIdleLoad(t *testing.T) {
	t.Parallel()
	for _, n := range []int{4, 64} {
		w := newNetwork(t, uint64(n))
		w.cluster(n, Config{})
		w.run(time.Minute)
		before := w.packets
		streams := w.peers[0].Stats().StreamsSent
		w.run(time.Minute)
		require.Equal(t, streams, w.peers[0].Stats().StreamsSent, "all know the same: nothing to exchange")
		require.NotZero(t, w.peers[0].Stats().Digests)
		require.InDelta(t, 2*60*n, w.packets-before, float64(2*n+2))
		for _, p := range w.peers {
			s := p.Stats()
			require.Zero(t, s.Suspicions+s.Refutes+s.ProbesFailed+s.UnknownAcks+s.InvalidMessages+s.InvalidUpdates+s.Stalls)
			require.Zero(t, s.Queued)
			require.Equal(t, n, s.Alive)
		}
	}
}

func TestLoneNodeSleeps(t *testing.T) {
	t.Parallel()
	w := newNetwork(t, 9)
	p := w.add(0, Config{})
	w.run(time.Hour)
	require.Greater(t, p.NextDeadline(), 1000*time.Hour)
	require.Zero(t, w.packets)
}

// A partition of any length shorter than the reaping heals by itself, both for long and for short
// ones, and neither side takes its own members for failed on the way.
func TestPartitionHeals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		n, side int
		length  time.Duration
	}{{2, 1, time.Minute}, {3, 1, 10 * time.Second}, {10, 5, time.Minute}, {10, 1, time.Hour}, {30, 15, 2 * time.Hour}} {
		t.Run(fmt.Sprintf("%d of %d for %v", c.side, c.n, c.length), func(t *testing.T) {
			t.Parallel()
			w := newNetwork(t, uint64(c.n))
			w.cluster(c.n, Config{})
			w.until(2*time.Minute, "joined", w.agree(0))
			side := make(map[*peer]bool)
			for _, p := range w.peers[:c.side] {
				side[p] = true
			}
			w.cut = func(a, b *peer) bool { return side[a] != side[b] }
			w.run(c.length)
			w.cut = nil
			t.Logf("healed after %v", w.until(4*time.Minute, "healed", w.agree(0)))
			for _, p := range w.peers {
				for _, e := range p.events {
					if e.Type == EventFailed {
						q := w.byAddr[e.Member.Addr]
						require.NotEqual(t, side[p], side[q], "%s held %s for failed, on the same side", p.name, q.name)
					}
				}
			}
		})
	}
}

func TestMassRestart(t *testing.T) {
	t.Parallel()
	for _, persisted := range []bool{true, false} {
		w := newNetwork(t, 11)
		w.cluster(20, Config{})
		w.until(2*time.Minute, "joined", w.agree(0))
		for _, p := range w.peers {
			w.crash(p)
		}
		for i, p := range w.peers {
			if !persisted {
				p.kept = 0
			}
			w.start(p)
			w.join(p, w.peers[(i+1)%20], w.peers[(i+7)%20])
		}
		t.Logf("converged after %v", w.until(20*time.Second, "restarted", w.agree(0)))
	}
}

// A node that restarts is believed within one round, whatever it remembers and wherever it is.
func TestRestart(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name             string
		down             time.Duration
		newAddr, newID   bool
		lost, downIsDead bool
	}{
		{name: "at once", down: 0},
		{name: "new address", newAddr: true},
		{name: "incarnation lost", lost: true},
		{name: "incarnation lost, new address", lost: true, newAddr: true},
		{name: "wiped, same address", lost: true, newID: true},
		{name: "after death", down: time.Minute, downIsDead: true},
		{name: "after death, new address", down: time.Minute, newAddr: true, downIsDead: true},
		{name: "after death, incarnation lost, new address", down: time.Hour, newAddr: true, lost: true, downIsDead: true},
		{name: "after death, wiped, new address", down: time.Minute, newAddr: true, lost: true, newID: true, downIsDead: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newNetwork(t, 21)
			w.cluster(10, Config{})
			w.run(20 * time.Second)
			p := w.peers[7]
			for range 3 { // the incarnation is well above that of a fresh start
				require.NoError(t, p.SetTags(w.now, map[string]string{"at": w.now.String()}))
				w.drain(p)
				w.run(5 * time.Second)
			}
			w.crash(p)
			w.run(c.down)
			if c.downIsDead {
				w.until(time.Minute, "dead", w.agree(StateDead))
			}
			if c.newAddr {
				p.addr = address(500)
			}
			if c.newID {
				p.cfg.ID = "another"
			}
			if c.lost {
				p.kept = 0
			}
			w.start(p)
			w.join(p, w.peers[0])
			w.until(3*time.Second, "believed", func() bool {
				m, _ := w.peers[3].Member(p.name)
				return w.agree(0)() && m.ID == p.cfg.ID && len(m.Tags) == 0
			})
		})
	}
}

// A node that restarts and is told nobody to join is brought back by those who still ping it.
func TestRestartWithoutJoin(t *testing.T) {
	t.Parallel()
	w := newNetwork(t, 31)
	w.cluster(5, Config{})
	w.run(20 * time.Second)
	p := w.peers[2]
	w.crash(p)
	w.start(p)
	w.until(10*time.Second, "back", w.agree(0))
}

func TestLeave(t *testing.T) {
	t.Parallel()
	w := newNetwork(t, 41)
	w.cluster(10, Config{})
	w.run(20 * time.Second)
	p := w.peers[4]
	w.do(p, p.Leave)
	took := w.until(5*time.Second, "left", func() bool { return p.left })
	w.crash(p)
	w.until(2*time.Second, "known to all", w.agree(StateLeft))
	require.Less(t, took, 2*time.Second)
	w.run(time.Minute)
	for _, q := range w.peers {
		require.Zero(t, q.count(EventFailed))
		require.Equal(t, 1, q.count(EventLeave), q.name)
	}
	w.start(p)
	w.join(p, w.peers[0])
	w.until(3*time.Second, "back", w.agree(0))
}

// Whoever left and is started again does not come back without being told to, however soon.
func TestWhoLeftStaysAway(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		w := newNetwork(t, seed)
		w.cluster(4, Config{})
		w.run(5 * time.Second)
		p := w.peers[2]
		w.do(p, p.Leave)
		w.until(5*time.Second, "left", func() bool { return p.left })
		w.crash(p)
		w.start(p)
		w.run(time.Minute)
		require.Len(t, p.Members(), 1, "seed %d", seed)
		require.Zero(t, w.peers[0].count(EventReap))
	}
}

func TestLeaveAlone(t *testing.T) {
	t.Parallel()
	w := newNetwork(t, 42)
	p := w.add(0, Config{})
	w.do(p, p.Leave)
	require.True(t, p.left)
	require.ErrorIs(t, p.SetTags(w.now, nil), ErrLeft)
	w.join(p, p)
	require.ErrorIs(t, p.joined[0].Err, ErrLeft)
}

// Leaving ends even if nobody answers any more.
func TestLeaveInTime(t *testing.T) {
	t.Parallel()
	w := newNetwork(t, 43)
	w.cluster(3, Config{})
	w.run(10 * time.Second)
	w.cut = func(a, b *peer) bool { return true }
	w.do(w.peers[0], w.peers[0].Leave)
	w.until(6*time.Second, "left", func() bool { return w.peers[0].left })
	require.False(t, w.peers[0].HasOutput())
}

func TestForceLeaveAndPrune(t *testing.T) {
	t.Parallel()
	w := newNetwork(t, 51)
	w.cluster(6, Config{})
	w.run(20 * time.Second)
	p, q := w.peers[5], w.peers[1]
	require.ErrorIs(t, q.ForceLeave(w.now, "nobody", false), ErrUnknownMember)
	require.ErrorIs(t, q.ForceLeave(w.now, q.name, false), ErrSelf)
	w.crash(p)
	w.until(time.Minute, "dead", w.agree(StateDead))
	require.NoError(t, q.ForceLeave(w.now, p.name, false))
	w.drain(q)
	w.until(2*time.Second, "left", w.agree(StateLeft))
	require.NoError(t, q.ForceLeave(w.now, p.name, true))
	w.drain(q)
	w.until(2*time.Second, "pruned", w.agree(0))
	require.ErrorIs(t, q.ForceLeave(w.now, p.name, true), ErrUnknownMember)
	w.run(10 * time.Minute) // push/pull does not bring it back
	require.True(t, w.agree(0)())
	require.Equal(t, 1, w.peers[0].count(EventReap))
	require.Equal(t, 1, w.peers[0].count(EventLeave))
	require.Len(t, q.Members(), 5)
	w.start(p)
	w.join(p, w.peers[0])
	w.until(3*time.Second, "back", w.agree(0))
}

// Who is alive and made to leave says so.
func TestForceLeaveOfTheLiving(t *testing.T) {
	t.Parallel()
	w := newNetwork(t, 52)
	w.cluster(6, Config{})
	w.run(20 * time.Second)
	require.NoError(t, w.peers[1].ForceLeave(w.now, w.peers[2].name, true))
	w.drain(w.peers[1])
	w.run(3 * time.Second)
	require.True(t, w.agree(0)())
}

// Failed members are forgotten by all at about the same time, and stay forgotten.
func TestReap(t *testing.T) {
	t.Parallel()
	for _, leave := range []bool{false, true} {
		w := newNetwork(t, 61)
		w.cluster(5, Config{ReconnectTimeout: 5 * time.Minute, TombstoneTimeout: 4 * time.Minute})
		w.run(20 * time.Second)
		p := w.peers[4]
		want := StateDead
		if leave {
			want = StateLeft
			w.do(p, p.Leave)
			w.run(time.Second)
		}
		w.crash(p)
		w.until(time.Minute, "gone", w.agree(want))
		w.run(3 * time.Minute)
		late := w.add(5, p.cfg) // learns of the failed one only now
		late.Node.cfg.ReconnectTimeout = 5 * time.Minute
		w.join(late, w.peers[0])
		w.run(time.Second)
		m, known := late.Member(p.name)
		require.True(t, known)
		require.Equal(t, want, m.State)
		require.Zero(t, late.count(EventFailed)+late.count(EventLeave))
		w.until(3*time.Minute, "reaped", w.agree(0))
		w.run(10 * time.Minute)
		require.True(t, w.agree(0)())
		for _, q := range w.peers[:4] {
			require.Equal(t, 1, q.count(EventReap), q.name)
			require.Zero(t, len(q.watch))
		}
	}
}

// Two nodes with one name: all report it, all believe the same one, the other takes over when that one
// goes.
func TestNameConflict(t *testing.T) {
	t.Parallel()
	w := newNetwork(t, 71)
	w.cluster(6, Config{})
	w.run(20 * time.Second)
	old := w.peers[3]
	cfg := Config{Name: old.name, ID: "zz-other", Addr: address(900)}
	twin := &peer{name: old.name, cfg: cfg, addr: cfg.Addr}
	w.start(twin)
	w.join(twin, w.peers[0])
	w.run(30 * time.Second)
	believed := func(id string) func() bool {
		return func() bool {
			for _, p := range []int{0, 1, 2, 4, 5} {
				if m, _ := w.peers[p].Member(old.name); m.ID != id || m.State != StateAlive {
					return false
				}
			}
			return true
		}
	}
	errors := func(p *peer) int {
		n := 0
		for _, x := range p.notices {
			if x.Level == Error {
				n++
			}
		}
		return n
	}
	require.True(t, believed("zz-other")() || believed(old.cfg.ID)())
	require.NotZero(t, errors(w.peers[0]))
	require.NotZero(t, errors(old))
	require.NotZero(t, errors(twin))
	require.LessOrEqual(t, errors(old), 2)
	winner, loser := old, twin
	if believed("zz-other")() {
		winner, loser = twin, old
	}
	incarnation := winner.Local().Incarnation
	w.run(time.Minute)
	require.LessOrEqual(t, winner.Local().Incarnation, incarnation+1, "a race of incarnations")
	w.crash(winner)
	w.until(3*time.Minute, "the other took over", believed(loser.cfg.ID))
}

// A member's process ends, and its name comes back at once at another address and without its data. Whether its new ID is
// above or below the old one, it is believed as soon as the old address was found empty.
func TestSuccessor(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"0", "zz"} {
		w := newNetwork(t, 72)
		w.refuses = true
		w.cluster(6, Config{})
		w.run(20 * time.Second)
		old := w.peers[3]
		w.crash(old)
		successor := &peer{name: old.name, cfg: Config{Name: old.name, ID: id, Addr: address(900)}, addr: address(900)}
		w.start(successor)
		w.join(successor, w.peers[0])
		w.until(2*time.Second, "the successor is believed", func() bool {
			for _, i := range []int{0, 1, 2, 4, 5} {
				if m, _ := w.peers[i].Member(old.name); m.ID != id || m.State != StateAlive {
					return false
				}
			}
			return true
		})
	}
}

// Sixteen members join at the same time, each through a random earlier one. Nearly always gossip alone lets all of them know
// all, without waiting for the digests to find who was missed.
func TestPoolForms(t *testing.T) {
	t.Parallel()
	const trials, members = 20, 16
	quick := 0
	for seed := range uint64(trials) {
		w := newNetwork(t, seed)
		for i := range members {
			p := w.add(i, Config{})
			if i > 0 {
				w.join(p, w.peers[w.rng.IntN(i)])
			}
			w.run(5 * time.Millisecond)
		}
		if w.until(10*time.Second, "the pool forms", w.agree(StateAlive)) <= time.Second {
			quick++
		}
	}
	require.GreaterOrEqual(t, quick, trials*3/4)
}

func TestTags(t *testing.T) {
	t.Parallel()
	w := newNetwork(t, 81)
	w.cluster(5, Config{Tags: map[string]string{"role": "consul"}})
	w.run(10 * time.Second)
	p := w.peers[2]
	require.ErrorIs(t, p.SetTags(w.now, map[string]string{"big": strings.Repeat("x", MaxTags)}), ErrUpdate)
	require.NoError(t, p.SetTags(w.now, map[string]string{"role": "node"}))
	w.drain(p)
	w.run(2 * time.Second)
	for _, q := range w.peers {
		m, _ := q.Member(p.name)
		require.Equal(t, "node", m.Tags["role"])
		require.Equal(t, 1, q.count(EventUpdate))
	}
}

// Lifeguard: datagrams to one member are lost, but it answers over streams, so it is not suspected.
func TestStreamFallback(t *testing.T) {
	t.Parallel()
	w := newNetwork(t, 91)
	w.cluster(4, Config{})
	w.run(20 * time.Second)
	w.loss = 100
	w.run(2 * time.Minute)
	for _, p := range w.peers {
		require.Zero(t, p.count(EventFailed))
		require.NotZero(t, p.Stats().FallbackAcks)
	}
}

// Whoever was paused for long does not take the others for failed.
func TestPause(t *testing.T) {
	t.Parallel()
	w := newNetwork(t, 101)
	w.cluster(6, Config{})
	w.run(20 * time.Second)
	p := w.peers[0]
	p.up = false // its timers and packets are lost, its memory is not
	w.run(time.Minute)
	p.up = true
	w.drain(p)
	w.until(time.Minute, "back", w.agree(0))
	require.Zero(t, p.count(EventFailed))
	require.NotZero(t, p.Stats().Stalls)
}

func TestJoinFails(t *testing.T) {
	t.Parallel()
	w := newNetwork(t, 111)
	p := w.add(0, Config{})
	p.Join(w.now, []netip.AddrPort{address(77), {}})
	w.drain(p)
	w.run(time.Second)
	require.Len(t, p.joined, 2)
	require.ErrorIs(t, p.joined[0].Err, ErrAddress)
	require.ErrorIs(t, p.joined[1].Err, ErrUnreachable)
	p.Join(w.now, []netip.AddrPort{address(78)})
	p.Output() // lost
	w.schedule(p)
	w.run(11 * time.Second)
	require.ErrorIs(t, p.joined[2].Err, ErrJoinTimeout)
	q := w.add(1, Config{})
	w.join(q, p)
	w.run(time.Second)
	require.NoError(t, q.joined[0].Err)
}

// The same seed gives the same run.
func TestDeterministic(t *testing.T) {
	t.Parallel()
	run := func() string {
		w := newNetwork(t, 121)
		w.loss = 20
		b := traced(w)
		w.cluster(12, Config{})
		w.run(30 * time.Second)
		w.crash(w.peers[3])
		w.run(30 * time.Second)
		return b.String()
	}
	require.Equal(t, run(), run())
}

func BenchmarkThousandNodes(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		w := preloaded(b, 1000)
		b.StartTimer()
		start := w.packets
		w.run(time.Minute)
		b.ReportMetric(float64(w.packets-start)/1000/60, "packets/node/s")
	}
}

func BenchmarkThousandNodesWithChurn(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		w := preloaded(b, 1000)
		b.StartTimer()
		for i := range 50 {
			w.crash(w.peers[i*20])
		}
		w.run(time.Minute)
		b.ReportMetric(float64(w.packets)/1000/60, "packets/node/s")
		b.ReportMetric(float64(w.bytes)/1000/60, "bytes/node/s")
	}
}

// preloaded returns n nodes that know one another.
func preloaded(t testing.TB, n int) *network {
	w := newNetwork(t, uint64(n))
	all := make([]*Update, n)
	for i := range n {
		p := w.add(i, Config{})
		all[i] = p.self.claim
	}
	for _, p := range w.peers {
		p.HandleStream(0, Packet{Addr: address(0), Message: Message{Type: MsgPushPullReply, Members: all}})
		w.drain(p)
		p.events = nil
	}
	w.run(time.Second)
	return w
}

// A node with the ID of a live member under another name is not let in, until that member is gone.
func TestSameID(t *testing.T) {
	t.Parallel()
	for _, at := range []int{0, 3} { // another member, or the very one whose ID it is
		w := newNetwork(t, 73)
		w.cluster(6, Config{})
		w.run(20 * time.Second)
		old := w.peers[3]
		cfg := Config{Name: "renamed", ID: old.cfg.ID, Addr: address(900)}
		twin := &peer{name: cfg.Name, cfg: cfg, addr: cfg.Addr}
		w.start(twin)
		w.join(twin, w.peers[at])
		w.run(time.Minute)
		var refused *SameIDError
		require.Len(t, twin.joined, 1)
		require.ErrorAs(t, twin.joined[0].Err, &refused)
		require.Equal(t, SameIDError{Name: old.name, ID: old.cfg.ID}, *refused)
		require.Equal(t, 1, twin.NumAlive(), "it learned nothing")
		for _, p := range w.peers[:6] {
			_, known := p.Member("renamed")
			require.False(t, known, p.name)
		}
		require.NotEmpty(t, w.peers[at].notices)

		w.crash(old)
		w.run(time.Minute)
		other := w.peers[1]
		w.join(twin, other)
		w.run(20 * time.Second)
		require.NoError(t, twin.joined[1].Err)
		m, _ := other.Member("renamed")
		require.Equal(t, StateAlive, m.State)
	}
}

// Anti-entropy: a ping with a digest, and an exchange with who knows something else.
func TestGoldenDigest(t *testing.T) {
	t.Parallel()
	w := newNetwork(t, 6)
	w.cluster(3, Config{})
	w.run(10 * time.Second)
	w.loss = 100 // streams go through: only the first is told of the new member
	w.join(w.add(3, Config{}), w.peers[0])
	w.run(3 * time.Second)
	w.loss = 0
	b := traced(w)
	w.run(1700 * time.Millisecond)
	require.True(t, w.agree(0)())
	golden(t, "digest.txt", b.String())
}
