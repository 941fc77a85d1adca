package swim

import (
	"testing"
	"time"

	"concord/internal/tick"

	"github.com/stretchr/testify/require"
)

// A helper's nack arrives within the period of the one that asked, whatever the timing and far away: those who find
// a failure are not ill themselves.
func TestNacksArriveInTime(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]Config{"LAN": LAN(), "WAN": WAN(), "Fast": Fast()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newNetwork(t, 131)
			w.latency = [2]time.Duration{cfg.ProbeTimeout / 50, cfg.ProbeTimeout / 30}
			w.cluster(8, cfg)
			w.until(2*time.Minute, "joined", w.agree(0))
			w.crash(w.peers[7])
			w.until(3*time.Minute, "dead", w.agree(StateDead))
			var failed, nacks uint64
			for _, p := range w.peers[:7] {
				s := p.Stats()
				failed, nacks = failed+s.ProbesFailed, nacks+s.NacksSent
				require.Zero(t, s.Health)
				require.Zero(t, s.NacksMissed)
			}
			require.NotZero(t, failed)
			require.NotZero(t, nacks)
		})
	}
}

// Each part of Lifeguard can be switched off; what is left is SWIM.
func TestLifeguardSwitchedOff(t *testing.T) {
	t.Parallel()
	t.Run("local health", func(t *testing.T) {
		t.Parallel()
		n := solo(t, Config{Without: LocalHealth})
		heard(n, 0, aliveClaim(2, 1))
		for range 40 {
			n.Tick(n.NextDeadline())
		}
		require.NotZero(t, n.Stats().ProbesFailed)
		n.Tick(time.Hour)
		require.Zero(t, n.Stats().Health)
		require.Zero(t, n.Stats().Stalls)
	})
	t.Run("dynamic suspicion", func(t *testing.T) {
		t.Parallel()
		cfg := SWIM()
		s := newSuspicion(&cfg, 100, 0, "a")
		require.Equal(t, 8*time.Second, s.end())
		require.False(t, s.confirm("b"), "nothing to shorten")
	})
	t.Run("buddy", func(t *testing.T) {
		t.Parallel()
		for _, without := range []Lifeguard{0, Buddy} {
			n := solo(t, Config{Without: without})
			heard(n, 0, aliveClaim(2, 1), claimOf(2, StateSuspect, 1))
			n.queue.clear()
			n.Tick(n.timers.At(timerProbe))
			require.Equal(t, without == 0, len(n.Output().Packets[0].Updates) == 1)
			own := n.Local().Update
			own.State, own.Incarnation = StateSuspect, 0
			heard(n, time.Second, own)
			require.Equal(t, without == 0, len(n.Output().Packets) == 1)
		}
	})
	t.Run("nacks", func(t *testing.T) {
		t.Parallel()
		n := solo(t, Config{Without: Nacks})
		n.HandlePacket(0, Packet{Addr: address(2), Message: Message{Type: MsgPingReq, Seq: 77, Target: nodeName(5), Addr: address(5), From: "n00002"}})
		n.Output()
		n.Tick(400 * time.Millisecond)
		n.Tick(500 * time.Millisecond)
		require.Empty(t, n.Output().Packets)
		require.Equal(t, tick.Never, n.NextDeadline())

		w := newNetwork(t, 132)
		w.cluster(6, SWIM())
		w.until(time.Minute, "joined", w.agree(0))
		w.crash(w.peers[5])
		w.until(time.Minute, "dead", w.agree(StateDead))
		for _, p := range w.peers[:5] {
			require.Zero(t, p.Stats().NacksMissed+p.Stats().NacksSent)
		}
	})
}
