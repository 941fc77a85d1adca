package swim

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What operators of pools have come to fear: each of these tests is a promise that they do not have to.

// remember hands the node dead members, as a full state would.
func remember(w *network, p *peer, dead int, age time.Duration) {
	all := make([]*Update, dead)
	for i := range all {
		u := claimOf(20000+i, StateDead, 1)
		u.Age = age
		all[i] = &u
	}
	w.do(p, func(now time.Duration) {
		p.HandleStream(now, Packet{Addr: p.addr, Message: Message{Type: MsgPushPullReply, Members: all}})
	})
}

// Ten thousand dead members that are remembered keep nobody from joining, even if there is no room for all of them in
// a full state or in the new node's memory.
func TestJoinWithManyDeadRemembered(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]Config{
		"all fits": {}, "small states": {MaxState: 30000}, "few members": {MaxMembers: 40}, "both": {MaxState: 30000, MaxMembers: 40},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newNetwork(t, 151)
			w.cluster(10, Config{MaxState: cfg.MaxState})
			w.run(10 * time.Second)
			for _, p := range w.peers {
				remember(w, p, 10000, time.Hour)
			}
			w.run(10 * time.Second)
			late := w.add(11, cfg)
			w.join(late, w.peers[0])
			w.until(3*time.Second, "joined", w.agree(0))
			require.NoError(t, late.joined[0].Err)
			require.Zero(t, late.count(EventFailed))
			w.run(40 * time.Second)
			require.True(t, w.agree(0)(), "and stays")
			if cfg.MaxMembers == 0 && cfg.MaxState == 0 {
				require.Equal(t, 10000, late.Stats().Failed)
			}
		})
	}
}

// Who is gone takes no room from others, not even from others that are gone.
func TestTheDeadDoNotCrowdOut(t *testing.T) {
	t.Parallel()
	n := solo(t, Config{MaxMembers: 4})
	heard(n, 0, aliveClaim(2, 1), claimOf(3, StateDead, 1), claimOf(4, StateLeft, 1), claimOf(5, StateDead, 1), claimOf(6, StateLeft, 1))
	for i, known := range []bool{true, true, true, false, false} {
		_, got := n.Member(nodeName(i + 2))
		require.Equal(t, known, got, i+2)
	}
	require.EqualValues(t, 2, n.Stats().MembersRefused)
	heard(n, 0, aliveClaim(5, 1), aliveClaim(6, 1), aliveClaim(7, 1))
	require.Equal(t, 4, n.NumAlive())
}

// News reaches the living within seconds although most gossip could go to the many that failed at once.
func TestNewsAmongManyDead(t *testing.T) {
	t.Parallel()
	w := newNetwork(t, 152)
	w.cluster(12, Config{GossipToTheDead: time.Hour, PushPullInterval: time.Hour})
	w.run(20 * time.Second)
	for _, p := range w.peers {
		remember(w, p, 3000, 0)
		p.queue.clear()
		p.checks = checks{}
	}
	require.NoError(t, w.peers[3].SetTags(w.now, map[string]string{"news": "yes"}))
	w.drain(w.peers[3])
	for _, p := range w.peers {
		p.checks = checks{}
	}
	w.until(2*time.Second, "told", func() bool {
		for _, p := range w.peers {
			if m, _ := p.Member(w.peers[3].name); m.Tags["news"] == "" {
				return false
			}
		}
		return true
	})
}

// A partition heals however long it lasts: also when both sides have forgotten each other.
func TestPartitionLongerThanMemory(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ n, side int }{{2, 1}, {10, 1}, {12, 6}, {70, 35}} {
		t.Run(fmt.Sprintf("%d of %d", c.side, c.n), func(t *testing.T) {
			t.Parallel()
			w := newNetwork(t, uint64(160+c.n))
			w.cluster(c.n, Config{ReconnectTimeout: 2 * time.Minute})
			w.until(time.Minute, "joined", w.agree(0))
			side := make(map[*peer]bool)
			for _, p := range w.peers[:c.side] {
				side[p] = true
			}
			w.cut = func(a, b *peer) bool { return side[a] != side[b] }
			w.run(10 * time.Minute)
			for _, p := range w.peers {
				for _, q := range w.peers {
					_, known := p.Member(q.name)
					require.Equal(t, side[p] == side[q], known, "the others are forgotten")
				}
			}
			w.cut = nil
			t.Logf("healed after %v", w.until(4*time.Minute, "healed", w.agree(0)))
			for _, p := range w.peers {
				require.Empty(t, p.exiles)
			}
		})
	}
}

