package swim

import (
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"concord/internal/prng"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func (w *network) fire(p *peer, name string) {
	require.NoError(w.t, p.FireEvent(w.now, name, nil, false))
	w.drain(p)
}

func eventNames(events []UserEvent) []string {
	var names []string
	for _, e := range events {
		names = append(names, e.Name)
	}
	return names
}

func TestTraceEvent(t *testing.T) {
	t.Parallel()
	w, b := newNetwork(t, 1), strings.Builder{}
	w.cluster(3, Config{})
	w.run(5 * time.Second)
	w.trace = func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }
	w.fire(w.peers[1], "deploy")
	w.run(700 * time.Millisecond)
	golden(t, "event.txt", b.String())
}

// However many packets are lost or come twice, each member delivers each event once, and those of one sender in order.
func TestEventsReachAllOnceInOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newNetwork(t, rapid.Uint64().Draw(t, "seed"))
		w.cluster(rapid.IntRange(2, 9).Draw(t, "members"), Config{})
		w.run(5 * time.Second)
		w.loss = rapid.Uint64Range(0, 30).Draw(t, "loss")
		w.twice = rapid.Uint64Range(0, 50).Draw(t, "twice")
		sent := make(map[string][]string) // by sender
		total := rapid.IntRange(1, 30).Draw(t, "events")
		for i := range total {
			p := w.peers[rapid.IntRange(0, len(w.peers)-1).Draw(t, "sender")]
			name := fmt.Sprintf("%s-%d", p.name, i)
			w.fire(p, name)
			sent[p.name] = append(sent[p.name], name)
			w.run(time.Duration(rapid.IntRange(0, 1500).Draw(t, "wait")) * time.Millisecond)
		}
		w.run(2 * time.Minute) // a full state exchange brings what gossip lost
		for _, p := range w.peers {
			require.Len(t, p.fired, total, "%s heard %v", p.name, eventNames(p.fired))
			for from, names := range inOrder(t, p) {
				require.ElementsMatch(t, sent[from], names)
			}
		}
	})
}

// inOrder returns the names of the events that a member delivered, by sender, and checks their order: only one that was on its
// way for so long that others did not wait for it any more may be late.
func inOrder(t require.TestingT, p *peer) map[string][]string {
	last, names := make(map[string]uint64), make(map[string][]string)
	for _, e := range p.fired {
		if e.LTime < last[e.From] {
			require.Greater(t, e.Age, p.holdTime()-time.Second, "%s comes late at %s", e.Name, p.name)
		}
		last[e.From], names[e.From] = e.LTime, append(names[e.From], e.Name)
	}
	return names
}

// A later event that comes first waits for the one before it, but not for ever.
func TestEventsOfOneSenderWaitForEachOther(t *testing.T) {
	t.Parallel()
	n := solo(t, Config{})
	e := func(ltime, prev uint64) UserEvent {
		return UserEvent{LTime: ltime, Prev: prev, Name: fmt.Sprint(ltime), From: "a"}
	}
	tell := func(now time.Duration, es ...UserEvent) []string {
		n.HandlePacket(now, Packet{Addr: address(1), Message: Message{Type: MsgGossip, From: "a"}, Events: es})
		return eventNames(n.Output().UserEvents)
	}
	require.Empty(t, tell(0, e(7, 5)))
	require.Empty(t, tell(0, e(5, 3)))
	require.Equal(t, []string{"3", "5", "7"}, tell(0, e(3, 0)))
	require.Empty(t, tell(time.Second, e(12, 9)))
	at := n.NextDeadline()
	require.Equal(t, time.Second+n.holdTime(), at)
	n.Tick(at)
	require.Equal(t, []string{"12"}, eventNames(n.Output().UserEvents))
	require.Equal(t, []string{"9"}, tell(at, e(9, 7)), "late is better than never")
	require.EqualValues(t, 1, n.Stats().EventsOutOfOrder)
}

