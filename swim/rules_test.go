package swim

import (
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"testing"
	"time"

	"concord/internal/prng"
	"concord/internal/tick"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The whole of the precedence: for each pair of states, whether claim a overrides claim b when a's
// incarnation is lower, equal and higher.
func TestPrecedes(t *testing.T) {
	t.Parallel()
	pruned := StateLeft + 1
	claim := func(s State, inc uint64, id string) *Update {
		if s == pruned {
			return &Update{State: StateLeft, Prune: true, Incarnation: inc, ID: id}
		}
		return &Update{State: s, Incarnation: inc, ID: id}
	}
	for _, c := range []struct {
		a, b  State
		equal bool // of one incarnation, a overrides b
		rule  string
	}{
		{StateAlive, StateAlive, false, "{Alive i} overrides {Alive j}, i > j"},
		{StateAlive, StateSuspect, false, "{Alive i} overrides {Suspect j}, i > j"},
		{StateAlive, StateDead, false, "departure from the paper: a restart is believed, i > j"},
		{StateAlive, StateLeft, false, "who left comes back with i > j"},
		{StateAlive, pruned, false, "who was pruned comes back with i > j"},
		{StateSuspect, StateAlive, true, "{Suspect i} overrides {Alive j}, i >= j"},
		{StateSuspect, StateSuspect, false, "{Suspect i} overrides {Suspect j}, i > j"},
		{StateSuspect, StateDead, false, "a suspicion of a later incarnation tells that there was one"},
		{StateSuspect, StateLeft, false, ""},
		{StateSuspect, pruned, false, ""},
		{StateDead, StateAlive, true, "{Confirm i} overrides {Alive j}; here for i >= j only"},
		{StateDead, StateSuspect, true, "{Confirm i} overrides {Suspect j}; here for i >= j only"},
		{StateDead, StateDead, false, ""},
		{StateDead, StateLeft, false, "who left did not fail"},
		{StateDead, pruned, false, ""},
		{StateLeft, StateAlive, true, ""},
		{StateLeft, StateSuspect, true, "a suspicion does not stop who leaves"},
		{StateLeft, StateDead, true, "force-leave turns failed into left"},
		{StateLeft, StateLeft, false, ""},
		{StateLeft, pruned, false, ""},
		{pruned, StateAlive, true, ""},
		{pruned, StateSuspect, true, ""},
		{pruned, StateDead, true, ""},
		{pruned, StateLeft, true, "who left can be pruned"},
		{pruned, pruned, false, ""},
	} {
		for _, id := range []string{"", "a"} {
			name := fmt.Sprintf("%d over %d: %s", c.a, c.b, c.rule)
			require.False(t, precedes(claim(c.a, 4, id), claim(c.b, 5, id)), name)
			require.Equal(t, c.equal, precedes(claim(c.a, 5, id), claim(c.b, 5, id)), name)
			require.True(t, precedes(claim(c.a, 6, id), claim(c.b, 5, id)), name)
			require.True(t, precedes(claim(c.a, 5, id+"x"), claim(c.b, 5, id)), "owner before rank: "+name)
			require.False(t, precedes(claim(c.a, 5, id), claim(c.b, 5, id+"x")), "owner before rank: "+name)
			require.True(t, precedes(claim(c.a, 6, id), claim(c.b, 5, id+"x")), "incarnation before owner: "+name)
		}
	}
}

func solo(t tester, cfg Config) *Node {
	cfg.Name, cfg.ID, cfg.Addr = "self", "id-self", address(1)
	n, err := New(cfg, prng.New(1), 0)
	require.NoError(t, err)
	n.Output()
	return n
}

func aliveClaim(i int, inc uint64) Update {
	return Update{State: StateAlive, Name: nodeName(i), ID: "id-" + nodeName(i), Addr: address(i), Incarnation: inc, From: nodeName(i)}
}

func claimOf(i int, s State, inc uint64) Update {
	u := aliveClaim(i, inc)
	u.State, u.From = s, "n00002"
	return u
}

func ptr[T any](v T) *T { return &v }

// heard hands the claims to the node in packets of one.
func heard(n *Node, now time.Duration, claims ...Update) {
	for _, u := range claims {
		n.HandlePacket(now, Packet{Addr: address(2), Message: Message{Type: MsgGossip, From: "n00002"}, Updates: []*Update{&u}})
	}
}

// What one claim after another makes of a member, and which events that gives.
func TestRules(t *testing.T) {
	t.Parallel()
	tagged := aliveClaim(5, 3)
	tagged.Tags = map[string]string{"a": "b"}
	moved := aliveClaim(5, 3)
	moved.Addr = address(55)
	old := claimOf(5, StateDead, 1)
	old.Age = 100 * time.Hour
	for _, c := range []struct {
		name   string
		claims []Update
		state  State
		inc    uint64
		events string
	}{
		{"join", []Update{aliveClaim(5, 1)}, StateAlive, 1, "member-join"},
		{"twice", []Update{aliveClaim(5, 1), aliveClaim(5, 1)}, StateAlive, 1, "member-join"},
		{"suspicion is no event", []Update{aliveClaim(5, 1), claimOf(5, StateSuspect, 1)}, StateSuspect, 1, "member-join"},
		{"an old suspicion does nothing", []Update{aliveClaim(5, 2), claimOf(5, StateSuspect, 1)}, StateAlive, 2, "member-join"},
		{"refutation needs a higher incarnation", []Update{aliveClaim(5, 1), claimOf(5, StateSuspect, 1), aliveClaim(5, 1)}, StateSuspect, 1, "member-join"},
		{"refuted", []Update{aliveClaim(5, 1), claimOf(5, StateSuspect, 1), aliveClaim(5, 2)}, StateAlive, 2, "member-join"},
		{"confirmed", []Update{aliveClaim(5, 1), claimOf(5, StateDead, 1)}, StateDead, 1, "member-join member-failed"},
		{"no resurrection", []Update{aliveClaim(5, 1), claimOf(5, StateDead, 1), aliveClaim(5, 1), claimOf(5, StateSuspect, 1)}, StateDead, 1, "member-join member-failed"},
		{"an old confirm does nothing", []Update{aliveClaim(5, 2), claimOf(5, StateDead, 1)}, StateAlive, 2, "member-join"},
		{"restarted", []Update{aliveClaim(5, 1), claimOf(5, StateDead, 1), aliveClaim(5, 2)}, StateAlive, 2, "member-join member-failed member-join"},
		{"left", []Update{aliveClaim(5, 1), claimOf(5, StateLeft, 1), claimOf(5, StateDead, 1)}, StateLeft, 1, "member-join member-leave"},
		{"forced to leave", []Update{aliveClaim(5, 1), claimOf(5, StateDead, 1), claimOf(5, StateLeft, 1)}, StateLeft, 1, "member-join member-failed member-leave"},
		{"left and back", []Update{aliveClaim(5, 1), claimOf(5, StateLeft, 1), aliveClaim(5, 2)}, StateAlive, 2, "member-join member-leave member-join"},
		{"tags", []Update{aliveClaim(5, 1), tagged}, StateAlive, 3, "member-join member-update"},
		{"address", []Update{aliveClaim(5, 1), moved}, StateAlive, 3, "member-join member-update"},
		{"tags of a suspect's incarnation", []Update{aliveClaim(5, 1), claimOf(5, StateSuspect, 3), tagged}, StateSuspect, 3, "member-join member-update"},
		{"failed before it was known", []Update{claimOf(5, StateDead, 1)}, StateDead, 1, ""},
		{"forgotten long ago", []Update{old}, 0, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n := solo(t, Config{})
			heard(n, time.Second, c.claims...)
			m, _ := n.Member(nodeName(5))
			require.Equal(t, c.state, m.State)
			require.Equal(t, c.inc, m.Incarnation)
			var events []string
			for _, e := range n.Output().Events {
				events = append(events, e.Type.String())
			}
			require.Equal(t, c.events, strings.Join(events, " "))
		})
	}
}

