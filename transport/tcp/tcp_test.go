package tcp

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"concord/transport"
)

type sink struct {
	got    chan transport.Envelope
	events chan transport.Event
}

func newSink() *sink {
	return &sink{make(chan transport.Envelope, 4096), make(chan transport.Event, 4096)}
}

func (s *sink) Deliver(e transport.Envelope) { s.got <- e }
func (s *sink) PeerEvent(e transport.Event)  { s.events <- e }

func (s *sink) next(t *testing.T) transport.Envelope {
	t.Helper()
	select {
	case e := <-s.got:
		return e
	case <-time.After(20 * time.Second):
		t.Fatal("nothing arrives")
	}
	return transport.Envelope{}
}

func (s *sink) event(t *testing.T) transport.Event {
	t.Helper()
	select {
	case e := <-s.events:
		return e
	case <-time.After(20 * time.Second):
		t.Fatal("no event")
	}
	return transport.Event{}
}

// open starts a transport that listens on loopback and advertises what it got.
func open(t *testing.T, c Config) (*Transport, *sink, transport.Addr) {
	t.Helper()
	if c.Listen == "" && c.Advertise == "" {
		c.Listen = "127.0.0.1:0"
	}
	tr, err := New(c)
	require.NoError(t, err)
	if c.Advertise == "" {
		tr.cfg.Advertise = transport.Addr(tr.Addr().String())
	}
	s := newSink()
	tr.Start(s)
	t.Cleanup(func() { tr.Close() })
	return tr, s, tr.cfg.Advertise
}

func TestBothDirectionsShareAConnection(t *testing.T) {
	t.Parallel()
	a, gotA, addrA := open(t, Config{})
	b, gotB, addrB := open(t, Config{})
	a.Send(transport.Envelope{To: addrB, Class: transport.RPC, Payload: []byte("ask")})
	e := gotB.next(t)
	require.Equal(t, transport.Envelope{From: addrA, To: addrB, Class: transport.RPC, Payload: []byte("ask")}, e)
	b.Send(transport.Envelope{To: e.From, Class: transport.RPC, Payload: []byte("answer")})
	require.Equal(t, "answer", string(gotA.next(t).Payload))
	require.Zero(t, b.Stats().Dials, "the answer must go over the connection of the request")
}

func TestAnswersReachAPeerThatDoesNotListen(t *testing.T) {
	t.Parallel()
	server, got, addr := open(t, Config{})
	client, gotClient, label := open(t, Config{Advertise: "node:1"})
	client.Send(transport.Envelope{To: addr, Class: transport.RPC, Payload: []byte("ask")})
	require.Equal(t, label, got.next(t).From)
	server.Send(transport.Envelope{To: label, Class: transport.RPC, Payload: []byte("answer")})
	require.Equal(t, "answer", string(gotClient.next(t).Payload))
	server.Send(transport.Envelope{To: "node:2", Class: transport.RPC, Payload: []byte("x")})
	require.Equal(t, transport.Event{Type: transport.Unreachable, Class: transport.RPC, Peer: "node:2", Unsent: [][]byte{[]byte("x")}}, got.event(t))
}

// Servers of different datacenters may have the same private address at home: each gets its own answers.
func TestServersWithTheSameAddressElsewhere(t *testing.T) {
	t.Parallel()
	server, got, addr := open(t, Config{})
	var clients []*Transport
	var sinks []*sink
	for range 2 {
		c, s, _ := open(t, Config{Advertise: "10.9.9.9:8300"})
		clients, sinks = append(clients, c), append(sinks, s)
	}
	for round := range 3 {
		for i, c := range clients {
			c.Send(transport.Envelope{To: addr, Class: transport.RPC, Payload: []byte{byte(i), byte(round)}})
			e := got.next(t)
			server.Send(transport.Envelope{To: e.From, Class: transport.RPC, Payload: e.Payload})
			require.Equal(t, []byte{byte(i), byte(round)}, sinks[i].next(t).Payload)
		}
	}
	require.Zero(t, server.Stats().Dials)
}

