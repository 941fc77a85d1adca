package tcp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"runtime"
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
	require.Equal(t, transport.Event{Type: transport.Unreachable, Class: transport.RPC, Peer: "node:2"}, got.event(t))
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
	require.Equal(t, transport.Event{Type: transport.Refused, Class: transport.RPC, Peer: addr}, got.event(t))
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

func BenchmarkRoundTrip(b *testing.B) {
	left, _ := New(Config{Listen: "127.0.0.1:0"})
	right, _ := New(Config{Listen: "127.0.0.1:0"})
	left.cfg.Advertise, right.cfg.Advertise = transport.Addr(left.Addr().String()), transport.Addr(right.Addr().String())
	got := newSink()
	left.Start(got)
	right.Start(echo{right})
	defer left.Close()
	defer right.Close()
	payload := make([]byte, 300)
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