// Claims about the node itself (SWIM section 4.2: only the owner raises its incarnation).
func TestRulesOfSelf(t *testing.T) {
	t.Parallel()
	own := func(s State, inc uint64) Update {
		return Update{State: s, Name: "self", ID: "id-self", Addr: address(1), Incarnation: inc, From: "n00002"}
	}
	with := func(u Update, f func(*Update)) Update { f(&u); return u }
	for _, c := range []struct {
		name  string
		claim Update
		inc   uint64
		tells bool
	}{
		{"true", own(StateAlive, 11), 11, false},
		{"stale", own(StateAlive, 3), 11, false},
		{"old suspicion", own(StateSuspect, 3), 11, true},
		{"suspicion", own(StateSuspect, 11), 12, true},
		{"dead", own(StateDead, 11), 12, true},
		{"left", own(StateLeft, 11), 12, true},
		{"a former life's", own(StateAlive, 57), 58, true},
		{"dead in a former life", own(StateDead, 57), 58, true},
		{"old address, incarnation lost", with(own(StateAlive, 11), func(u *Update) { u.Addr = address(7) }), 12, true},
		{"old tags, incarnation lost", with(own(StateAlive, 11), func(u *Update) { u.Tags = map[string]string{"a": "b"} }), 12, true},
		{"wiped", with(own(StateAlive, 57), func(u *Update) { u.ID = "old" }), 58, true},
		{"another node", with(own(StateAlive, 57), func(u *Update) { u.ID, u.Addr = "other", address(7) }), 11, false},
		{"another node failed", with(own(StateDead, 57), func(u *Update) { u.ID, u.Addr = "other", address(7) }), 58, true},
		{"out of range", own(StateDead, maxIncarnation), 11, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n := solo(t, Config{Incarnation: 10})
			heard(n, time.Second, c.claim)
			require.Equal(t, c.inc, n.Local().Incarnation)
			require.Equal(t, StateAlive, n.Local().State)
			out := n.Output()
			told := false
			for _, p := range out.Packets {
				told = told || p.Addr == address(2) && p.Updates[0].Incarnation == c.inc && p.Updates[0].Name == "self"
			}
			require.Equal(t, c.tells, told)
			if c.inc != 11 {
				require.Equal(t, c.inc, out.Incarnation)
			}
		})
	}
}

