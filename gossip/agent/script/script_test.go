package script

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"concord/gossip/agent/event"
	"concord/gossip/agent/logs"
	"concord/swim"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"foo.sh":                              "*: foo.sh",
		"member-join=foo.sh":                  "member-join: foo.sh",
		"member-join,member-leave=foo.sh":     "member-join: foo.sh; member-leave: foo.sh",
		"user:deploy=A=1 foo.sh":              "user:deploy A=1 foo.sh",
		"query:load=uptime":                   "query:load uptime",
		"=cat":                                "*: cat",
		"*=cat":                               "*: cat",
		"user=awk '{print $2}' | grep -c foo": "user: awk '{print $2}' | grep -c foo",
	} {
		got, err := Parse(text)
		require.NoError(t, err, text)
		var shown []string
		for _, s := range got {
			shown = append(shown, s.Filter.String()+" "+s.Command)
		}
		require.Equal(t, want, strings.Join(shown, "; "), text)
	}
	for _, bad := range []string{"foo=bar", "member-join=", "", "="} {
		got, err := Parse(bad)
		require.ErrorContains(t, err, "Invalid event script", "%q: %v", bad, got)
	}
}

var self = swim.Member{Update: swim.Update{Name: "agent-one", Addr: netip.MustParseAddrPort("127.0.0.1:7946"),
	Tags: map[string]string{"role": "web", "data-center": "east\x00", "9lives": "x"}}}

// lab runs scripts and keeps what they answer.
type lab struct {
	*Runner
	dir string
	mu  sync.Mutex
	// answers are those to queries, by number.
	answers map[uint32]string
	refuse  error
}

func newLab(t *testing.T, specs ...string) *lab {
	l := &lab{dir: t.TempDir(), answers: map[uint32]string{}}
	var scripts []Script
	for _, s := range specs {
		parsed, err := Parse(strings.ReplaceAll(s, "DIR", l.dir))
		require.NoError(t, err)
		scripts = append(scripts, parsed...)
	}
	host := Host{Self: func() swim.Member { return self }, Log: logs.New(io.Discard, "", logs.Err), Respond: func(id swim.QueryID, payload []byte) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.refuse != nil {
			return l.refuse
		}
		l.answers[id.Number] = string(payload)
		return nil
	}}
	l.Runner = NewRunner(host, scripts)
	t.Cleanup(func() { l.end(t) })
	return l
}

// end waits for all scripts.
func (l *lab) end(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	l.Close(ctx)
	require.NoError(t, ctx.Err(), "the scripts do not end")
}

func (l *lab) file(t *testing.T, name string) string {
	data, err := os.ReadFile(filepath.Join(l.dir, name))
	require.NoError(t, err)
	return string(data)
}

const show = `{ env | grep ^SERF_ | sort; echo --; cat; } >> DIR/out`

func TestEnvironmentAndInput(t *testing.T) {
	t.Parallel()
	own := "SERF_SELF_NAME=agent-one\nSERF_SELF_ROLE=web\nSERF_TAG_9LIVES=x\nSERF_TAG_DATA_CENTER=east\nSERF_TAG_ROLE=web\n"
	members := event.Event{Type: "member-join", Members: []swim.Member{
		{Update: swim.Update{Name: "a", Addr: netip.MustParseAddrPort("10.0.0.1:7946"), Tags: map[string]string{"role": "db", "dc": "w"}}},
		{Update: swim.Update{Name: "tab\there\n", Addr: netip.MustParseAddrPort("[::1]:7946")}},
	}}
	for name, tc := range map[string]struct {
		event event.Event
		want  string
	}{
		"members": {members, "SERF_EVENT=member-join\n" + own + "--\na\t10.0.0.1\tdb\tdc=w,role=db\ntab\\there\\n\t::1\t\t\n"},
		"a user event": {event.OfUser(swim.UserEvent{LTime: 7, Name: "deploy", Payload: []byte("v7")}),
			"SERF_EVENT=user\n" + own + "SERF_USER_EVENT=deploy\nSERF_USER_LTIME=7\n--\nv7\n"},
		"one without a payload": {event.OfUser(swim.UserEvent{LTime: 7, Name: "deploy"}), "SERF_EVENT=user\n" + own + "SERF_USER_EVENT=deploy\nSERF_USER_LTIME=7\n--\n"},
		"a query": {event.OfQuery(swim.Question{ID: swim.QueryID{LTime: 9}, Name: "load", Payload: []byte("1m\n")}),
			"SERF_EVENT=query\nSERF_QUERY_LTIME=9\nSERF_QUERY_NAME=load\n" + own + "--\n1m\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, show)
			l.Handle(tc.event)
			l.end(t)
			require.Equal(t, tc.want, l.file(t, "out"))
		})
	}
}

