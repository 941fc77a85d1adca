package udp

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"concord/transport"
)

type sink chan transport.Envelope

func (s sink) Deliver(e transport.Envelope) { s <- e }
func (s sink) PeerEvent(e transport.Event)  {}
func (s sink) next(t testing.TB) transport.Envelope {
	t.Helper()
	select {
	case e := <-s:
		return e
	case <-time.After(20 * time.Second):
		t.Fatal("nothing arrives")
	}
	return transport.Envelope{}
}

func open(t testing.TB) (*Transport, sink, transport.Addr) {
	t.Helper()
	tr, err := New("127.0.0.1:0", transport.Gossip, nil)
	require.NoError(t, err)
	s := make(sink, 1024)
	tr.Start(s)
	t.Cleanup(func() { tr.Close() })
	return tr, s, transport.Addr(tr.Addr().String())
}

func TestThereAndBack(t *testing.T) {
	t.Parallel()
	a, gotA, addrA := open(t)
	b, gotB, addrB := open(t)
	largest := bytes.Repeat([]byte("x"), transport.MaxDatagram-Overhead)
	for _, payload := range [][]byte{[]byte("ping"), {}, largest} {
		a.Send(transport.Envelope{To: addrB, Class: transport.Gossip, Payload: payload})
		e := gotB.next(t)
		require.Equal(t, transport.Envelope{From: addrA, Class: transport.Gossip, Payload: payload}, e)
		b.Send(transport.Envelope{To: e.From, Class: transport.Gossip, Payload: []byte("ack")})
		require.Equal(t, "ack", string(gotA.next(t).Payload))
	}
	require.EqualValues(t, 3, a.Stats().Received)
	require.EqualValues(t, 3, b.Stats().Received)
}

func TestAllAddressesHearIPv4(t *testing.T) {
	t.Parallel()
	wild, err := New("0.0.0.0:0", transport.Gossip, nil)
	require.NoError(t, err)
	got := make(sink, 1)
	wild.Start(got)
	defer wild.Close()
	a, gotA, addrA := open(t)
	port := netip.MustParseAddrPort(wild.Addr().String()).Port()
	to := transport.Addr(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port).String())
	a.Send(transport.Envelope{To: to, Payload: []byte("x")})
	e := got.next(t)
	require.Equal(t, addrA, e.From, "an address of IPv4 must not look like one of IPv6")
	wild.Send(transport.Envelope{To: e.From, Payload: []byte("y")})
	require.Equal(t, to, gotA.next(t).From)
}

// TestStrangers sends what is no datagram of ours; the one after all of them must come through alone.
func TestStrangers(t *testing.T) {
	t.Parallel()
	b, got, addr := open(t)
	c, err := net.Dial("udp", string(addr))
	require.NoError(t, err)
	defer c.Close()
	damaged := []byte{magic, 1, 2, 3, 4, 'a'}
	large := append([]byte{magic}, make([]byte, transport.MaxDatagram)...)
	for _, p := range [][]byte{nil, {magic}, []byte("GET / HTTP/1.1"), damaged, large, make([]byte, 9000)} {
		_, err := c.Write(p)
		require.NoError(t, err)
	}
	a, _, addrA := open(t)
	a.Send(transport.Envelope{To: addr, Payload: []byte("ours")})
	e := got.next(t)
	require.Equal(t, "ours", string(e.Payload))
	require.Equal(t, addrA, e.From)
	require.EqualValues(t, 6, b.Stats().Malformed)
}

