package ipc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"concord/gossip/agent/event"
	"concord/gossip/agent/logs"
	"concord/swim"
)

// fake is an agent that remembers what it was asked.
type fake struct {
	mu      sync.Mutex
	asked   []string
	members []Member
	err     error
	records chan QueryRecord
	events  chan event.Event
	stopped chan struct{}
	down    chan struct{}
}

func (f *fake) ask(format string, args ...any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, fmt.Sprintf(format, args...))
	return f.err
}

func (f *fake) Members(context.Context) ([]Member, error) { return slices.Clone(f.members), f.err }
func (f *fake) Event(_ context.Context, name string, payload []byte, coalesce bool) error {
	return f.ask("event %s %s %v", name, payload, coalesce)
}
func (f *fake) Join(_ context.Context, addrs []string, replay bool) (int, error) {
	return len(addrs), f.ask("join %v %v", addrs, replay)
}
func (f *fake) Leave(context.Context) error { return f.ask("leave") }
func (f *fake) Shutdown()                   { close(f.down) }
func (f *fake) ForceLeave(_ context.Context, name string, prune bool) error {
	return f.ask("force-leave %s %v", name, prune)
}
func (f *fake) ChangeTags(_ context.Context, set map[string]string, remove []string) error {
	return f.ask("tags %v %v", set, remove)
}
func (f *fake) Query(_ context.Context, q Query) (<-chan QueryRecord, error) {
	return f.records, f.ask("query %+v", q)
}
func (f *fake) Respond(id swim.QueryID, payload []byte) error {
	return f.ask("respond %v %s", id, payload)
}
func (f *fake) Keys(_ context.Context, op, key string) (KeyResponse, error) {
	return KeyResponse{NumNodes: 2, NumErr: 1, Messages: map[string]string{"a": "no"}, Keys: map[string]int{"k": 2}}, f.ask("%s %s", op, key)
}
func (f *fake) Stats(context.Context) (Stats, error) {
	return Stats{"agent": {"name": "a"}}, f.ask("stats")
}
func (f *fake) Coordinate(_ context.Context, node string) (Coordinate, bool, error) {
	return Coordinate{Vec: []float64{1, 2}, Height: 0.5}, node == "a", f.ask("coordinate %s", node)
}
func (f *fake) Subscribe(filters []event.Filter) (<-chan event.Event, func()) {
	f.ask("subscribe %v", filters)
	return f.events, func() { close(f.events); close(f.stopped) }
}

type rig struct {
	*fake
	*Server
	log  *logs.Log
	addr string
}

func serve(t *testing.T, addr, key string) *rig {
	r := &rig{fake: &fake{records: make(chan QueryRecord, 8), events: make(chan event.Event, 8), stopped: make(chan struct{}), down: make(chan struct{})},
		log: logs.New(io.Discard, "", logs.Err)}
	l, err := Listen(addr)
	require.NoError(t, err)
	r.addr = l.Addr().String()
	if l.Addr().Network() == "unix" {
		r.addr = addr
	}
	r.Server = NewServer(l, r.fake, key, r.log)
	t.Cleanup(r.Server.Close)
	return r
}

