package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"concord/gossip/agent/event"
	"concord/gossip/agent/ipc"
	"concord/gossip/agent/logs"
	"concord/swim"
)

// member is an agent with a client of its own, and what it was told.
type member struct {
	*Agent
	t      *testing.T
	rpc    *ipc.Client
	events <-chan event.Event
	log    *logs.Log
}

// patience is how long something may take that takes a second or two.
const patience = 30 * time.Second

func start(t *testing.T, args ...string) *member {
	t.Helper()
	m, err := tryStart(t, args...)
	require.NoError(t, err)
	return m
}

func tryStart(t *testing.T, args ...string) (*member, error) {
	t.Helper()
	dir, err := os.MkdirTemp("", "rpc") // that of the test may be too long a name for a socket
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	cfg, _, err := Load(append([]string{"-bind", "127.0.0.1:0", "-profile", "local", "-rpc-addr", "unix://" + filepath.Join(dir, "s")}, args...))
	require.NoError(t, err)
	log := logs.New(t.Output(), cfg.NodeName+" ", logs.Debug)
	a, err := Start(cfg, log)
	if err != nil {
		return nil, err
	}
	m := &member{Agent: a, t: t, log: log}
	all, err := event.ParseFilters("")
	require.NoError(t, err)
	m.events, _ = a.Subscribe(all)
	t.Cleanup(m.stop)
	m.rpc, err = ipc.Dial(t.Context(), cfg.RPCAddr, cfg.RPCAuth)
	require.NoError(t, err)
	return m, nil
}

func (m *member) stop() {
	if m.Agent.ctx.Err() == nil {
		m.rpc.Close()
		require.NoError(m.t, m.Close())
	}
}

// await waits until an event was told, in short "user-event: deploy v7", or of members "member-join a,b", be it at once or in
// several parts. It returns the last of them.
func (m *member) await(want string) event.Event {
	m.t.Helper()
	kind, names, _ := strings.Cut(want, " ")
	missing := strings.Split(names, ",")
	timeout := time.After(patience)
	var told []string
	for {
		select {
		case e := <-m.events:
			if len(e.Members) == 0 {
				text := strings.TrimSpace(e.String() + " " + string(e.User.Payload))
				if told = append(told, text); text == want {
					return e
				}
				continue
			}
			for _, member := range e.Members {
				told = append(told, e.Type+" "+member.Name)
				if e.Type == kind {
					missing = slices.DeleteFunc(missing, func(name string) bool { return name == member.Name })
				}
			}
			if e.Type == kind && len(missing) == 0 {
				return e
			}
		case <-timeout:
			m.t.Fatalf("%s: %q is not told; told was %q", m.cfg.NodeName, want, told)
		}
	}
}

// next waits for an event of a type, whatever it is about.
func (m *member) next(kind string) event.Event {
	m.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case e := <-m.events:
			if e.Type == kind {
				return e
			}
		case <-timeout:
			m.t.Fatalf("%s: no event of type %s is told", m.cfg.NodeName, kind)
		}
	}
}

// shown are the members as the agent shows them.
func (m *member) shown() string {
	all, err := m.rpc.Members(ipc.Filter{})
	require.NoError(m.t, err)
	var out []string
	for _, o := range all {
		out = append(out, o.Name+" "+o.Status)
	}
	return strings.Join(out, ", ")
}

func (m *member) join(other *member) {
	m.t.Helper()
	n, err := m.rpc.Join([]string{other.Addr().String()}, false)
	require.NoError(m.t, err)
	require.Equal(m.t, 1, n)
}

// answers are what a query brings, in short.
func (m *member) answers(q ipc.Query) (acks int, answers map[string]string) {
	next, err := m.rpc.Query(q)
	require.NoError(m.t, err)
	answers = map[string]string{}
	for {
		r, err := next()
		require.NoError(m.t, err)
		switch r.Type {
		case ipc.RecordDone:
			return acks, answers
		case ipc.RecordAck:
			acks++
		default:
			answers[r.From] = string(r.Payload)
		}
	}
}