// Gossip of both pools has streams; datagrams have no connections.
func TestClasses(t *testing.T) {
	t.Parallel()
	a, _, addrA := open(t, Config{})
	_, got, addr := open(t, Config{})
	for _, c := range []transport.Class{transport.GossipStream, transport.WANGossipStream, transport.Raft, transport.RPC} {
		a.Send(transport.Envelope{To: addr, Class: c, Payload: []byte("x")})
		require.Equal(t, transport.Envelope{From: addrA, To: addr, Class: c, Payload: []byte("x")}, got.next(t))
	}
	for _, c := range []transport.Class{0, transport.Gossip, transport.WANGossip, transport.Classes} {
		_, err := readHello(bytes.NewReader([]byte{'C', 'N', 'C', 'D', version, byte(c), 1, 'a'}))
		require.ErrorIs(t, err, errHello)
	}
}

func TestOrderAndSizes(t *testing.T) {
	t.Parallel()
	a, _, _ := open(t, Config{})
	_, got, addr := open(t, Config{})
	sizes := []int{0, 1, 300, 1 << 20, 3<<20 + 1, 5}
	for i, n := range sizes {
		a.Send(transport.Envelope{To: addr, Class: transport.Raft, Payload: bytes.Repeat([]byte{byte(i)}, n)})
	}
	for i, n := range sizes {
		require.Equal(t, bytes.Repeat([]byte{byte(i)}, n), append([]byte{}, got.next(t).Payload...))
	}
}

// A peer whose process ends is reported as refused without anything being sent to it.
func TestAPeerThatEndsIsNoticed(t *testing.T) {
	t.Parallel()
	a, gotA, _ := open(t, Config{})
	b, gotB, addrB := open(t, Config{})
	a.Send(transport.Envelope{To: addrB, Class: transport.Raft, Payload: []byte("x")})
	gotB.next(t)
	b.Close()
	for {
		if e := gotA.event(t); e.Type == transport.Refused {
			require.Equal(t, addrB, e.Peer)
			return
		}
	}
}

func TestNothingListens(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := transport.Addr(l.Addr().String())
	l.Close()
	a, got, _ := open(t, Config{})
	a.Send(transport.Envelope{To: addr, Class: transport.RPC, Payload: []byte("x")})
	require.Equal(t, transport.Event{Type: transport.Refused, Class: transport.RPC, Peer: addr, Unsent: [][]byte{[]byte("x")}}, got.event(t))
	require.EqualValues(t, 1, a.Stats().Dropped)
}

func TestAFullQueueDropsAndDoesNotBlock(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts, but never reads
	require.NoError(t, err)
	defer l.Close()
	a, got, _ := open(t, Config{QueueLen: 8, QueueBytes: 64 << 20, WriteTimeout: 20 * time.Second})
	big := make([]byte, 8<<20)
	for range 64 {
		a.Send(transport.Envelope{To: transport.Addr(l.Addr().String()), Class: transport.RPC, Payload: big})
	}
	require.Equal(t, transport.Unreachable, got.event(t).Type)
	require.NotZero(t, a.Stats().Dropped)
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	a, _, addr := open(t, Config{MaxFrame: 10})
	a.Send(transport.Envelope{To: addr, Class: transport.RPC, Payload: make([]byte, 11)})
	require.EqualValues(t, 1, a.Stats().Dropped)
}

// TestStrangers connects with what is no hello, or a frame that is too large: the connection is closed and counted.
func TestStrangers(t *testing.T) {
	t.Parallel()
	hello := []byte(magic + "\x01\x04\x05abcde")
	for name, in := range map[string][]byte{
		"http":      []byte("GET / HTTP/1.1\r\n\r\n"),
		"version":   []byte(magic + "\x09\x04\x01a"),
		"class":     []byte(magic + "\x01\x63\x01a"),
		"no label":  []byte(magic + "\x01\x04\x00"),
		"too large": binary.BigEndian.AppendUint32(bytes.Clone(hello), 1<<31),
		"silence":   nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr, _, addr := open(t, Config{HelloTimeout: 300 * time.Millisecond})
			c, err := net.Dial("tcp", string(addr))
			require.NoError(t, err)
			defer c.Close()
			_, err = c.Write(in)
			require.NoError(t, err)
			c.SetReadDeadline(time.Now().Add(20 * time.Second))
			_, err = c.Read(make([]byte, 1))
			require.Error(t, err)
			require.NotErrorIs(t, err, net.ErrClosed)
			if ne, ok := err.(net.Error); ok {
				require.False(t, ne.Timeout(), "the connection was left open")
			}
			require.EqualValues(t, 1, tr.Stats().Malformed)
		})
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	_, _, addr := open(t, Config{MaxConns: 1, HelloTimeout: 30 * time.Second})
	first, err := net.Dial("tcp", string(addr))
	require.NoError(t, err)
	defer first.Close()
	second, err := net.Dial("tcp", string(addr))
	require.NoError(t, err)
	defer second.Close()
	second.SetReadDeadline(time.Now().Add(20 * time.Second))
	_, err = second.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}