// What was fired before a member began is not delivered to it, whether it is new or was there before, unless it asks
// for it.
func TestEventsAreNotReplayed(t *testing.T) {
	t.Parallel()
	w := newNetwork(t, 3)
	w.cluster(5, Config{})
	w.run(5 * time.Second)
	for i := range 10 {
		w.fire(w.peers[i%5], fmt.Sprint("old", i))
		w.run(time.Second)
	}
	w.run(time.Minute)
	back := w.peers[4]
	require.Len(t, back.fired, 10)
	w.crash(back)
	w.run(10 * time.Second)
	w.fire(w.peers[0], "missed")
	w.run(time.Second)
	w.start(back)
	w.join(back, w.peers[0])
	late := w.add(5, Config{})
	w.join(late, w.peers[1])
	eager := w.add(6, Config{})
	eager.JoinReplay(w.now, []netip.AddrPort{w.peers[2].addr})
	w.drain(eager)
	w.run(time.Second)
	w.fire(back, "new")
	w.run(2 * time.Minute)
	require.Equal(t, []string{"new"}, eventNames(back.fired))
	require.Equal(t, []string{"new"}, eventNames(late.fired))
	require.Len(t, eager.fired, 12)
	require.Greater(t, back.fired[0].LTime, uint64(11), "the clock of the pool was learned")
}

// A member that kept its clock does not deliver again what it delivered before, even if it asks for a replay.
func TestEventClockOutlivesARestart(t *testing.T) {
	t.Parallel()
	w := newNetwork(t, 4)
	w.cluster(3, Config{})
	w.run(5 * time.Second)
	w.fire(w.peers[0], "before")
	w.run(10 * time.Second)
	back := w.peers[2]
	back.cfg.EventClock, back.cfg.QueryClock = back.EventClock(), back.QueryClock()
	w.crash(back)
	w.fire(w.peers[0], "meanwhile")
	w.run(5 * time.Second)
	w.start(back)
	back.JoinReplay(w.now, []netip.AddrPort{w.peers[0].addr})
	w.drain(back)
	w.run(time.Minute)
	require.Equal(t, []string{"meanwhile"}, eventNames(back.fired))
}

func TestFireEventRefuses(t *testing.T) {
	t.Parallel()
	n := solo(t, Config{MaxEvent: 20})
	require.ErrorIs(t, n.FireEvent(0, "", nil, false), ErrEvent)
	require.NoError(t, n.FireEvent(0, "name", make([]byte, 16), false))
	require.ErrorContains(t, n.FireEvent(0, "name", make([]byte, 17), false), "limit of 20 bytes")
	n.Leave(0)
	require.ErrorIs(t, n.FireEvent(0, "name", nil, false), ErrLeft)
	require.EqualValues(t, 1, n.Stats().EventsFired)
}

// What is remembered stays bounded, whatever Lamport times are told.
func TestEventsAreBounded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := solo(t, Config{EventBuffer: 4})
		for i := range 200 {
			e := UserEvent{LTime: rapid.OneOf(rapid.Uint64Range(0, 30), rapid.Uint64()).Draw(t, "time"), Name: "e", From: "a", Number: uint32(i),
				Prev: rapid.Uint64Range(0, 3).Draw(t, "prev")}
			n.HandlePacket(0, Packet{Message: Message{Type: MsgGossip, From: "a"}, Events: []UserEvent{e}})
			remembered := 0
			for at, list := range n.events.recent.slots {
				require.GreaterOrEqual(t, at, n.events.recent.floor)
				remembered += len(list)
			}
			require.Equal(t, remembered, n.events.recent.total)
		}
	})
}

func TestCastsDropTheOldestOfTheMostSent(t *testing.T) {
	t.Parallel()
	var q casts
	item := func(i int) *cast {
		return &cast{event: &heardEvent{UserEvent: UserEvent{Name: fmt.Sprint(i)}}, size: 10}
	}
	for i := range maxCasts {
		require.False(t, q.put(item(i)))
	}
	p := Packet{}
	require.Equal(t, 5, q.take(&p, 35, 3, 0))
	require.Equal(t, []string{"0", "1", "2"}, eventNames(p.Events))
	require.True(t, q.put(item(maxCasts)))
	require.Equal(t, maxCasts, q.len())
	for range 3 * maxCasts {
		p = Packet{}
		q.take(&p, 10, 3, 0)
		require.NotEqual(t, []string{"0"}, eventNames(p.Events), "it was dropped")
	}
	require.Zero(t, q.len())
	p = Packet{}
	q.put(&cast{query: &heardQuery{deadline: 5}, size: 10})
	q.take(&p, 100, 3, 5)
	require.Empty(t, p.Queries, "its time is over")
	require.Zero(t, q.len())
}