// A failure told by push/pull is only a suspicion of who is alive here.
func TestNoDeathByPushPull(t *testing.T) {
	t.Parallel()
	for _, s := range []State{StateDead, StateLeft} {
		n := solo(t, Config{})
		heard(n, time.Second, aliveClaim(5, 1))
		n.HandleStream(time.Second, Packet{Addr: address(2), Message: Message{Type: MsgPushPull, Members: []*Update{ptr(claimOf(5, s, 1))}}})
		m, _ := n.Member(nodeName(5))
		require.Equal(t, StateSuspect, m.State)
		require.Equal(t, "self", m.From)
		n.HandleStream(time.Second, Packet{Addr: address(2), Message: Message{Type: MsgPushPull, Members: []*Update{
			{State: StateLeft, Name: m.Name, ID: m.ID, Addr: m.Addr, Incarnation: 1, From: m.Name}}}})
		m, _ = n.Member(nodeName(5))
		require.Equal(t, StateLeft, m.State, "its own word")
	}
}

// A failure of long ago is remembered by who hears of it for the first time, but not passed on.
func TestOldFailuresAreNoNews(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		age  time.Duration
		news bool
	}{{0, true}, {29 * time.Second, true}, {30 * time.Second, false}, {time.Hour, false}} {
		n := solo(t, Config{})
		heard(n, time.Second, aliveClaim(5, 1))
		n.queue.clear()
		u := claimOf(6, StateDead, 1)
		u.Age = c.age
		n.HandleStream(time.Second, Packet{Addr: address(2), Message: Message{Type: MsgPushPull, Members: []*Update{&u}}})
		m, known := n.Member(u.Name)
		require.True(t, known)
		require.Equal(t, StateDead, m.State)
		require.Equal(t, c.news, n.queue.has(u.Name), "%v", c.age)
	}
}