func TestCloseLeavesNothingBehind(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 3 {
		a, _, _ := open(t, Config{})
		b, got, addr := open(t, Config{})
		a.Send(transport.Envelope{To: addr, Class: transport.RPC, Payload: []byte("x")})
		got.next(t)
		require.NoError(t, a.Close())
		require.NoError(t, b.Close())
		require.NoError(t, b.Close(), "closing twice does no harm")
		a.Send(transport.Envelope{To: addr, Class: transport.RPC, Payload: []byte("x")})
	}
	require.LessOrEqual(t, runtime.NumGoroutine(), before+1)
}

func FuzzReadHello(f *testing.F) {
	var b bytes.Buffer
	require.NoError(f, writeHello(&b, key{"127.0.0.1:8300", transport.Raft}))
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, in []byte) {
		k, err := readHello(bytes.NewReader(in))
		if err != nil {
			return
		}
		var again bytes.Buffer
		require.NoError(t, writeHello(&again, k))
		require.True(t, bytes.HasPrefix(in, again.Bytes()), fmt.Sprintf("%q", in))
	})
}

// FuzzReadFrames: what is delivered is what the frames hold, and no more is allocated than arrives.
func FuzzReadFrames(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 'a', 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{0x7f, 0xff, 0xff, 0xff, 'a'})
	f.Add([]byte{0, 0, 0x10, 0, 'a'})
	f.Fuzz(func(t *testing.T, in []byte) {
		near, far := net.Pipe()
		go func() {
			far.Write(in)
			far.Close()
		}()
		var again []byte
		c := &patient{Conn: near, idle: time.Minute, frame: time.Minute}
		err := readFrames(c, 16, 1<<20, func() bool { return true }, func(p []byte) {
			again = append(binary.BigEndian.AppendUint32(again, uint32(len(p))), p...)
		})
		require.Error(t, err)
		require.True(t, bytes.HasPrefix(in, again))
		near.Close()
	})
}

func TestWriteFrames(t *testing.T) {
	t.Parallel()
	sizes := []int{0, 1, 300, batch - 5, batch - 4, batch - 3, batch, batch + 1, stride, stride + 1, 3 * stride, 7}
	var frames [][]byte
	for i, n := range sizes {
		frames = append(frames, bytes.Repeat([]byte{byte(i)}, n))
	}
	near, far := net.Pipe()
	wrote := make(chan error, 1)
	go func() {
		wrote <- writeFrames(far, frames, time.Minute)
		far.Close()
	}()
	var got [][]byte
	err := readFrames(&patient{Conn: near, idle: time.Minute, frame: time.Minute}, 4096, 1<<20, func() bool { return false },
		func(p []byte) { got = append(got, p) })
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, <-wrote)
	require.Equal(t, frames, got)
}

// An idle connection is closed at both ends, and not opened again because of that.
func TestIdleConnectionsAreClosed(t *testing.T) {
	t.Parallel()
	a, _, _ := open(t, Config{IdleTimeout: 50 * time.Millisecond})
	b, gotB, addr := open(t, Config{IdleTimeout: 60 * time.Millisecond})
	for n := uint64(1); n <= 2; n++ {
		a.Send(transport.Envelope{To: addr, Class: transport.RPC, Payload: []byte("x")})
		gotB.next(t)
		require.Eventually(t, func() bool { return a.Stats().Conns+b.Stats().Conns == 0 }, 20*time.Second, time.Millisecond)
		require.Equal(t, n, a.Stats().Dials)
		require.Zero(t, b.Stats().Dials)
	}
	require.Eventually(t, func() bool { return a.talkingTo()+b.talkingTo() == 0 }, 20*time.Second, time.Millisecond, "peers are forgotten")
	require.Empty(t, gotB.events)
}