func TestCoalescer(t *testing.T) {
	t.Parallel()
	c := NewCoalescer(3*time.Second, time.Second)
	e := func(name string, ltime uint64, payload string) UserEvent {
		return UserEvent{Name: name, LTime: ltime, Payload: []byte(payload), Coalesce: true}
	}
	require.False(t, c.Add(0, UserEvent{Name: "a", LTime: 1}))
	require.True(t, c.Add(0, e("a", 2, "")))
	require.True(t, c.Add(time.Second/2, e("a", 5, "x")))
	require.True(t, c.Add(time.Second/2, e("a", 4, "")))
	require.True(t, c.Add(time.Second/2, e("b", 3, "")))
	require.True(t, c.Add(time.Second/2, e("a", 5, "y")))
	require.Empty(t, c.Due(time.Second))
	require.Equal(t, 3*time.Second/2, c.NextDeadline())
	require.Equal(t, []UserEvent{e("b", 3, ""), e("a", 5, "x"), e("a", 5, "y")}, c.Due(3*time.Second/2))
	for at := 2 * time.Second; at < 5*time.Second; at += time.Second / 2 {
		require.True(t, c.Add(at, e("a", uint64(at), "")))
	}
	require.Equal(t, 5*time.Second, c.NextDeadline(), "a burst that does not end")
	require.Len(t, c.Due(5*time.Second), 1)
	require.Empty(t, c.Due(time.Hour))
	require.False(t, NewCoalescer(0, 0).Add(0, e("a", 1, "")))
}

// An absurd time, as a hostile member may tell, is not believed, and costs nothing.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	n := solo(t, Config{})
	clocks := func(event, query uint64) {
		n.HandlePacket(0, Packet{Addr: address(1), Message: Message{Type: MsgGossip, From: "a"}, Clocks: Clocks{Event: event, Query: query}})
	}
	clocks(maxLTime-2, 1<<63)
	require.EqualValues(t, 1, n.EventClock())
	require.EqualValues(t, 1, n.QueryClock())
	clocks(maxJump, maxJump+2)
	require.EqualValues(t, maxJump+1, n.EventClock())
	require.EqualValues(t, 1, n.QueryClock())
	require.LessOrEqual(t, uint64(n.events.clock)-n.eventsFrom(), uint64(digestSpan))
	require.True(t, n.eventsDiffer(&Digest{EventsFrom: 1, Events: 7}))
	require.NoError(t, n.FireEvent(0, "e", nil, false))
	require.EqualValues(t, maxJump+1, n.Output().UserEvents[0].LTime)
}

// What another pool tells is not for this one.
func TestForeignEventsAreNotHeard(t *testing.T) {
	t.Parallel()
	n := solo(t, Config{Refuse: func(u *Update) error { return ErrUpdate }})
	n.HandleStream(0, Packet{Addr: address(1), Message: Message{Type: MsgPushPull, From: nodeName(1), Members: []*Update{ptr(aliveClaim(1, 1))}},
		Clocks: Clocks{Event: 100}, Events: []UserEvent{{LTime: 7, Name: "e", From: nodeName(1)}}})
	require.Empty(t, n.Output().UserEvents)
	require.EqualValues(t, 1, n.EventClock())
}

// Whatever members crash and come back, and whether they kept their clock or not, none delivers an event twice, and those that
// stayed deliver all.
func TestNoEventTwice(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newNetwork(t, rapid.Uint64().Draw(t, "seed"))
		w.cluster(rapid.IntRange(3, 7).Draw(t, "members"), Config{})
		w.run(5 * time.Second)
		w.loss, w.twice = rapid.Uint64Range(0, 20).Draw(t, "loss"), rapid.Uint64Range(0, 50).Draw(t, "twice")
		fired := 0
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			p := w.peers[rapid.IntRange(0, len(w.peers)-1).Draw(t, "who")]
			switch keep := rapid.Bool().Draw(t, "keep"); {
			case p.up && p != w.peers[0] && rapid.IntRange(0, 3).Draw(t, "crash") == 0:
				p.cfg.EventClock = 0
				if keep {
					p.cfg.EventClock = p.EventClock()
				}
				w.crash(p)
			case p.up:
				w.fire(p, "e")
				if fired++; p != w.peers[0] {
					w.run(20 * time.Second) // the others have it before its sender may be gone
				}
			default:
				w.start(p)
				w.join(p, w.peers[0])
			}
			w.run(time.Duration(rapid.IntRange(400, 5000).Draw(t, "wait")) * time.Millisecond)
		}
		w.run(2 * time.Minute)
		for _, p := range w.peers {
			seen := make(map[string]bool)
			for _, e := range append(p.before, p.fired...) {
				id := fmt.Sprint(e.From, e.LTime, e.Number)
				require.False(t, seen[id], "%s got %+v twice", p.name, e)
				seen[id] = true
			}
		}
		require.Len(t, w.peers[0].fired, fired)
	})
}