func TestDropped(t *testing.T) {
	t.Parallel()
	a, _, addr := open(t)
	a.Send(transport.Envelope{To: addr, Payload: make([]byte, transport.MaxDatagram-Overhead+1)})
	require.EqualValues(t, 1, a.Stats().Dropped, "too large")
	a.Send(transport.Envelope{To: "nobody", Payload: []byte("x")})
	require.Eventually(t, func() bool { return a.Stats().Dropped == 2 }, 20*time.Second, time.Millisecond, "no address")

	unstarted, err := New("127.0.0.1:0", transport.Gossip, nil) // takes nothing out of its queue
	require.NoError(t, err)
	for range queueLen + 5 {
		unstarted.Send(transport.Envelope{To: addr, Payload: []byte("x")})
	}
	require.EqualValues(t, 5, unstarted.Stats().Dropped, "the queue is full")
	require.NoError(t, unstarted.Close())
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	_, _, addr := open(t)
	_, err := New(string(addr), transport.Gossip, nil)
	require.Error(t, err)
	_, err = New("not an address", transport.Gossip, nil)
	require.Error(t, err)
}

func TestCloseLeavesNothingBehind(t *testing.T) {
	before := runtime.NumGoroutine()
	a, _, addr := open(t)
	require.NoError(t, a.Close())
	require.NoError(t, a.Close(), "closing twice does no harm")
	a.Send(transport.Envelope{To: addr, Payload: []byte("x")})
	require.LessOrEqual(t, runtime.NumGoroutine(), before)
}

func BenchmarkRoundTrip(b *testing.B) {
	left, got, from := open(b)
	right, back, to := open(b)
	payload := make([]byte, 300)
	b.ReportAllocs()
	for b.Loop() {
		left.Send(transport.Envelope{To: to, Payload: payload})
		<-back
		right.Send(transport.Envelope{To: from, Payload: payload})
		<-got
	}
}

// TestSocket is used from one goroutine, which waits for datagrams and for times.
func TestSocket(t *testing.T) {
	t.Parallel()
	buf := make([]byte, BufferSize)
	for _, listen := range []string{"127.0.0.1:0", "0.0.0.0:0", "[::1]:0"} {
		s, err := Listen(listen, nil)
		if err != nil && listen[0] == '[' {
			continue // a machine without IPv6
		}
		require.NoError(t, err)
		host := netip.MustParseAddr("127.0.0.1")
		if listen[0] == '[' {
			host = netip.IPv6Loopback()
		}
		own := netip.AddrPortFrom(host, s.Addr().(*net.UDPAddr).AddrPort().Port())
		for i, send := range []func([]byte, netip.AddrPort, []byte) error{s.Send, s.TrySend} {
			require.NoError(t, send(buf, own, []byte{byte(i)}))
			payload, from, err := s.Receive(buf)
			require.NoError(t, err)
			require.Equal(t, []byte{byte(i)}, payload)
			require.Equal(t, own, from)
			require.ErrorIs(t, send(buf, own, make([]byte, transport.MaxDatagram)), ErrTooLarge)
			require.Error(t, send(buf, netip.AddrPort{}, nil))
		}
		require.Equal(t, Stats{Sent: 2, Received: 2, Dropped: 4, SentBytes: 12, ReceivedBytes: 12}, s.Stats())
		require.NoError(t, s.WakeAt(time.Unix(1, 0)))
		_, _, err = s.Receive(buf)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.NoError(t, s.Close())
		_, _, err = s.Receive(buf)
		require.ErrorIs(t, err, net.ErrClosed)
		require.Error(t, s.TrySend(buf, own, nil))
	}
}

// TestWrongFamily sends to an address that the socket cannot reach.
func TestWrongFamily(t *testing.T) {
	t.Parallel()
	s, err := Listen("127.0.0.1:0", nil)
	require.NoError(t, err)
	defer s.Close()
	require.Error(t, s.TrySend(make([]byte, BufferSize), netip.MustParseAddrPort("[2001:db8::1]:1"), []byte("x")))
}

func TestSendingAllocatesNothing(t *testing.T) {
	s, err := Listen("127.0.0.1:0", nil)
	require.NoError(t, err)
	defer s.Close()
	buf, payload, to := make([]byte, BufferSize), make([]byte, 100), netip.MustParseAddrPort("127.0.0.1:9")
	require.Zero(t, testing.AllocsPerRun(100, func() { s.TrySend(buf, to, payload) }))
}