func (t *Transport) talkingTo() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.peers)
}

// A peer that was only ever answered is noticed to end, too, by the address it gave.
func TestAPeerThatDialedIsNoticedToEnd(t *testing.T) {
	t.Parallel()
	follower, got, addr := open(t, Config{})
	leader, _, leaderAddr := open(t, Config{})
	leader.Send(transport.Envelope{To: addr, Class: transport.Raft, Payload: []byte("append")})
	got.next(t)
	require.NoError(t, leader.Close())
	require.Equal(t, transport.Event{Type: transport.Refused, Class: transport.Raft, Peer: leaderAddr}, got.event(t))
	require.Zero(t, follower.Stats().Sent)
}

// A stranger that gives the address of another machine and leaves does not make us connect there.
func TestNobodySendsUsElsewhere(t *testing.T) {
	t.Parallel()
	tr, got, addr := open(t, Config{})
	c, err := net.Dial("tcp", string(addr))
	require.NoError(t, err)
	require.NoError(t, writeHello(c, key{"192.0.2.1:8300", transport.RPC}))
	require.NoError(t, writeFrames(c, [][]byte{[]byte("x")}, time.Minute))
	require.Contains(t, string(got.next(t).From), "192.0.2.1:8300@127.0.0.1:", "it is answered where it came from")
	c.Close()
	require.Eventually(t, func() bool { return tr.talkingTo() == 0 }, 20*time.Second, time.Millisecond)
	require.Zero(t, tr.Stats().Dials)
}

// When a connection breaks but the peer is there, what was under way may be lost, and that is told.
func TestABrokenConnectionIsReplaced(t *testing.T) {
	t.Parallel()
	a, gotA, _ := open(t, Config{})
	b, gotB, addr := open(t, Config{})
	a.Send(transport.Envelope{To: addr, Class: transport.RPC, Payload: []byte("1")})
	gotB.next(t)
	b.mu.Lock()
	for c := range b.conns {
		c.Close()
	}
	b.mu.Unlock()
	require.Equal(t, transport.Event{Type: transport.Unreachable, Class: transport.RPC, Peer: addr}, gotA.event(t))
	a.Send(transport.Envelope{To: addr, Class: transport.RPC, Payload: []byte("2")})
	require.Equal(t, "2", string(gotB.next(t).Payload))
}

// A peer that starts again is found again, by whoever speaks first.
func TestAPeerThatComesBack(t *testing.T) {
	t.Parallel()
	a, gotA, _ := open(t, Config{BackoffMax: 20 * time.Millisecond})
	b, gotB, addr := open(t, Config{})
	a.Send(transport.Envelope{To: addr, Class: transport.Raft, Payload: []byte("x")})
	gotB.next(t)
	b.Close()
	require.Equal(t, transport.Refused, gotA.event(t).Type)
	_, again, _ := open(t, Config{Listen: string(addr), Advertise: addr})
	require.Eventually(t, func() bool {
		a.Send(transport.Envelope{To: addr, Class: transport.Raft, Payload: []byte("y")})
		return len(again.got) > 0
	}, 20*time.Second, 5*time.Millisecond)
}

// Attempts to reach a peer that is down get rarer.
func TestBackoff(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := transport.Addr(l.Addr().String())
	l.Close()
	a, got, _ := open(t, Config{BackoffMax: time.Hour})
	const tries = 2000
	for range tries {
		a.Send(transport.Envelope{To: addr, Class: transport.RPC, Payload: []byte("x")})
		got.event(t)
	}
	require.Eventually(t, func() bool { return a.Stats().Dropped == tries }, 20*time.Second, time.Millisecond)
	require.LessOrEqual(t, a.Stats().Dials, uint64(20))
}