// All nodes that heard the same claims believe the same, in whatever order and however often they
// came: merging is commutative, associative and idempotent.
func TestConvergenceInAnyOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		var claims []Update
		for range rapid.IntRange(1, 12).Draw(rt, "claims") {
			inc := rapid.Uint64Range(1, 4).Draw(rt, "incarnation")
			who := rapid.IntRange(5, 6).Draw(rt, "who")
			u := claimOf(who, State(rapid.IntRange(int(StateAlive), int(StateLeft)).Draw(rt, "state")), inc)
			// Only its owner makes an incarnation, so all claims of it tell the same address and tags.
			owner := rapid.IntRange(0, 1).Draw(rt, "owner")
			u.ID = fmt.Sprint("owner", owner)
			u.Addr = netip.AddrPortFrom(address(who).Addr(), uint16(1000+10*owner+int(inc)))
			if tellsTags(&u) || rapid.Bool().Draw(rt, "tags") {
				u.Tags = map[string]string{"inc": fmt.Sprint(u.ID, inc)}
			}
			u.Prune = u.State == StateLeft && rapid.Bool().Draw(rt, "prune")
			claims = append(claims, u)
		}
		believe := func(order []int) string {
			n := solo(t, Config{})
			for _, i := range order {
				heard(n, time.Second, claims[i])
			}
			n.checkMembers()
			var s strings.Builder
			for _, slot := range n.table.ordered() {
				m := n.table.member(slot)
				c := m.claim
				fmt.Fprintln(&s, c.Name, c.State, c.ID, c.Addr, c.Incarnation, c.Prune)
				if m.told() == c.Incarnation {
					fmt.Fprintln(&s, c.Tags)
				}
			}
			return s.String()
		}
		order := make([]int, len(claims))
		for i := range order {
			order[i] = i
		}
		want := believe(order)
		again := append(rapid.Permutation(order).Draw(rt, "order"), rapid.SliceOf(rapid.SampledFrom(order)).Draw(rt, "again")...)
		require.Equal(rt, want, believe(again))
	})
}

// Lifeguard section IV-B, with alpha 4 and beta 6 as in memberlist's documentation.
func TestSuspicionTimeout(t *testing.T) {
	t.Parallel()
	cfg := LAN()
	s := newSuspicion(&cfg, 100, time.Second, "a")
	require.Equal(t, 8*time.Second, s.min)
	require.Equal(t, 49*time.Second, s.end())
	require.False(t, s.confirm("a"), "not independent")
	require.True(t, s.confirm("b"))
	require.InDelta(t, float64(time.Second+48*time.Second-time.Duration(0.6309*float64(40*time.Second))), float64(s.end()), float64(10*time.Millisecond))
	require.True(t, s.confirm("c"))
	require.Equal(t, 9*time.Second, s.end())
	require.False(t, s.confirm("d"), "enough")
	tiny := newSuspicion(&cfg, 3, 0, "a")
	require.Equal(t, 4*time.Second, tiny.end(), "nobody to confirm")
}

func TestConfirmationsShorten(t *testing.T) {
	t.Parallel()
	n := solo(t, Config{})
	for i := 2; i < 10; i++ {
		heard(n, 0, aliveClaim(i, 1))
	}
	suspect := func(from string) time.Duration {
		u := claimOf(5, StateSuspect, 1)
		u.From = from
		heard(n, time.Second, u)
		return n.watch.next()
	}
	first := suspect("n00002")
	require.Equal(t, 25*time.Second, first)
	require.Equal(t, first, suspect("n00002"))
	require.Equal(t, first, suspect("stranger"))
	second := suspect("n00003")
	require.Less(t, second, first)
	require.Equal(t, 5*time.Second, suspect("n00004"))
	for n.NextDeadline() < 5*time.Second {
		n.Tick(n.NextDeadline())
	}
	m, _ := n.Member(nodeName(5))
	require.Equal(t, StateSuspect, m.State)
	n.Tick(5 * time.Second)
	m, _ = n.Member(nodeName(5))
	require.Equal(t, StateDead, m.State)
}

// Lifeguard section IV-A.
func TestAwareness(t *testing.T) {
	t.Parallel()
	a := awareness{max: 8}
	a.add(-1)
	require.Equal(t, time.Second, a.scale(time.Second))
	a.add(3)
	require.Equal(t, 4*time.Second, a.scale(time.Second))
	a.add(100)
	require.Equal(t, 8*time.Second, a.scale(time.Second))
	a.add(-1)
	require.Equal(t, 7*time.Second, a.scale(time.Second))
}