// Exiles are few, each once; who left is none; and a stranger that got the address of one is not drawn in.
func TestExiles(t *testing.T) {
	t.Parallel()
	w := newNetwork(t, 171)
	w.cluster(3, Config{ReconnectTimeout: time.Minute, TombstoneTimeout: time.Minute})
	w.run(10 * time.Second)
	p, gone, leaver := w.peers[0], w.peers[1], w.peers[2]
	w.do(leaver, leaver.Leave)
	w.run(time.Second)
	w.crash(leaver)
	w.crash(gone)
	w.run(5 * time.Minute)
	require.Equal(t, []exile{{gone.name, gone.addr}}, p.exiles)
	stranger := w.add(5, Config{})
	w.crash(stranger)
	stranger.addr = gone.addr
	w.start(stranger)
	w.run(10 * time.Minute)
	require.NotZero(t, stranger.Stats().InvalidMessages)
	require.Equal(t, 1, stranger.NumAlive())
	require.Equal(t, 1, p.NumAlive())

	n := solo(t, Config{})
	for i := range 1000 {
		n.banish(ptr(aliveClaim(i%100+2, 1)))
		n.check()
	}
	seen := make(map[string]bool)
	for _, e := range n.exiles {
		require.False(t, seen[e.name])
		seen[e.name] = true
	}
	require.Len(t, seen, maxExiles)
}

// Nobody remembers again those who are about to be forgotten, whoever still does.
func TestAboutToBeForgotten(t *testing.T) {
	t.Parallel()
	n := solo(t, Config{ReconnectTimeout: 16 * time.Minute, TombstoneTimeout: 32 * time.Minute})
	for _, c := range []struct {
		state State
		age   time.Duration
		known bool
	}{
		{StateDead, 14 * time.Minute, true}, {StateDead, 15*time.Minute + time.Second, false}, {StateDead, time.Hour, false},
		{StateLeft, 29 * time.Minute, true}, {StateLeft, 31 * time.Minute, false},
	} {
		u := claimOf(5, c.state, 1)
		u.Age = c.age
		n.HandleStream(0, Packet{Addr: address(2), Message: Message{Type: MsgPushPullReply, Members: []*Update{&u}}})
		m := n.table.get(u.Name)
		require.Equal(t, c.known, m != nil, c)
		if m != nil {
			n.forget(m)
		}
	}
}

// A machine that refuses the connection tells that the process is gone: nobody waits for the end of the period.
func TestRefusedIsSuspectedAtOnce(t *testing.T) {
	t.Parallel()
	n := solo(t, Config{})
	heard(n, 0, aliveClaim(5, 1), aliveClaim(6, 1))
	at := n.timers.At(timerProbe)
	n.Tick(at)
	target := n.probe.target.claim
	n.StreamRefused(at, target.Addr)
	require.Equal(t, StateAlive, n.probe.target.claim.State, "no stream was tried")
	n.Tick(at + n.cfg.ProbeTimeout)
	n.StreamFailed(at+n.cfg.ProbeTimeout, target.Addr)
	n.StreamRefused(at+n.cfg.ProbeTimeout, address(99))
	require.Equal(t, StateAlive, n.probe.target.claim.State)
	n.StreamRefused(at+n.cfg.ProbeTimeout, target.Addr)
	m, _ := n.Member(target.Name)
	require.Equal(t, StateSuspect, m.State)
	require.EqualValues(t, 1, n.Stats().Suspicions)
	require.Zero(t, n.Stats().Health, "helpers have the rest of the period for their nacks")
	n.StreamRefused(at+n.cfg.ProbeTimeout, target.Addr)
	n.Tick(at + n.cfg.ProbeInterval)
	require.EqualValues(t, 1, n.Stats().Suspicions)
	require.EqualValues(t, 1, n.Stats().Health, "one helper, no nack")

	took := func(refuses bool) (sum time.Duration) {
		for seed := range uint64(40) {
			w := newNetwork(t, 180+seed)
			w.cluster(8, Config{})
			w.run(20 * time.Second)
			w.refuses = refuses
			w.crash(w.peers[7])
			sum += w.until(30*time.Second, "dead", w.agree(StateDead))
		}
		return sum / 40
	}
	slow, fast := took(false), took(true)
	t.Logf("dead for all after %v, %v if refused", slow, fast)
	require.Less(t, fast, slow-200*time.Millisecond)
}

// A node that lost its disk, got another ID and another address takes over its old name when its former self is
// found dead, without anybody's help.
func TestWipedAndMoved(t *testing.T) {
	t.Parallel()
	w := newNetwork(t, 191)
	w.cluster(10, Config{})
	w.run(20 * time.Second)
	p := w.peers[7]
	w.crash(p)
	p.addr, p.kept, p.cfg.ID = address(500), 0, "another"
	w.start(p)
	w.join(p, w.peers[0])
	w.until(20*time.Second, "believed", w.agree(0))
}

// A node that slept for longer than the pool remembers the dead does not bring them back to life.
func TestLongSleepDoesNotResurrect(t *testing.T) {
	t.Parallel()
	w := newNetwork(t, 201)
	w.cluster(8, Config{ReconnectTimeout: 2 * time.Minute, TombstoneTimeout: 2 * time.Minute})
	w.run(20 * time.Second)
	sleeper, dead := w.peers[0], w.peers[5]
	sleeper.up = false // its timers and packets are lost, its memory is not
	w.crash(dead)
	w.run(6 * time.Minute)
	joins := w.peers[1].count(EventJoin)
	sleeper.up = true
	w.drain(sleeper)
	w.until(20*time.Second, "back", w.agree(0))
	w.run(5 * time.Minute)
	require.True(t, w.agree(0)())
	require.Equal(t, joins+1, w.peers[1].count(EventJoin), "only the sleeper came back")
	require.Equal(t, []exile{{dead.name, dead.addr}}, sleeper.exiles)
}