// A frame that begins and then does not come ends the connection, and so does one that a reader never takes.
func TestAStalledFrame(t *testing.T) {
	t.Parallel()
	tr, _, addr := open(t, Config{FrameTimeout: 50 * time.Millisecond})
	c, err := net.Dial("tcp", string(addr))
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, writeHello(c, key{"node:1", transport.RPC}))
	_, err = c.Write([]byte{0, 0, 1, 0, 'x'})
	require.NoError(t, err)
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	_, err = c.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	require.Eventually(t, func() bool { return tr.Stats().Conns == 0 }, 20*time.Second, time.Millisecond)
}

func TestAReaderThatNeverReads(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts, but never reads
	require.NoError(t, err)
	defer l.Close()
	a, got, _ := open(t, Config{WriteTimeout: 50 * time.Millisecond})
	addr := transport.Addr(l.Addr().String())
	for range 3 {
		a.Send(transport.Envelope{To: addr, Class: transport.RPC, Payload: make([]byte, 16<<20)})
	}
	require.Equal(t, transport.Event{Type: transport.Unreachable, Class: transport.RPC, Peer: addr}, got.event(t))
}

func TestConnectionsPerAddressAreBounded(t *testing.T) {
	t.Parallel()
	tr, got, addr := open(t, Config{MaxConnsPerIP: 2})
	dial := func() net.Conn {
		c, err := net.Dial("tcp", string(addr))
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		return c
	}
	first, _, third := dial(), dial(), dial()
	third.SetReadDeadline(time.Now().Add(20 * time.Second))
	_, err := third.Read(make([]byte, 1))
	require.Error(t, err)
	require.Equal(t, 2, tr.Stats().Inbound)
	require.EqualValues(t, 1, tr.Stats().Rejected)
	first.Close()
	require.Eventually(t, func() bool { return tr.Stats().Inbound == 1 }, 20*time.Second, time.Millisecond)
	c := dial()
	require.NoError(t, writeHello(c, key{"node:4", transport.RPC}))
	require.NoError(t, writeFrames(c, [][]byte{[]byte("x")}, time.Minute))
	require.Equal(t, "x", string(got.next(t).Payload))
}

// Close does not wait for a machine that does not answer.
func TestCloseWhileDialing(t *testing.T) {
	t.Parallel()
	a, _, addr := open(t, Config{DialTimeout: time.Hour})
	dialing := make(chan struct{})
	a.dialer.ControlContext = func(ctx context.Context, _, _ string, _ syscall.RawConn) error {
		close(dialing)
		<-ctx.Done()
		return ctx.Err()
	}
	a.Send(transport.Envelope{To: addr, Class: transport.RPC, Payload: []byte("x")})
	<-dialing
	closed := make(chan error)
	go func() { closed <- a.Close() }()
	select {
	case err := <-closed:
		require.NoError(t, err)
	case <-time.After(20 * time.Second):
		t.Fatal("it waits")
	}
}

// Many senders, many receivers, connections that break: nothing arrives twice, damaged or, on one connection, out of order.
func TestUnderLoad(t *testing.T) {
	t.Parallel()
	const n = 2000
	b, got, addr := open(t, Config{QueueLen: 2 * n})
	for i := range 4 {
		a, gotA, label := open(t, Config{Advertise: transport.Addr(fmt.Sprint("node:", i)), QueueLen: 2 * n})
		go func() {
			for j := range uint32(n) {
				a.Send(transport.Envelope{To: addr, Class: transport.RPC, Payload: binary.BigEndian.AppendUint32(nil, j)})
			}
		}()
		t.Cleanup(func() {
			for j := range uint32(n) {
				require.Equal(t, j, binary.BigEndian.Uint32(gotA.next(t).Payload), label)
			}
		})
	}
	next := map[transport.Addr]uint32{}
	for range 4 * n {
		e := got.next(t)
		require.Equal(t, next[e.From], binary.BigEndian.Uint32(e.Payload))
		next[e.From]++
		b.Send(transport.Envelope{To: e.From, Class: transport.RPC, Payload: e.Payload})
	}
}

func pair(b *testing.B) (left *Transport, got *sink, right *Transport) {
	left, _ = New(Config{Listen: "127.0.0.1:0"})
	right, _ = New(Config{Listen: "127.0.0.1:0"})
	left.cfg.Advertise, right.cfg.Advertise = transport.Addr(left.Addr().String()), transport.Addr(right.Addr().String())
	got = newSink()
	left.Start(got)
	b.Cleanup(func() { left.Close(); right.Close() })
	return left, got, right
}