// SWIM section 4.1: lambda log(N+1), least sent first.
func TestQueue(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]int{1: 4, 8: 4, 9: 4, 10: 8, 99: 8, 100: 12, 9999: 16} {
		require.Equal(t, want, transmitLimit(4, n), n)
	}
	q := newQueue()
	claims := make([]Update, 5)
	for i := range claims {
		claims[i] = aliveClaim(i, 1)
		q.put(&claims[i])
	}
	names := func(skip string, budget int) string {
		s := ""
		for _, u := range q.take(nil, budget, 3, skip) {
			s += u.Name[5:]
		}
		return s
	}
	size := claims[0].Size()
	require.Equal(t, "", names("", size-1))
	require.Equal(t, "01", names("", 2*size))
	require.Equal(t, "34", names(nodeName(2), 2*size), "least sent first")
	require.Equal(t, "20", names("", 2*size))
	newer := aliveClaim(0, 2)
	q.put(&newer)
	require.Equal(t, 5, q.len(), "the newer takes the place of the older")
	require.Equal(t, "01342", names("", 5*size))
	require.Equal(t, "01342", names("", 100*size))
	require.Equal(t, "0", names("", 100*size), "the others were sent three times")
	require.Equal(t, "", names("", 100*size))
	require.Zero(t, q.len())
	q.put(&newer)
	same := newer
	q.heard(&same, 3)
	q.heard(&claims[0], 3)
	q.heard(&claims[1], 3)
	require.Equal(t, "0", names("", size), "what others told counts as sent; what they told of other incarnations or members does not")
	q.put(&newer)
	q.put(&claims[1])
	q.heard(&newer, 3)
	require.Equal(t, "1", names("", size), "others need it more")
	q.heard(&newer, 3)
	q.heard(&newer, 3)
	require.Equal(t, "1", names("", 100*size), "three have it")
	q.put(&newer)
	q.clear()
	require.Equal(t, "", names("", 100*size))
}

// SWIM section 4.3: each member is probed once in each round, whoever comes and goes meanwhile; so the
// time to the first probe is bounded by 2N-1 periods.
func TestRoundRobin(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		rng := prng.New(rapid.Uint64().Draw(rt, "seed"))
		table := newTable(7)
		var members []*member
		waits := make(map[*member]int) // probes of others since its last one
		next := 0
		for range rapid.IntRange(1, 200).Draw(rt, "steps") {
			switch what := rapid.IntRange(0, 9).Draw(rt, "what"); {
			case what == 0 && len(members) > 0:
				i := rng.IntN(len(members))
				table.remove(members[i])
				delete(waits, members[i])
				members = append(members[:i:i], members[i+1:]...)
			case what <= 2:
				u := aliveClaim(next, 1)
				next++
				members = append(members, table.add(&u, live, rng))
			default:
				m := table.next(rng)
				require.Equal(rt, len(members) == 0, m == nil)
				if m == nil {
					continue
				}
				for o := range maps.Keys(waits) {
					waits[o]++
				}
				waits[m] = 0
				for o, wait := range waits {
					require.Less(rt, wait, 2*next, "%s is left out", o.claim.Name)
				}
			}
		}
	})
}

func TestPickIsDistinct(t *testing.T) {
	t.Parallel()
	rng := prng.New(3)
	for size := range 60 {
		table := newTable(7)
		for i := range size {
			u := aliveClaim(i, 1)
			table.add(&u, listID(i%2), rng)
		}
		for k := range 6 {
			var skip *member
			if size > 0 {
				skip = table.at(0, live)
			}
			got := table.pick(nil, k, live, recent, skip, rng)
			require.LessOrEqual(t, len(got), k)
			require.GreaterOrEqual(t, len(got), min(k, max(0, size-1))/2)
			if size <= 4*(k+1) {
				require.Len(t, got, min(k, max(0, size-1)))
			}
			seen := make(map[*member]bool)
			for _, m := range got {
				require.False(t, seen[m] || m == skip)
				seen[m] = true
			}
		}
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for _, c := range []Config{LAN(), WAN(), Fast(), SWIM(), {}} {
		c = c.WithDefaults()
		c.Name, c.Addr = "a", address(1)
		require.NoError(t, c.Validate())
	}
	err := Config{Name: "a\nb", ProbeInterval: -1}.WithDefaults().Validate()
	require.ErrorIs(t, err, ErrConfig)
	require.ErrorIs(t, err, ErrUpdate)
	require.ErrorContains(t, err, "probe interval")
	_, err = New(Config{}, prng.New(1), 0)
	require.ErrorIs(t, err, ErrConfig)
}

// MinPacket holds any message with any one update.
func TestMinPacket(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", MaxName)
	u := Update{State: StateAlive, Name: long, From: long, ID: long[:MaxID], Addr: address(1), Tags: map[string]string{"": strings.Repeat("x", MaxTags-5)}}
	require.NoError(t, u.Validate())
	p := Packet{Message: Message{Type: MsgPingReq, Target: long, From: long}, Updates: []*Update{&u}}
	require.LessOrEqual(t, p.Size(), MinPacket)
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*Update){
		"no state":         func(u *Update) { u.State = 0 },
		"unknown state":    func(u *Update) { u.State = 9 },
		"no name":          func(u *Update) { u.Name = "" },
		"long name":        func(u *Update) { u.Name = strings.Repeat("x", MaxName+1) },
		"control in name":  func(u *Update) { u.Name = "a\x00b" },
		"bad UTF-8":        func(u *Update) { u.Name = "\xff" },
		"long ID":          func(u *Update) { u.ID = strings.Repeat("x", MaxID+1) },
		"bad author":       func(u *Update) { u.From = "\n" },
		"no address":       func(u *Update) { u.Addr = netip.AddrPort{} },
		"no port":          func(u *Update) { u.Addr = netip.AddrPortFrom(address(1).Addr(), 0) },
		"wildcard address": func(u *Update) { u.Addr = netip.AddrPortFrom(netip.IPv4Unspecified(), 1) },
		"zone":             func(u *Update) { u.Addr = netip.MustParseAddrPort("[fe80::1%eth0]:1") },
		"incarnation":      func(u *Update) { u.Incarnation = 1 << 63 },
		"negative age":     func(u *Update) { u.Age = -1 },
		"tags":             func(u *Update) { u.Tags = map[string]string{"a": strings.Repeat("x", MaxTags)} },
	} {
		u := aliveClaim(5, 1)
		require.NoError(t, u.Validate())
		spoil(&u)
		require.ErrorIs(t, u.Validate(), ErrUpdate, name)
		n := solo(t, Config{})
		heard(n, 0, u)
		require.Len(t, n.Members(), 1)
		require.EqualValues(t, 1, n.Stats().InvalidUpdates)
	}
}