func TestLife(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := start(t, "-node", "a", "-tag", "role=web", "-event-handler", "query:load=echo busy $SERF_SELF_NAME")
	b := start(t, "-node", "b", "-event-handler", "query=cat", "-event-handler", "user:deploy=cat > "+dir+"/new; mv "+dir+"/new "+dir+"/deployed")
	a.await("member-join a")
	a.join(b)
	a.await("member-join b")
	b.await("member-join a,b")
	require.Equal(t, "a alive, b alive", b.shown())

	require.NoError(t, a.rpc.Event("deploy", []byte("v7"), true))
	require.Equal(t, "a", b.await("user-event: deploy v7").User.From)
	require.Eventually(t, func() bool { data, _ := os.ReadFile(dir + "/deployed"); return string(data) == "v7\n" }, patience, time.Millisecond)

	acks, answers := a.answers(ipc.Query{Name: "load", Payload: []byte("1m"), RequestAck: true, Timeout: time.Second})
	require.Equal(t, 2, acks)
	require.Equal(t, map[string]string{"a": "busy a\n", "b": "1m\n"}, answers)
	acks, answers = a.answers(ipc.Query{Name: "load", FilterTags: map[string]string{"role": "web"}, Timeout: time.Second})
	require.Zero(t, acks)
	require.Equal(t, map[string]string{"a": "busy a\n"}, answers)
	acks, answers = a.answers(ipc.Query{Name: "_serf_ping", Payload: []byte{}, RequestAck: true, Timeout: time.Second})
	require.Equal(t, 2, acks)
	require.Empty(t, answers, "scripts are not asked what agents ask one another")
	_, err := a.rpc.Query(ipc.Query{Name: "_serf_list-keys"})
	require.EqualError(t, err, "Queries cannot contain the '_serf_' prefix")

	require.NoError(t, a.rpc.ChangeTags(map[string]string{"role": "db", "new": "x"}, nil))
	b.await("member-update a")
	require.NoError(t, a.rpc.ChangeTags(nil, []string{"new"}))
	require.Equal(t, map[string]string{"role": "db"}, b.await("member-update a").Members[0].Tags)

	require.NoError(t, b.rpc.Leave())
	<-b.Done()
	require.Zero(t, b.ExitCode())
	b.stop()
	a.await("member-leave b")
	require.Equal(t, "a alive, b left", a.shown())
	require.NoError(t, a.rpc.ForceLeave("b", true))
	a.await("member-reap b")
	require.NoError(t, a.rpc.ForceLeave("nobody", false), "as in Serf")
}

func TestRefusedRequests(t *testing.T) {
	t.Parallel()
	a := start(t, "-node", "a")
	require.ErrorContains(t, a.rpc.Event("big", make([]byte, 600), false), "user event exceeds configured limit of 512 bytes")
	_, err := a.rpc.Query(ipc.Query{Name: "big", Payload: make([]byte, 2000)})
	require.ErrorContains(t, err, "query exceeds limit of 1024 bytes")
	require.EqualError(t, a.rpc.ChangeTags(map[string]string{"big": strings.Repeat("x", 600)}, nil), "Encoded length of tags exceeds limit of 512 bytes")
	_, err = a.rpc.Join([]string{"127.0.0.1:1"}, false)
	require.ErrorContains(t, err, "1 error occurred:\n\t* Failed to join 127.0.0.1:1: ")
	_, err = a.rpc.Keys(ipc.ListKeys, "")
	require.ErrorContains(t, err, "encryption not enabled")
	_, err = tryStart(t, "-node", "b", "-bind", a.Addr().String())
	require.ErrorContains(t, err, "cannot listen at")
	_, known, err := a.rpc.Coordinate("nobody")
	require.NoError(t, err)
	require.False(t, known)
	s, err := a.rpc.Stats()
	require.NoError(t, err)
	require.Equal(t, "a", s["agent"]["name"])
	require.Equal(t, "1", s["serf"]["members"])
	require.Equal(t, "false", s["serf"]["encrypted"])
}

