package runner

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"concord/gossip"
	"concord/swim"
)

var loopback = netip.MustParseAddr("127.0.0.1")

// fast finds failures in a second.
func fast(name string) gossip.Config {
	c := swim.Fast()
	c.Name, c.ID = name, "id"+name[max(0, len(name)-3):]
	c.ProbeInterval, c.ProbeTimeout, c.GossipInterval = 100*time.Millisecond, 50*time.Millisecond, 20*time.Millisecond
	c.SuspicionMult, c.LeaveTimeout = 2, 2*time.Second
	return gossip.Config{Swim: c}
}

// node is a runner and all that its pool told.
type node struct {
	*Runner
	mu      sync.Mutex
	changed chan struct{} // holds a token after the pool told something
	events  []string
	joined  []swim.JoinResult
	left    bool
}

func (n *node) take(o *gossip.Output) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, e := range o.Events {
		n.events = append(n.events, e.Type.String()+" "+e.Member.Name)
	}
	n.joined = append(n.joined, o.Joined...)
	n.left = n.left || o.Left
	select {
	case n.changed <- struct{}{}:
	default:
	}
}

// await waits until the condition holds of what the pool told.
func (n *node) await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		n.mu.Lock()
		ok := holds()
		n.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-n.changed:
		case <-timeout:
			t.Fatalf("%s: %s does not come about; events: %v", n.Addr(), what, n.events)
		}
	}
}

func (n *node) awaitEvent(t testing.TB, event string) {
	t.Helper()
	n.await(t, event, func() bool { return slices.Contains(n.events, event) })
}

func start(t testing.TB, name, listen string) *node {
	t.Helper()
	n := &node{changed: make(chan struct{}, 1)}
	var err error
	n.Runner, err = Start(fast(name), Options{Listen: netip.MustParseAddrPort(listen), Seed: 1, OnOutput: n.take})
	require.NoError(t, err)
	t.Cleanup(func() { n.Close() })
	return n
}

func (n *node) join(t testing.TB, to netip.AddrPort) {
	t.Helper()
	require.NoError(t, n.Call(t.Context(), func(now time.Duration, p *gossip.Pool) { p.Join(now, []netip.AddrPort{to}) }))
}

func TestLife(t *testing.T) {
	t.Parallel()
	a, b, c := start(t, "a", "127.0.0.1:0"), start(t, "b", "127.0.0.2:0"), start(t, "c", "127.0.0.3:0")
	b.join(t, a.Addr())
	c.join(t, a.Addr())
	for _, n := range []*node{a, b, c} {
		for _, name := range []string{"a", "b", "c"} {
			n.awaitEvent(t, "member-join "+name)
		}
	}
	b.await(t, "the answer to its join", func() bool { return slices.Equal(b.joined, []swim.JoinResult{{Addr: a.Addr()}}) })
	require.NoError(t, a.Call(t.Context(), func(now time.Duration, p *gossip.Pool) { p.SetTags(now, map[string]string{"k": "v"}) }))
	c.awaitEvent(t, "member-update a")
	require.NoError(t, c.Close())
	a.awaitEvent(t, "member-failed c")
	b.awaitEvent(t, "member-failed c")
	require.NoError(t, b.Call(t.Context(), func(now time.Duration, p *gossip.Pool) { p.Leave(now) }))
	a.awaitEvent(t, "member-leave b")
	b.await(t, "left", func() bool { return b.left })
}