func TestOrderAndChoice(t *testing.T) {
	t.Parallel()
	l := newLab(t, "user:a=cat >> DIR/out; sleep 0.01", "user=cat >> DIR/all")
	var want strings.Builder
	for i := range 20 {
		fmt.Fprintln(&want, i)
		l.Handle(event.OfUser(swim.UserEvent{Name: "a", Payload: fmt.Append(nil, i)}))
	}
	l.Handle(event.OfUser(swim.UserEvent{Name: "b", Payload: []byte("b")}))
	l.end(t)
	require.Equal(t, want.String(), l.file(t, "out"), "scripts run in the order of the events")
	require.Equal(t, want.String()+"b\n", l.file(t, "all"))
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	l := newLab(t, "query:load=echo 0.5; echo oops >&2", "query:silent=true", "query:fails=echo no; false", "query:big=head -c 20000 /dev/zero | tr '\\0' x; echo end")
	for i, name := range []string{"load", "silent", "fails", "big", "nobody"} {
		l.Handle(event.OfQuery(swim.Question{Name: name, ID: swim.QueryID{Number: uint32(i)}}))
	}
	l.end(t)
	require.Len(t, l.answers, 2)
	require.Equal(t, "0.5\noops\n", l.answers[0])
	require.Len(t, l.answers[3], maxOutput, "the end of the output is kept")
	require.True(t, strings.HasSuffix(l.answers[3], "xend\n"))
}

// A query is answered although the scripts of other events take long.
func TestQueriesDoNotWait(t *testing.T) {
	t.Parallel()
	l := newLab(t, "user=until [ -e DIR/go ]; do sleep 0.01; done", "query=touch DIR/go; echo yes")
	l.Handle(event.OfUser(swim.UserEvent{Name: "slow"}))
	l.Handle(event.OfQuery(swim.Question{Name: "q"}))
	l.end(t)
	require.Equal(t, "yes\n", l.answers[0])
}

func TestBounds(t *testing.T) {
	t.Parallel()
	l := newLab(t, "*=until [ -e DIR/go ]; do sleep 0.01; done; echo x >> DIR/out; echo yes")
	for i := range maxQueries + 5 {
		l.Handle(event.OfQuery(swim.Question{Name: "q", ID: swim.QueryID{Number: uint32(i)}}))
	}
	for range maxQueued + 100 {
		l.Handle(event.OfUser(swim.UserEvent{Name: "e"}))
	}
	l.mu.Lock()
	l.Runner.mu.Lock()
	require.LessOrEqual(t, len(l.queue), maxQueued)
	l.queue = l.queue[:0] // the rest would take its time
	l.Runner.mu.Unlock()
	l.mu.Unlock()
	require.NoError(t, os.WriteFile(filepath.Join(l.dir, "go"), nil, 0o600))
	l.end(t)
	require.Len(t, l.answers, maxQueries)
}

// What still runs when the agent has to end is killed, with what it started.
func TestKilledAtTheEnd(t *testing.T) {
	t.Parallel()
	l := newLab(t, "user=(touch DIR/started; sleep 100; touch DIR/survived) & wait")
	l.Handle(event.OfUser(swim.UserEvent{Name: "e"}))
	require.Eventually(t, func() bool { _, err := os.Stat(filepath.Join(l.dir, "started")); return err == nil }, 10*time.Second, time.Millisecond)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	l.Close(ctx)
	l.Handle(event.OfUser(swim.UserEvent{Name: "late"}))
	_, err := os.Stat(filepath.Join(l.dir, "survived"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

// A script that does not end is killed, and the next one has its turn.
func TestKilledInTime(t *testing.T) {
	t.Parallel()
	l := newLab(t, "user=sleep 100", "user=touch DIR/next", "query=echo half; sleep 100")
	l.timeout = 100 * time.Millisecond
	l.Handle(event.OfUser(swim.UserEvent{Name: "e"}))
	l.Handle(event.OfQuery(swim.Question{Name: "q"}))
	l.end(t)
	require.FileExists(t, filepath.Join(l.dir, "next"))
	require.Empty(t, l.answers, "half an answer is none")
}

// A script that leaves something in the background has ended when it ends itself.
func TestBackground(t *testing.T) {
	t.Parallel()
	l := newLab(t, "query=sleep 20 & echo done")
	begun := time.Now()
	l.Handle(event.OfQuery(swim.Question{Name: "q"}))
	l.end(t)
	require.Equal(t, "done\n", l.answers[0])
	require.Less(t, time.Since(begun), 15*time.Second)
}

func TestReplacedScripts(t *testing.T) {
	t.Parallel()
	l := newLab(t, "user=touch DIR/old")
	l.refuse = errors.New("too late")
	l.SetScripts(nil)
	require.Empty(t, l.Scripts())
	l.Handle(event.OfUser(swim.UserEvent{Name: "e"}))
	parsed, err := Parse("*=touch " + l.dir + "/new; echo refused")
	require.NoError(t, err)
	l.SetScripts(parsed)
	l.Handle(event.OfQuery(swim.Question{Name: "q"}))
	l.end(t)
	require.NoFileExists(t, filepath.Join(l.dir, "old"))
	require.FileExists(t, filepath.Join(l.dir, "new"))
	require.Empty(t, l.answers)
}

// FuzzParse reads any handler. What it chooses is what was said.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"foo.sh", "member-join,user:deploy=foo.sh", "query:load=A=1 uptime", "*=x", "="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		scripts, err := Parse(text)
		if err != nil {
			return
		}
		var types []string
		for _, s := range scripts {
			types = append(types, strings.TrimSuffix(s.Filter.String(), ":"))
			require.Equal(t, scripts[0].Command, s.Command)
		}
		again, err := Parse(strings.Join(types, ",") + "=" + scripts[0].Command)
		require.NoError(t, err)
		require.Equal(t, scripts, again)
	})
}
