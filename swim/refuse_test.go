package swim

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var errForeign = errors.New("part of another datacenter")

// of lets in who is of a datacenter.
func of(dc string) Config {
	c := LAN()
	c.Tags = map[string]string{"dc": dc}
	c.Refuse = func(u *Update) error {
		if u.Tags["dc"] != dc {
			return errForeign
		}
		return nil
	}
	return c
}

// Pools that one of their members is told to join do not become one, however long that member tries; and it is told why.
func TestForeignPoolsStayApart(t *testing.T) {
	t.Parallel()
	w := newNetwork(t, 1)
	for i := range 3 {
		w.add(i, of("a"))
		w.add(10+i, of("b"))
	}
	for _, p := range w.peers {
		w.join(p, w.peers[0], w.peers[1])
		w.run(time.Second)
	}
	w.fire(w.peers[0], "of a")
	w.fire(w.peers[3], "of b")
	for range 20 {
		w.join(w.peers[1], w.peers[0])
		w.run(10 * time.Second)
	}
	for _, p := range w.peers {
		require.Len(t, p.Members(), 3, p.name)
		for _, m := range p.Members() {
			require.Equal(t, p.cfg.Tags, m.Tags)
		}
		require.Equal(t, []string{"of " + p.cfg.Tags["dc"]}, eventNames(p.fired), "%s: events must not pass from one pool to the other", p.name)
	}
	require.ErrorIs(t, w.peers[1].joined[len(w.peers[1].joined)-1].Err, errForeign)
	require.NotEmpty(t, w.peers[0].notices)
	require.Positive(t, w.peers[0].Stats().StrangersRefused)
	require.Less(t, len(w.peers[0].notices), 20, "not each time")
}

// Ages with which a node that reckons would pass the end of its clock are nobody's. Such a claim kept Tick busy for ever.
func TestAgesWithoutEnd(t *testing.T) {
	t.Parallel()
	for _, age := range []time.Duration{maxAge + 1, math.MaxInt64 - 1, math.MaxInt64} {
		n := solo(t, Config{})
		u := claimOf(5, StateDead, 1)
		u.Age = age
		heard(n, time.Second, aliveClaim(5, 1), u)
		n.HandlePacket(time.Second, Packet{Addr: address(2), Message: Message{Type: MsgGossip, From: "n00002"},
			Events: []UserEvent{{LTime: 7, Name: "e", From: "n00002", Age: age}}})
		n.Tick(2 * time.Second)
		m, known := n.Member(nodeName(5))
		require.True(t, known)
		require.Equal(t, StateAlive, m.State)
		require.EqualValues(t, 1, n.Stats().InvalidUpdates)
		require.EqualValues(t, 1, n.Stats().EventsInvalid)
	}
	n := solo(t, Config{})
	u := claimOf(5, StateDead, 1)
	u.Age = maxAge
	heard(n, time.Second, aliveClaim(5, 1), u)
	n.Tick(2 * time.Second)
	_, known := n.Member(nodeName(5))
	require.False(t, known, "it is long past its time")
	require.ErrorContains(t, Config{Name: "a", Addr: address(1), ReconnectTimeout: math.MaxInt64}.WithDefaults().Validate(), "reconnect timeout")
}

// What others tell is shown in logs: none of it begins a line of its own.
func TestIDsArePrintable(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"a\nb", "\x1b[2J", "\xff", strings.Repeat("x", MaxID+1)} {
		u := aliveClaim(5, 1)
		u.ID = id
		require.ErrorIs(t, u.Validate(), ErrUpdate, "%q", id)
	}
	u := aliveClaim(5, 1)
	u.ID = ""
	require.NoError(t, u.Validate())
}

// Nor what a stranger has in its tags, which the reason to keep it out may quote.
func TestNoticesAreOneLine(t *testing.T) {
	t.Parallel()
	n := solo(t, Config{Refuse: func(u *Update) error { return fmt.Errorf("wrong datacenter '%s'", u.Tags["dc"]) }})
	u := aliveClaim(5, 1)
	u.Tags = map[string]string{"dc": "a\n[ERROR] b\x1b"}
	heard(n, 0, u)
	require.Equal(t, "wrong datacenter 'a\ufffd[ERROR] b\ufffd'; it is not let in", n.Output().Notices[0].Text)
}

// However many names are invented, the log does not fill with them, and this member still hears of its own.
func TestReportsAreBounded(t *testing.T) {
	t.Parallel()
	n := solo(t, Config{Refuse: func(u *Update) error { return errForeign }})
	reports := func(now time.Duration, names int) int {
		for i := range names {
			heard(n, now, aliveClaim(100+i, 1))
		}
		return len(n.Output().Notices)
	}
	require.Equal(t, maxConflicts, reports(0, 1000))
	require.Zero(t, reports(conflictEvery-1, 1000))
	require.True(t, n.mayReport("self"))
	require.False(t, n.mayReport("self"))
	require.InDelta(t, maxConflicts, reports(conflictEvery, 1000), 1)
	require.LessOrEqual(t, len(n.conflicts), maxConflicts+1)
}

// Who waits for a join to be answered is told that this member has left.
func TestJoinsEndWithLeave(t *testing.T) {
	t.Parallel()
	n := solo(t, Config{})
	n.Join(0, []netip.AddrPort{address(2), address(3)})
	n.Leave(0)
	out := n.Output()
	require.True(t, out.Left)
	require.Equal(t, []JoinResult{{Addr: address(2), Err: ErrLeft}, {Addr: address(3), Err: ErrLeft}}, out.Joined)
}