// Who is told of old events before it asks for their replay gets them nevertheless, once.
func TestReplayOfWhatWasHeard(t *testing.T) {
	t.Parallel()
	n, err := New(Config{Name: "self", ID: "id-self", Addr: address(1), EventClock: 3}, prng.New(1), time.Hour)
	require.NoError(t, err)
	for i := range uint64(6) {
		n.HandleStream(time.Hour, Packet{Addr: address(2), Message: Message{Type: MsgPushPull, From: "a"},
			Events: []UserEvent{{LTime: 6 - i, Name: fmt.Sprint(6 - i), From: "a", Age: time.Duration(7-i) * time.Second}}})
	}
	require.Empty(t, n.Output().UserEvents)
	for _, want := range [][]string{{"3", "4", "5", "6"}, nil} {
		n.JoinReplay(time.Hour, []netip.AddrPort{address(2)})
		require.Equal(t, want, eventNames(n.Output().UserEvents))
	}
}

// A burst reaches everybody; what is too much is refused where it is fired.
func TestBurstOfEvents(t *testing.T) {
	t.Parallel()
	w := newNetwork(t, 8)
	w.cluster(6, Config{})
	w.run(5 * time.Second)
	w.loss = 5
	var sent []string
	for i := 0; ; i++ {
		name := fmt.Sprint(i)
		if err := w.peers[0].FireEvent(w.now, name, nil, false); err != nil {
			require.ErrorContains(t, err, "wait to be told")
			break
		}
		sent = append(sent, name)
	}
	w.drain(w.peers[0])
	require.Len(t, sent, maxBurst)
	w.run(2 * time.Minute)
	for _, p := range w.peers {
		require.ElementsMatch(t, sent, inOrder(t, p)[nodeName(0)], p.name)
		require.Zero(t, p.Stats().CastsDropped)
	}
	w.fire(w.peers[0], "again")
	alone := solo(t, Config{})
	for range 2 * maxCasts {
		require.NoError(t, alone.FireEvent(0, "e", nil, false), "there is nobody to tell")
	}
}

// An event reaches everybody in a number of rounds of gossip that grows with the logarithm of the pool, also if a tenth of the
// packets is lost.
func TestEventsSpreadFast(t *testing.T) {
	t.Parallel()
	for _, members := range []int{16, 64, 256} {
		w := newNetwork(t, uint64(members))
		w.cluster(members, Config{})
		w.run(20 * time.Second)
		w.loss = 10
		slowest, total := time.Duration(0), time.Duration(0)
		const events = 10
		for i := range events {
			w.fire(w.peers[i%members], fmt.Sprint(i))
			took := w.until(30*time.Second, "everybody has the event", func() bool {
				return !slices.ContainsFunc(w.peers, func(p *peer) bool { return len(p.fired) <= i })
			})
			slowest, total = max(slowest, took), total+took
			w.run(5 * time.Second)
		}
		t.Logf("%d members: everybody has an event after %v on the average, %v at most", members, total/events, slowest)
		rounds := time.Duration(bits.Len(uint(members)))
		require.LessOrEqual(t, total/events, rounds*LAN().GossipInterval)
	}
}

// A clock that goes ahead does not make what was fired before a member began look as if it was fired after it.
func TestClockAheadMakesNothingYounger(t *testing.T) {
	t.Parallel()
	deliver := func(ahead time.Duration) []UserEvent {
		n, err := New(Config{Name: "a", Addr: address(1)}, prng.New(1), 0)
		require.NoError(t, err)
		n.ClockAhead(ahead)
		event := UserEvent{LTime: 5, Name: "deploy", From: "b", Number: 1, Age: time.Second}
		n.HandlePacket(2*time.Second, Packet{Addr: address(2), Message: Message{Type: MsgGossip, From: "b"}, Events: []UserEvent{event}})
		return n.Output().UserEvents
	}
	require.Len(t, deliver(0), 1, "fired a second after this member began")
	require.Empty(t, deliver(2*time.Second), "fired a second before it: the clock went ahead at once")
}