func TestMaxMembers(t *testing.T) {
	t.Parallel()
	n := solo(t, Config{MaxMembers: 4})
	heard(n, 0, aliveClaim(2, 1), aliveClaim(3, 1), aliveClaim(4, 1), aliveClaim(5, 1))
	require.Equal(t, 4, n.NumAlive())
	require.EqualValues(t, 1, n.Stats().MembersRefused)
	heard(n, 0, claimOf(3, StateDead, 1), aliveClaim(5, 1))
	require.Equal(t, 4, n.NumAlive(), "who is gone makes room")
	_, known := n.Member(nodeName(3))
	require.False(t, known)
}

// A probe asked for is answered with a nack at 80% of the timeout, and with the ack if that comes late.
func TestRelay(t *testing.T) {
	t.Parallel()
	n := solo(t, Config{})
	req := Packet{Addr: address(2), Message: Message{Type: MsgPingReq, Seq: 77, Target: nodeName(5), Addr: address(5), From: "n00002"}}
	n.HandlePacket(0, req)
	ping := n.Output().Packets[0]
	require.Equal(t, address(5), ping.Addr)
	require.Equal(t, 400*time.Millisecond, n.NextDeadline())
	n.Tick(400 * time.Millisecond)
	nack := n.Output().Packets[0]
	require.Equal(t, MsgNack, nack.Message.Type)
	require.Equal(t, uint64(77), nack.Message.Seq)
	n.HandlePacket(450*time.Millisecond, Packet{Addr: address(5), Message: Message{Type: MsgAck, Seq: ping.Message.Seq, From: nodeName(5)}})
	ack := n.Output().Packets[0]
	require.Equal(t, Message{Type: MsgAck, Seq: 77, From: "self"}, ack.Message)
	require.Equal(t, address(2), ack.Addr)
	require.Equal(t, tick.Never, n.NextDeadline())
	for range 2 * maxRelays {
		n.HandlePacket(time.Second, req)
	}
	require.EqualValues(t, maxRelays, n.Stats().RelaysRefused)
	n.Tick(1400 * time.Millisecond)
	n.Tick(1500 * time.Millisecond)
	require.Equal(t, tick.Never, n.NextDeadline())
}

// A full state that is too large is cut, never refused.
func TestStateIsBounded(t *testing.T) {
	t.Parallel()
	n := solo(t, Config{MaxState: 20000})
	for i := range 1000 {
		heard(n, 0, aliveClaim(i+2, 1))
	}
	size, seen := 0, make(map[string]bool)
	for range 200 {
		state := n.state(nil)
		require.Equal(t, "self", state[0].Name)
		size = 0
		for i := range state {
			size += state[i].Size()
			seen[state[i].Name] = true
		}
		require.LessOrEqual(t, size, 20000)
		require.Greater(t, size, 17000)
	}
	require.Greater(t, len(seen), 900)
}