// An agent with a snapshot rejoins after a restart, and is told what it missed, but nothing twice.
func TestSnapshot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := start(t, "-node", "a")
	args := []string{"-node", "b", "-snapshot", filepath.Join(dir, "snapshot")}
	b := start(t, args...)
	b.join(a)
	b.await("member-join a,b")
	for i := range 3 {
		require.NoError(t, a.rpc.Event(fmt.Sprint("old", i), nil, false))
		b.await(fmt.Sprint("user-event: old", i))
	}
	args = append(args, "-bind", b.Addr().String())
	b.stop() // without leaving
	require.NoError(t, a.rpc.Event("meanwhile", nil, false))

	b = start(t, append(args, "-retry-join", a.Addr().String())...)
	require.Equal(t, "meanwhile", b.next(event.User).User.Name)
	require.Equal(t, "a alive, b alive", b.shown())
	require.NoError(t, b.rpc.Leave())
	<-b.Done()
	b.stop()

	b = start(t, args...)
	b.await("member-join b")
	require.Equal(t, "b alive", b.shown(), "whoever has left does not come back by itself")
	b.join(a)
	b.await("member-join a")
	require.NoError(t, b.rpc.Leave())
	<-b.Done()
	b.stop()
	b = start(t, append(args, "-rejoin")...)
	b.await("member-join a,b")
}

func TestTagsFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tags.json")
	a := start(t, "-node", "a", "-tags-file", path)
	require.NoError(t, a.rpc.ChangeTags(map[string]string{"role": "web", "x": "y"}, nil))
	require.NoError(t, a.rpc.ChangeTags(nil, []string{"x"}))
	a.stop()
	var kept map[string]string
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &kept))
	require.Equal(t, map[string]string{"role": "web"}, kept)
	a = start(t, "-node", "a", "-tags-file", path)
	require.Equal(t, kept, a.self().Tags)
	require.NoError(t, os.WriteFile(path, []byte("["), 0o600))
	_, err = tryStart(t, "-node", "b", "-tags-file", path)
	require.ErrorContains(t, err, "Failed to decode tags file")
}

func TestKeys(t *testing.T) {
	t.Parallel()
	const other = "HvY8ubRZMgafUOWvrOadwOckVa1wN3QWAo46FVKbVN8="
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "keyring"), `["`+testKey+`"]`)
	a, b := start(t, "-node", "a", "-encrypt", testKey), start(t, "-node", "b", "-keyring-file", file)
	stranger := start(t, "-node", "s", "-encrypt", other)
	a.join(b)
	_, err := stranger.rpc.Join([]string{a.Addr().String()}, false)
	require.Error(t, err)
	r, err := a.rpc.Keys(ipc.InstallKey, other)
	require.NoError(t, err)
	require.Equal(t, ipc.KeyResponse{Messages: map[string]string{}, Keys: map[string]int{}, NumNodes: 2, NumResp: 2}, r)
	r, err = b.rpc.Keys(ipc.ListKeys, "")
	require.NoError(t, err)
	require.Equal(t, map[string]int{testKey: 2, other: 2}, r.Keys)
	_, err = a.rpc.Keys(ipc.UseKey, other)
	require.NoError(t, err)
	r, err = a.rpc.Keys(ipc.RemoveKey, other)
	require.Error(t, err)
	require.Equal(t, 2, r.NumErr)
	require.Equal(t, "Removing the primary key is not allowed", r.Messages["b"])
	_, err = a.rpc.Keys(ipc.RemoveKey, testKey)
	require.NoError(t, err)
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, `["`+other+`"]`+"\n", string(data))
	stranger.join(a)
	b.stop()
	b = start(t, "-node", "b", "-keyring-file", file)
	b.join(a)
	for _, bad := range []string{"-encrypt=x", "-keyring-file=" + write(t, filepath.Join(dir, "bad"), "[]"), "-keyring-file=" + filepath.Join(dir, "none")} {
		_, err := tryStart(t, "-node", "x", bad)
		require.Error(t, err, bad)
	}
}