func dial(t *testing.T, addr, token string) *Client {
	c, err := Dial(t.Context(), addr, token)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func TestRequests(t *testing.T) {
	t.Parallel()
	r := serve(t, "127.0.0.1:0", "")
	c := dial(t, r.addr, "")
	require.NoError(t, c.Event("deploy", []byte("v7"), true))
	n, err := c.Join([]string{"x", "y"}, true)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.NoError(t, c.ForceLeave("b", true))
	require.NoError(t, c.ChangeTags(map[string]string{"k": "v"}, []string{"old"}))
	k, err := c.Keys(InstallKey, "secret")
	require.NoError(t, err)
	require.Equal(t, KeyResponse{NumNodes: 2, NumErr: 1, Messages: map[string]string{"a": "no"}, Keys: map[string]int{"k": 2}}, k)
	_, err = c.Keys(ListKeys, "")
	require.NoError(t, err)
	s, err := c.Stats()
	require.NoError(t, err)
	require.Equal(t, Stats{"agent": {"name": "a"}}, s)
	at, known, err := c.Coordinate("a")
	require.NoError(t, err)
	require.True(t, known)
	require.Equal(t, Coordinate{Vec: []float64{1, 2}, Height: 0.5}, at)
	require.NoError(t, c.Leave())
	<-r.down
	require.Equal(t, []string{"event deploy v7 true", "join [x y] true", "force-leave b true", "tags map[k:v] [old]", "install-key secret", "list-keys ",
		"stats", "coordinate a", "leave"}, r.asked)
}

// failing is a listener that fails to accept the first connections.
type failing struct {
	net.Listener
	fails int
}

func (f *failing) Accept() (net.Conn, error) {
	if f.fails--; f.fails >= 0 {
		return nil, syscall.EMFILE
	}
	return f.Listener.Accept()
}

// An agent that was out of file descriptors for a moment answers its command line afterwards.
func TestAcceptsAgain(t *testing.T) {
	t.Parallel()
	l, err := Listen("127.0.0.1:0")
	require.NoError(t, err)
	s := NewServer(&failing{l, 2}, &fake{}, "", logs.New(io.Discard, "", logs.Err))
	t.Cleanup(s.Close)
	_, err = dial(t, l.Addr().String(), "").Stats()
	require.NoError(t, err)
}

// Errors reach the client, and the connection goes on.
func TestErrors(t *testing.T) {
	t.Parallel()
	r := serve(t, "127.0.0.1:0", "")
	c := dial(t, r.addr, "")
	r.err = errors.New("no such luck")
	require.EqualError(t, c.Event("deploy", nil, false), "no such luck")
	_, err := c.Join([]string{"x"}, false)
	require.EqualError(t, err, "no such luck")
	k, err := c.Keys(UseKey, "k")
	require.EqualError(t, err, "no such luck")
	require.Equal(t, map[string]string{"a": "no"}, k.Messages, "what members say comes with the error")
	_, err = c.Query(Query{Name: "q"})
	require.EqualError(t, err, "no such luck")
	_, err = c.Members(Filter{})
	require.EqualError(t, err, "no such luck")
	r.err = nil
	require.NoError(t, c.Event("deploy", nil, false))
}

func TestMembersFiltered(t *testing.T) {
	t.Parallel()
	r := serve(t, "127.0.0.1:0", "")
	r.members = []Member{
		{Name: "web-1", Addr: []byte{10, 0, 0, 1}, Port: 7946, Tags: map[string]string{"role": "web"}, Status: "alive", DelegateCur: 5},
		{Name: "web-2", Tags: map[string]string{"role": "web"}, Status: "failed"},
		{Name: "db-1", Tags: map[string]string{}, Status: "alive"},
	}
	c := dial(t, r.addr, "")
	for want, f := range map[string]Filter{
		"web-1 web-2 db-1": {},
		"web-1 web-2":      {Tags: map[string]string{"role": "w.b"}},
		"":                 {Tags: map[string]string{"role": "we"}},
		"db-1":             {Tags: map[string]string{"role": ""}},
		"web-1":            {Status: "alive", Name: "web-.*"},
		"web-2":            {Status: "failed|left"},
	} {
		got, err := c.Members(f)
		require.NoError(t, err)
		var names []string
		for _, m := range got {
			names = append(names, m.Name)
		}
		require.Equal(t, want, strings.Join(names, " "), "%+v", f)
	}
	got, err := c.Members(Filter{Name: "web-1"})
	require.NoError(t, err)
	require.Equal(t, r.members[:1], got)
	_, err = c.Members(Filter{Name: "("})
	require.ErrorContains(t, err, "Failed to compile regex")
}

func TestAuth(t *testing.T) {
	t.Parallel()
	r := serve(t, "127.0.0.1:0", "secret")
	_, err := Dial(t.Context(), r.addr, "wrong")
	require.EqualError(t, err, textInvalidAuthToken)
	c := dial(t, r.addr, "")
	require.EqualError(t, c.Event("deploy", nil, false), textAuthRequired)
	require.Error(t, c.Event("deploy", nil, false), "the connection has ended")
	c = dial(t, r.addr, "")
	_, err = c.Stats()
	require.EqualError(t, err, textAuthRequired)
	require.NoError(t, dial(t, r.addr, "secret").Event("deploy", nil, false))
	require.Equal(t, []string{"event deploy  false"}, r.asked)
}

func TestHandshake(t *testing.T) {
	t.Parallel()
	r := serve(t, "127.0.0.1:0", "")
	raw := func() *Client {
		nc, err := net.Dial("tcp", r.addr)
		require.NoError(t, err)
		t.Cleanup(func() { nc.Close() })
		return &Client{c: newConn(nc, maxAnswer)}
	}
	require.EqualError(t, raw().Event("x", nil, false), textHandshakeRequired)
	c := raw()
	require.EqualError(t, c.call(cmdHandshake, &handshakeRequest{Version: 2}, nil), textUnsupportedVersion)
	require.NoError(t, c.call(cmdHandshake, &handshakeRequest{Version: 1}, nil))
	require.EqualError(t, c.call(cmdHandshake, &handshakeRequest{Version: 1}, nil), textDuplicateHandshake)
	require.EqualError(t, c.call("frobnicate", nil, nil), textUnsupportedCommand)
	require.Empty(t, r.asked)
}

func TestQuery(t *testing.T) {
	t.Parallel()
	r := serve(t, "127.0.0.1:0", "")
	c := dial(t, r.addr, "")
	q := Query{FilterNodes: []string{"a"}, FilterTags: map[string]string{"role": "db"}, RequestAck: true, RelayFactor: 2, Timeout: time.Second, Name: "load", Payload: []byte("1m")}
	next, err := c.Query(q)
	require.NoError(t, err)
	sent := []QueryRecord{{Type: RecordAck, From: "a"}, {Type: RecordResponse, From: "a", Payload: []byte("0.5")}, {Type: RecordDone}}
	for _, s := range sent {
		r.records <- s
		got, err := next()
		require.NoError(t, err)
		require.Equal(t, s, got)
	}
	close(r.records)
	require.Equal(t, []string{fmt.Sprintf("query %+v", q)}, r.asked)
}

// A client that is gone does not keep the server from ending, though its query goes on.
func TestQueryOfNobody(t *testing.T) {
	t.Parallel()
	r := serve(t, "127.0.0.1:0", "")
	_, err := dial(t, r.addr, "").Query(Query{Name: "slow"})
	require.NoError(t, err)
	closed := make(chan struct{})
	go func() { r.Server.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(30 * time.Second):
		t.Fatal("the server waits for a query")
	}
}

// next reads what a stream brings.
func (c *Client) next(t *testing.T, v any) {
	require.NoError(t, c.header())
	require.NoError(t, c.c.read(v))
}

func TestStream(t *testing.T) {
	t.Parallel()
	r := serve(t, "127.0.0.1:0", "")
	c := dial(t, r.addr, "")
	require.EqualError(t, c.call(cmdStream, &streamRequest{Type: "nonsense"}, nil), textInvalidFilter)
	require.NoError(t, c.call(cmdStream, &streamRequest{Type: "member-join,user:deploy,query"}, nil))
	r.fake.mu.Lock()
	asked := len(r.asked)
	r.fake.mu.Unlock()
	require.Equal(t, 1, asked, "who has the answer misses nothing from then on")
	member := swim.Member{Update: swim.Update{Name: "a", State: swim.StateSuspect}}
	r.events <- event.Event{Type: "member-join", Members: []swim.Member{member}}
	var m memberEventRecord
	c.next(t, &m)
	require.Equal(t, "member-join", m.Event)
	require.Equal(t, "alive", m.Members[0].Status, "nobody is told of suspicions")
	require.NotNil(t, m.Members[0].Tags)
	r.events <- event.OfUser(swim.UserEvent{LTime: 7, Name: "deploy", Payload: []byte("v7"), Coalesce: true})
	var u userEventRecord
	c.next(t, &u)
	require.Equal(t, userEventRecord{Event: "user", LTime: 7, Name: "deploy", Payload: []byte("v7"), Coalesce: true}, u)
	id := swim.QueryID{From: "b", LTime: 9, Number: 3}
	r.events <- event.OfQuery(swim.Question{ID: id, Name: "load", Payload: []byte("1m")})
	var q queryEventRecord
	c.next(t, &q)
	require.Equal(t, queryEventRecord{Event: "query", ID: q.ID, LTime: 9, Name: "load", Payload: []byte("1m")}, q)

	stream := c.seq
	require.NoError(t, c.call(cmdRespond, &respondRequest{ID: q.ID, Payload: []byte("0.5")}, nil))
	require.EqualError(t, c.call(cmdRespond, &respondRequest{ID: q.ID + 1}, nil), textInvalidQueryID)
	require.NoError(t, c.call(cmdStop, &stopRequest{Stop: stream}, nil))
	<-r.stopped
	require.NoError(t, c.call(cmdStop, &stopRequest{Stop: stream}, nil), "to stop what does not run is no error")
	require.Equal(t, []string{"subscribe [member-join: user:deploy query:]", fmt.Sprintf("respond %v 0.5", id)}, r.asked)
}

// A connection that ends takes its streams with it.
func TestStreamEndsWithTheConnection(t *testing.T) {
	t.Parallel()
	r := serve(t, "127.0.0.1:0", "")
	c := dial(t, r.addr, "")
	require.NoError(t, c.call(cmdStream, &streamRequest{Type: "*"}, nil))
	c.seq--
	require.EqualError(t, c.call(cmdStream, &streamRequest{Type: "*"}, nil), textStreamExists)
	c.Close()
	<-r.stopped
}

func TestMonitor(t *testing.T) {
	t.Parallel()
	r := serve(t, "127.0.0.1:0", "")
	r.log.Printf(logs.Debug, "agent: before")
	c := dial(t, r.addr, "")
	_, err := c.Monitor("foo")
	require.EqualError(t, err, "Unknown log level: FOO")
	next, err := c.Monitor("debug")
	require.NoError(t, err)
	line := func() string {
		l, err := next()
		require.NoError(t, err)
		return l[len("2006/01/02 15:04:05 "):]
	}
	require.Equal(t, "[DEBUG] agent: before", line())
	require.Contains(t, line(), "Accepted client")
	r.log.Printf(logs.Trace, "agent: not wanted")
	r.log.Printf(logs.Warn, "agent: after")
	require.Equal(t, "[WARN] agent: after", line())
	monitor := c.seq
	require.EqualError(t, c.call(cmdMonitor, &monitorRequest{LogLevel: "info"}, nil), textMonitorExists)
	require.NoError(t, c.call(cmdStop, &stopRequest{Stop: monitor}, nil))
	require.NoError(t, c.call(cmdMonitor, &monitorRequest{LogLevel: "err"}, nil), "there is room for another one")
}

func TestUnixSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "rpc")
	addr := "unix://" + path
	r := serve(t, addr, "")
	require.NoError(t, dial(t, addr, "").Event("x", nil, false))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "others cannot command the agent")
	_, err = Listen(addr)
	require.Error(t, err, "somebody listens there")
	r.Server.Close()

	// A process that was killed leaves its socket behind.
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	require.FileExists(t, path)
	l, err = Listen(addr)
	require.NoError(t, err)
	l.Close()
	require.NoError(t, os.WriteFile(path, []byte("precious"), 0o600))
	_, err = Listen(addr)
	require.Error(t, err)
	require.FileExists(t, path, "only sockets are removed")
}

