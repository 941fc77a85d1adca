package event

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"concord/internal/tick"
	"concord/swim"
)

func TestFilters(t *testing.T) {
	t.Parallel()
	join := Event{Type: "member-join"}
	deploy, other := OfUser(swim.UserEvent{Name: "deploy"}), OfUser(swim.UserEvent{Name: "other"})
	load := OfQuery(swim.Question{Name: "load"})
	for spec, want := range map[string][4]bool{ // join, deploy, other, load
		"":                        {true, true, true, true},
		"*":                       {true, true, true, true},
		"member-join":             {true, false, false, false},
		"member-leave":            {},
		"user":                    {false, true, true, false},
		"user:deploy":             {false, true, false, false},
		"query":                   {false, false, false, true},
		"query:load":              {false, false, false, true},
		"query:deploy":            {},
		"member-join,user:deploy": {true, true, false, false},
		"member-failed,query:x,*": {true, true, true, true},
	} {
		filters, err := ParseFilters(spec)
		require.NoError(t, err, spec)
		for i, e := range []*Event{&join, &deploy, &other, &load} {
			require.Equal(t, want[i], MatchAny(filters, e), "%q, %s", spec, e)
		}
	}
	for _, bad := range []string{"member", "member-join:a", ",", "user,foo", "USER", " user"} {
		_, err := ParseFilters(bad)
		require.Error(t, err, bad)
	}
}

func TestString(t *testing.T) {
	t.Parallel()
	user, query := OfUser(swim.UserEvent{Name: "a b"}), OfQuery(swim.Question{Name: "x\n[ERR] forged"})
	require.Equal(t, "user-event: a b", user.String())
	require.Equal(t, `query: "x\n[ERR] forged"`, query.String(), "a name cannot begin a line of its own")
	require.Equal(t, "member-reap", (&Event{Type: "member-reap"}).String())
}

func change(t swim.EventType, name string, tags ...string) swim.Event {
	e := swim.Event{Type: t}
	e.Member.Name, e.Member.Addr = name, netip.MustParseAddrPort("10.0.0.1:7946")
	for i := 0; i+1 < len(tags); i += 2 {
		e.Member.Tags = map[string]string{tags[i]: tags[i+1]}
	}
	return e
}

// told are the events in short.
func told(events []Event) string {
	var out []string
	for _, e := range events {
		if e.Type == User {
			out = append(out, "user "+e.User.Name+"="+string(e.User.Payload))
			continue
		}
		names := []string{}
		for _, m := range e.Members {
			names = append(names, m.Name)
		}
		out = append(out, strings.TrimPrefix(e.Type, "member-")+" "+strings.Join(names, ","))
	}
	return strings.Join(out, "; ")
}

// What is told is the outcome of a burst, to those who know what was told before.
func TestCoalesceMembers(t *testing.T) {
	t.Parallel()
	const join, leave, failed, update, reap = swim.EventJoin, swim.EventLeave, swim.EventFailed, swim.EventUpdate, swim.EventReap
	c := NewCoalescer()
	for _, step := range []struct {
		burst []swim.Event
		want  string
	}{
		{[]swim.Event{change(join, "b"), change(join, "a")}, "join a,b"},
		{[]swim.Event{change(failed, "a"), change(join, "a")}, ""},
		{[]swim.Event{change(failed, "a"), change(join, "a", "role", "db")}, "update a"},
		{[]swim.Event{change(update, "a", "role", "web")}, "update a"},
		{[]swim.Event{change(update, "a", "role", "web")}, "update a"},
		{[]swim.Event{change(failed, "a"), change(join, "a", "role", "web")}, ""},
		{[]swim.Event{change(failed, "b"), change(join, "c"), change(leave, "a")}, "join c; leave a; failed b"},
		{[]swim.Event{change(failed, "b")}, ""},
		{[]swim.Event{change(reap, "b"), change(update, "c")}, "update c; reap b"},
		{[]swim.Event{change(join, "b")}, "join b"},
		{[]swim.Event{change(join, "d"), change(update, "d", "role", "db")}, "join d"},
		{[]swim.Event{change(failed, "d"), change(join, "d"), change(failed, "d")}, "failed d"},
	} {
		for _, e := range step.burst {
			c.AddMember(0, e)
		}
		require.Equal(t, step.want, told(c.Flush(quiescentPeriod)), "%v", step.burst)
		require.Equal(t, tick.Never, c.Deadline())
	}
}

func TestCoalesceWindow(t *testing.T) {
	t.Parallel()
	c := NewCoalescer()
	require.Equal(t, tick.Never, c.Deadline())
	c.AddMember(0, change(swim.EventJoin, "a"))
	require.Equal(t, time.Second, c.Deadline())
	require.Empty(t, c.Flush(time.Second-1))
	for now := 500 * time.Millisecond; now < 3*time.Second; now += 500 * time.Millisecond {
		c.AddMember(now, change(swim.EventJoin, "a"))
	}
	require.Equal(t, 3*time.Second, c.Deadline(), "it does not wait for ever")
	require.Equal(t, "join a", told(c.Flush(3*time.Second)))

	require.False(t, c.AddUser(0, swim.UserEvent{Name: "x"}), "it does not want to wait")
	for i, payload := range []string{"1", "2", "3"} {
		require.True(t, c.AddUser(0, swim.UserEvent{LTime: uint64(i), Name: "x", Payload: []byte(payload), Coalesce: true}))
	}
	c.AddMember(0, change(swim.EventLeave, "a"))
	require.Equal(t, "leave a; user x=3", told(c.Flush(tick.Never)))
}

// Whoever follows what is told knows in the end who is there, in whatever bursts it happened.
func TestCoalesceTellsTheOutcome(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := NewCoalescer()
		is, known := map[string]string{}, map[string]string{} // by member, its tag while it is there
		now := time.Duration(0)
		follow := func(events []Event) {
			for _, e := range events {
				for _, m := range e.Members {
					switch e.Type {
					case "member-join", "member-update":
						known[m.Name] = m.Tags["t"]
					default:
						delete(known, m.Name)
					}
				}
			}
		}
		for range rapid.IntRange(1, 40).Draw(t, "changes") {
			now += time.Duration(rapid.IntRange(0, 1500).Draw(t, "pause")) * time.Millisecond
			follow(c.Flush(now))
			name, tag := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "name"), rapid.SampledFrom([]string{"1", "2"}).Draw(t, "tag")
			old, there := is[name]
			kind := swim.EventJoin
			switch {
			case !there:
				is[name] = tag
			case tag != old:
				kind, is[name] = swim.EventUpdate, tag
			default:
				kind = rapid.SampledFrom([]swim.EventType{swim.EventFailed, swim.EventLeave}).Draw(t, "end")
				delete(is, name)
			}
			c.AddMember(now, change(kind, name, "t", tag))
		}
		follow(c.Flush(tick.Never))
		require.True(t, maps.Equal(is, known), "there are %v, told was %v", is, known)
		require.LessOrEqual(t, len(c.told), 2)
	})
}

func TestFlushIsOrdered(t *testing.T) {
	t.Parallel()
	c := NewCoalescer()
	var want []string
	for _, name := range []string{"e", "c", "a", "d", "b"} {
		c.AddMember(0, change(swim.EventJoin, name))
		want = append(want, name)
	}
	slices.Sort(want)
	require.Equal(t, "join "+strings.Join(want, ","), told(c.Flush(tick.Never)))
}