// TestLargeStates has more members than fit into a datagram.
func TestLargeStates(t *testing.T) {
	t.Parallel()
	const members = 40
	var all []*node
	for i := range members {
		n := start(t, fmt.Sprintf("%s-%d", strings.Repeat("long", 20), i), "127.0.0.1:0")
		if i > 0 {
			n.join(t, all[0].Addr())
		}
		all = append(all, n)
	}
	for _, n := range all {
		n.await(t, "all members", func() bool {
			return len(slices.DeleteFunc(slices.Clone(n.events), func(e string) bool { return !strings.HasPrefix(e, "member-join") })) >= members
		})
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nobody := l.Addr().(*net.TCPAddr).AddrPort()
	l.Close()
	a := start(t, "a", "127.0.0.1:0")
	a.join(t, nobody)
	a.await(t, "the failure of the join", func() bool { return len(a.joined) == 1 })
	a.await(t, "its reason", func() bool { return errors.Is(a.joined[0].Err, swim.ErrUnreachable) })
}

func TestCall(t *testing.T) {
	t.Parallel()
	a := start(t, "a", "127.0.0.1:0")
	held, release := make(chan struct{}), make(chan struct{})
	go a.Call(context.Background(), func(time.Duration, *gossip.Pool) { close(held); <-release })
	<-held
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ran := false
	require.ErrorIs(t, a.Call(ctx, func(time.Duration, *gossip.Pool) { ran = true }), context.Canceled)
	close(release)
	members := 0
	require.NoError(t, a.Call(t.Context(), func(_ time.Duration, p *gossip.Pool) { members = len(p.Members()) }))
	require.Equal(t, 1, members)
	require.False(t, ran, "the call was given up")
	require.NoError(t, a.Close())
	require.NoError(t, a.Close(), "closing twice does no harm")
	require.ErrorIs(t, a.Call(t.Context(), func(time.Duration, *gossip.Pool) { ran = true }), ErrStopped)
	require.False(t, ran)
}

// TestCallsAtTheEnd lets many call while the runner is closed: each of them either ran or did not, and is told which.
func TestCallsAtTheEnd(t *testing.T) {
	t.Parallel()
	a := start(t, "a", "127.0.0.1:0")
	var wg sync.WaitGroup
	var ran, told, refused [100]bool
	for i := range ran {
		wg.Go(func() {
			err := a.Call(context.Background(), func(time.Duration, *gossip.Pool) { ran[i] = true })
			told[i], refused[i] = err == nil, errors.Is(err, ErrStopped)
		})
	}
	require.NoError(t, a.Close())
	wg.Wait()
	for i := range ran {
		require.Equal(t, ran[i], told[i])
		require.Equal(t, !ran[i], refused[i])
	}
}

// TestStrangers sends garbage to both sockets. The pool goes on.
func TestStrangers(t *testing.T) {
	t.Parallel()
	a, b := start(t, "a", "127.0.0.1:0"), start(t, "b", "127.0.0.1:0")
	for range 20 {
		require.NoError(t, a.socket.Send(make([]byte, 1500), b.Addr(), []byte("garbage in a good frame")))
		c, err := net.Dial("tcp", b.Addr().String())
		require.NoError(t, err)
		fmt.Fprint(c, "GET / HTTP/1.1\r\n\r\n")
		c.Close()
	}
	u, err := net.Dial("udp", b.Addr().String())
	require.NoError(t, err)
	fmt.Fprint(u, "garbage")
	u.Close()
	require.Eventually(t, func() bool {
		s := b.Stats()
		return s.Malformed == 20 && s.Datagrams.Malformed == 1 && s.Streams.Malformed == 20
	}, 30*time.Second, time.Millisecond)
	b.join(t, a.Addr())
	b.awaitEvent(t, "member-join a")
}

// Who has another key is told of in the log, once in a while.
func TestWrongKeyIsLogged(t *testing.T) {
	t.Parallel()
	encrypted := func(name, key string, log hclog.Logger) *node {
		cfg := fast(name)
		ring, err := gossip.NewKeyring(base64.StdEncoding.EncodeToString([]byte(key)))
		require.NoError(t, err)
		cfg.Keyring, cfg.Random = ring, rand.Reader
		n := &node{changed: make(chan struct{}, 1)}
		n.Runner, err = Start(cfg, Options{Listen: netip.AddrPortFrom(loopback, 0), OnOutput: n.take, Log: log})
		require.NoError(t, err)
		t.Cleanup(func() { n.Close() })
		return n
	}
	var log bytes.Buffer
	a := encrypted("a", "0123456789abcdef", hclog.New(&hclog.LoggerOptions{Output: &log, Level: hclog.Info}))
	b := encrypted("b", "fedcba9876543210", nil)
	for range 5 {
		b.join(t, a.Addr())
	}
	require.Eventually(t, func() bool { return a.Stats().Malformed == 5 }, 30*time.Second, time.Millisecond)
	require.NoError(t, a.Close())
	require.Equal(t, 1, strings.Count(log.String(), "\n"), log.String())
	require.Contains(t, log.String(), "not in the keyring")
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	a := start(t, "a", "127.0.0.1:0")
	_, err := Start(fast("b"), Options{Listen: a.Addr()})
	require.ErrorContains(t, err, a.Addr().String(), "in use")
	_, err = Start(fast(""), Options{Listen: netip.AddrPortFrom(loopback, 0)})
	require.ErrorIs(t, err, swim.ErrConfig, "no name")
	_, err = Start(fast("c"), Options{Listen: netip.MustParseAddrPort("0.0.0.0:0")})
	require.ErrorIs(t, err, swim.ErrConfig, "0.0.0.0 is not an address to tell to others")
}

// TestEverywhere listens at all addresses and tells one of them.
func TestEverywhere(t *testing.T) {
	t.Parallel()
	a := start(t, "a", "127.0.0.1:0")
	l, err := net.ListenPacket("udp", "0.0.0.0:0")
	require.NoError(t, err)
	port := l.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	l.Close()
	cfg := fast("b")
	cfg.Swim.Addr = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.9"), port)
	b := &node{changed: make(chan struct{}, 1)}
	b.Runner, err = Start(cfg, Options{Listen: netip.AddrPortFrom(netip.IPv4Unspecified(), port), OnOutput: b.take})
	require.NoError(t, err)
	defer b.Close()
	a.join(t, cfg.Swim.Addr)
	b.awaitEvent(t, "member-join a")
	a.awaitEvent(t, "member-join b")
	require.Eventually(t, func() bool { return b.Stats().Datagrams.Sent > 5 && a.Stats().Datagrams.Received > 5 }, 30*time.Second, time.Millisecond)
}

// TestFewGoroutines is not parallel: it counts all goroutines of the process.
func TestFewGoroutines(t *testing.T) {
	before := runtime.NumGoroutine()
	var all []*node
	for i := range 5 {
		n := start(t, fmt.Sprint("n", i), "127.0.0.1:0")
		if i > 0 {
			n.join(t, all[0].Addr())
		}
		all = append(all, n)
	}
	all[0].await(t, "all members", func() bool { return len(all[0].events) >= 5 })
	atRest := func(want int) func() bool {
		return func() bool { return runtime.NumGoroutine() <= before+want }
	}
	require.Eventually(t, atRest(2*5+1), 30*time.Second, 10*time.Millisecond, "two each, and Eventually's own")
	for _, n := range all {
		require.NoError(t, n.Close())
	}
	require.Eventually(t, atRest(1), 30*time.Second, time.Millisecond, "nothing is left")
}