// Whatever strangers send, the server goes on.
func TestStrangers(t *testing.T) {
	t.Parallel()
	r := serve(t, "127.0.0.1:0", "")
	hello := append(encoded(t, &requestHeader{Command: cmdHandshake, Seq: 1}), encoded(t, &handshakeRequest{Version: 1})...)
	for _, junk := range []string{"GET / HTTP/1.0\r\n\r\n", "\xdd\xff\xff\xff\xff", strings.Repeat("\x91", 1000), "\xc1", "\x81\xa7Command\xdb\xff\xff\xff\xff",
		string(hello) + string(encoded(t, &requestHeader{Command: cmdEvent, Seq: 2})) + "\x93\x01\x02\x03",
		string(hello) + string(encoded(t, &requestHeader{Command: cmdQuery, Seq: 2})) + "\x81\xa7Payload\xc6\x7f\xff\xff\xff"} {
		nc, err := net.Dial("tcp", r.addr)
		require.NoError(t, err)
		_, err = nc.Write([]byte(junk))
		require.NoError(t, err)
		nc.SetReadDeadline(time.Now().Add(30 * time.Second))
		_, err = io.Copy(io.Discard, nc) // until the server ends the connection
		var timeout net.Error
		require.False(t, errors.As(err, &timeout) && timeout.Timeout(), "%q: the connection is kept", junk)
		nc.Close()
	}
	require.NoError(t, dial(t, r.addr, "").Event("x", nil, false))
	require.Equal(t, []string{"event x  false"}, r.asked)
}

func TestTooManyClients(t *testing.T) {
	t.Parallel()
	r := serve(t, "127.0.0.1:0", "")
	for range maxClients {
		dial(t, r.addr, "")
	}
	_, err := Dial(t.Context(), r.addr, "")
	require.Error(t, err)
}

// What the client reads is what the server wrote, for every answer of an odd size.
func TestLargeAnswers(t *testing.T) {
	t.Parallel()
	r := serve(t, "127.0.0.1:0", "")
	for i := range 10_000 {
		r.members = append(r.members, Member{Name: fmt.Sprintf("member-%d", i), Addr: bytes.Repeat([]byte{1}, 16), Status: "alive", Tags: map[string]string{"role": strings.Repeat("r", 100)}})
	}
	got, err := dial(t, r.addr, "").Members(Filter{})
	require.NoError(t, err)
	require.Equal(t, r.members, got)
}