func TestRetryJoin(t *testing.T) {
	t.Parallel()
	a := start(t, "-node", "a", "-retry-join", "127.0.0.1:1", "-retry-interval", "1s", "-retry-max", "1")
	select {
	case <-a.Done():
	case <-time.After(patience):
		t.Fatal("it goes on trying")
	}
	require.Equal(t, 1, a.ExitCode())
	b := start(t, "-node", "b")
	c := start(t, "-node", "c", "-retry-join", "127.0.0.1:1", "-retry-join", b.Addr().String())
	c.await("member-join b,c")
}

func TestReload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := start(t, "-node", "a", "-tag", "role=web", "-event-handler", "user=touch "+dir+"/old")
	cfg, _, err := Load([]string{"-node", "ignored", "-tag", "role=db", "-event-handler", "user=touch " + dir + "/new", "-log-level", "err"})
	require.NoError(t, err)
	require.NoError(t, a.Reload(t.Context(), cfg))
	require.Equal(t, map[string]string{"role": "db"}, a.self().Tags)
	require.NoError(t, a.rpc.Event("e", nil, false))
	require.Eventually(t, func() bool { _, err := os.Stat(dir + "/new"); return err == nil }, patience, time.Millisecond)
	require.NoFileExists(t, dir+"/old")
	before := a.scripts.Scripts()
	bad := cfg
	bad.EventHandlers = []string{"nonsense=x"}
	require.Error(t, a.Reload(context.Background(), bad))
	bad = cfg
	bad.EventHandlers, bad.Tags = []string{"user=true"}, map[string]string{"role": strings.Repeat("x", swim.MaxTags)}
	require.Error(t, a.Reload(context.Background(), bad))
	require.Equal(t, before, a.scripts.Scripts(), "all of it or nothing")
}

func TestPidFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pid")
	a := start(t, "-node", "a", "-pid-file", path)
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprint(os.Getpid()), string(data))
	a.stop()
	require.NoFileExists(t, path)
}

// What the pool tells never waits for whoever is told, and what cannot be kept is counted.
func TestSlowSubscriber(t *testing.T) {
	t.Parallel()
	a := start(t, "-node", "a")
	a.await("member-join a")
	all, err := event.ParseFilters("user")
	require.NoError(t, err)
	slow, stop := a.Subscribe(all)
	for range subscriberQueue + 20 {
		require.NoError(t, a.rpc.Event("flood", nil, false))
		a.await("user-event: flood")
	}
	stop()
	stop()
	n := 0
	for range slow {
		n++
	}
	require.Equal(t, subscriberQueue, n)
}

// Of two agents with one name the one goes that the others do not know.
func TestNameConflict(t *testing.T) {
	t.Parallel()
	others := []*member{start(t, "-node", "a"), start(t, "-node", "b"), start(t, "-node", "c")}
	x, y := start(t, "-node", "x"), start(t, "-node", "x")
	for _, o := range others[1:] {
		o.join(others[0])
	}
	x.join(others[0])
	require.Eventually(t, func() bool { return strings.Contains(others[2].shown(), "x alive") }, patience, time.Millisecond)
	n, err := y.rpc.Join([]string{others[1].Addr().String()}, false)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	for _, o := range others {
		require.Eventually(t, func() bool {
			stats, err := o.rpc.Stats()
			require.NoError(t, err)
			return stats["serf"]["conflicts"] != "0"
		}, patience, time.Millisecond, "it has heard of both")
	}
	known, err := others[2].rpc.Members(ipc.Filter{Name: "x"})
	require.NoError(t, err)
	winner, loser := x, y
	if known[0].Port == y.Addr().Port() {
		winner, loser = y, x
	}
	winner.resolveName()
	select {
	case <-winner.Done():
		t.Fatal("the one that the others know goes")
	default:
	}
	loser.resolveName()
	<-loser.Done()
	require.Equal(t, 1, loser.ExitCode())
}

// Whoever comes back at another address is in conflict with its former life until that has failed, and no longer.
func TestConflictOfAMoment(t *testing.T) {
	t.Parallel()
	var c conflicts
	require.False(t, c.again(0))
	require.False(t, c.again(forgetConflict))
	require.True(t, c.again(forgetConflict+time.Minute))
}