// BenchmarkStream sends frames of 300 bytes one way, with 1024 under way at a time.
func BenchmarkStream(b *testing.B) {
	left, _, right := pair(b)
	got := newSink()
	right.Start(got)
	payload := make([]byte, 300)
	const window = 1024
	b.ReportAllocs()
	b.SetBytes(300)
	sent, received := 0, 0
	for b.Loop() {
		left.Send(transport.Envelope{To: right.cfg.Advertise, Class: transport.Raft, Payload: payload})
		for sent++; sent-received >= window; received++ {
			<-got.got
		}
	}
}

// BenchmarkKilledPeer measures from the end of a leader to the event at its follower.
func BenchmarkKilledPeer(b *testing.B) {
	follower, got, _ := pair(b)
	for b.Loop() {
		b.StopTimer()
		leader, _ := New(Config{Listen: "127.0.0.1:0"})
		leader.cfg.Advertise = transport.Addr(leader.Addr().String())
		leader.Start(newSink())
		leader.Send(transport.Envelope{To: follower.cfg.Advertise, Class: transport.Raft, Payload: []byte("x")})
		<-got.got
		b.StartTimer()
		leader.Close()
		for e := <-got.events; e.Type != transport.Refused || e.Peer != leader.cfg.Advertise; e = <-got.events {
		}
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	left, got, right := pair(b)
	right.Start(echo{right})
	payload := make([]byte, 300)
	b.ReportAllocs()
	for b.Loop() {
		left.Send(transport.Envelope{To: right.cfg.Advertise, Class: transport.RPC, Payload: payload})
		<-got.got
	}
}

type echo struct{ t *Transport }

func (e echo) Deliver(m transport.Envelope) {
	e.t.Send(transport.Envelope{To: m.From, Class: m.Class, Payload: m.Payload})
}
func (e echo) PeerEvent(transport.Event) {}

// What a transport says that it did not send has not arrived anywhere, however often the peer comes and goes.
func TestUnsentIsCertain(t *testing.T) {
	t.Parallel()
	a, events, _ := open(t, Config{BackoffMax: time.Millisecond})
	b, got, addr := open(t, Config{})
	arrived, unsent := map[string]bool{}, map[string]bool{}
	collect := func() {
		for {
			select {
			case e := <-got.got:
				arrived[string(e.Payload)] = true
			case e := <-events.events:
				for _, p := range e.Unsent {
					unsent[string(p)] = true
				}
			default:
				return
			}
		}
	}
	sent := 0
	for round := range 40 {
		for range 20 {
			sent++
			a.Send(transport.Envelope{To: addr, Class: transport.RPC, Payload: []byte(strconv.Itoa(sent))})
		}
		collect()
		require.NoError(t, b.Close())
		for range 20 {
			sent++
			a.Send(transport.Envelope{To: addr, Class: transport.RPC, Payload: []byte(strconv.Itoa(sent))})
		}
		require.Eventually(t, func() bool { // that it is gone is noticed at least once
			sent++
			a.Send(transport.Envelope{To: addr, Class: transport.RPC, Payload: []byte(strconv.Itoa(sent))})
			collect()
			return round > 0 || len(unsent) > 0
		}, 20*time.Second, time.Millisecond)
		require.Eventually(t, func() bool {
			again, err := New(Config{Listen: string(addr), Advertise: addr})
			if err == nil {
				b = again
				b.Start(got)
			}
			return err == nil
		}, 20*time.Second, time.Millisecond, "the port is not free again")
	}
	t.Cleanup(func() { b.Close() })
	last := len(arrived)
	require.Eventually(t, func() bool {
		a.Send(transport.Envelope{To: addr, Class: transport.RPC, Payload: []byte("last")})
		collect()
		return len(arrived) > last && arrived["last"]
	}, 20*time.Second, time.Millisecond)
	delete(unsent, "last") // it was sent more than once
	require.NoError(t, a.Close())
	collect()
	for p := range unsent {
		require.False(t, arrived[p], "%s was told not to have been sent, and arrived", p)
	}
	t.Logf("%d sent: %d arrived, %d certainly not sent", sent, len(arrived), len(unsent))
}
