package node

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"concord/agent/userevent"
	"concord/catalog"
	"concord/internal/prng"
	"concord/swim"
	"concord/transport"
	"concord/wire"
)

// world is an Env that remembers what was sent and answered.
type world struct {
	now     time.Duration
	sent    []transport.Envelope // RPC only
	answers []*wire.Response
	events  []userevent.Event
}

func (w *world) Now() time.Duration  { return w.now }
func (w *world) Wall() time.Duration { return w.now }
func (w *world) Send(e transport.Envelope) {
	if e.Class == transport.RPC {
		w.sent = append(w.sent, e)
	}
}
func (w *world) Persist(PersistTask)                 {}
func (w *world) Apply(ApplyTask)                     {}
func (w *world) View(ReadView)                       {}
func (w *world) Read(ReadTask)                       {}
func (w *world) Fetch(FetchTask)                     {}
func (w *world) Reply(_ uint64, resp *wire.Response) { w.answers = append(w.answers, resp) }
func (w *world) Save(string, []byte)                 {}
func (w *world) SaveKeyring(KeyringTask)             {}
func (w *world) Event(e userevent.Event)             { w.events = append(w.events, e) }
func (w *world) Agent(AgentTask)                     {}
func (w *world) Log(Level, string, string, ...any)   {}
func (w *world) take() (out []transport.Envelope)    { out, w.sent = w.sent, nil; return out }
func (w *world) request(i int) (q wire.Request) {
	q, _ = wire.DecodeRequest(w.sent[i].Payload[1:])
	return q
}
func (w *world) lastAnswer() (last *wire.Response) { return w.answers[len(w.answers)-1] }
func (w *world) respond(n *Node, e transport.Envelope, r *wire.Response) {
	q, _ := wire.DecodeRequest(e.Payload[1:])
	r.ID = q.ID
	n.OnMessage(transport.Envelope{From: e.To, Class: transport.RPC, Payload: wire.AppendResponse([]byte{rpcResponse}, r)})
}

// border is a server of dc1 that knows servers of dc2, s0 to s(n-1), by its WAN pool.
func border(t *testing.T, n int) (*Node, *world) {
	t.Helper()
	w := &world{}
	cfg := Config{ID: "11111111-0000-4000-8000-000000000001", Name: "own", Server: true, Address: "10.1.0.1", RPCAddr: "10.1.0.1:8300"}
	cfg.LAN.Swim.Addr = netip.MustParseAddrPort("10.1.0.1:8301")
	cfg.WAN.Swim.Addr = netip.MustParseAddrPort("10.1.0.1:8302")
	node, err := New(cfg, w, prng.New(1), Disk{})
	require.NoError(t, err)
	node.remotes.update("dc1", remoteMembers(n))
	return node, w
}

func remoteMembers(n int) (out []swim.Member) {
	for i := range n {
		u := swim.Update{State: swim.StateAlive, Name: fmt.Sprintf("s%d.dc2", i), Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 2, 0, byte(i)}), 8302),
			Tags: map[string]string{tagRole: roleServer, tagDatacenter: "dc2", tagID: fmt.Sprint("id", i), tagPort: "8300"}}
		out = append(out, swim.Member{Update: u})
	}
	return out
}

var (
	abroadWrite = &wire.Request{Command: []byte("x"), Datacenter: "dc2"}
	abroadRead  = &wire.Request{Read: &wire.Read{Query: &catalog.NodesQuery{}}, Datacenter: "dc2"}
)

// A request for another datacenter goes to one of its servers, and the answer back.
func TestForwardedToOtherDatacenter(t *testing.T) {
	t.Parallel()
	n, w := border(t, 3)
	n.OnRequest(1, abroadWrite)
	require.Len(t, w.sent, 1)
	q := w.request(0)
	require.Equal(t, uint8(1), q.Hops)
	require.Equal(t, "dc2", q.Datacenter)
	w.respond(n, w.sent[0], &wire.Response{Result: &catalog.Result{OK: true}})
	require.Equal(t, wire.OK, w.lastAnswer().Code)
}

// A write that may have been taken is not sent again; one that never left this machine, and a read, are, each server getting its turn.
func TestRemoteServerDies(t *testing.T) {
	t.Parallel()
	n, w := border(t, 3)
	n.OnRequest(1, abroadWrite)
	first := w.take()[0]
	n.OnPeerEvent(transport.Event{Type: transport.Unreachable, Class: transport.RPC, Peer: first.To})
	require.Empty(t, w.sent)
	require.Equal(t, wire.Unknown, w.lastAnswer().Code)

	for _, req := range []*wire.Request{abroadWrite, abroadRead} {
		asked := map[transport.Addr]bool{}
		n.OnRequest(2, req)
		for range 3 {
			e := w.take()[0]
			asked[e.To] = true
			n.OnPeerEvent(transport.Event{Type: transport.Refused, Class: transport.RPC, Peer: e.To, Unsent: [][]byte{e.Payload}})
		}
		require.Len(t, asked, 3, "each server is asked")
		e := w.take()[0]
		require.True(t, asked[e.To], "and then the one whose failure is longest ago")
		w.respond(n, e, &wire.Response{})
		require.Equal(t, wire.OK, w.lastAnswer().Code)
	}
}

// A request that is sent on has less time than who sent it waits for the answer: a server whose remote one is silent must not be taken for
// the silent one.
func TestTimeForTheAnswer(t *testing.T) {
	t.Parallel()
	n, w := border(t, 1)
	n.OnRequest(1, abroadWrite)
	read := &wire.Request{Read: &wire.Read{Query: &catalog.NodesQuery{}, MinIndex: 1, Wait: time.Minute}, Datacenter: "dc2"}
	n.OnRequest(2, read)
	for i := range 2 {
		got := w.request(i).Timeout
		require.Less(t, got, n.cfg.RequestTimeout)
		require.Greater(t, got, n.cfg.RequestTimeout*9/10)
	}
	require.Equal(t, time.Minute, w.request(1).Read.Wait)
}

// A call that nobody takes ends with its hold time, and does not go round faster and faster until then.
func TestNobodyAnswersAbroad(t *testing.T) {
	t.Parallel()
	n, w := border(t, 2)
	n.OnRequest(1, abroadWrite)
	sent := 0
	for len(w.answers) == 0 {
		for _, e := range w.take() {
			sent++
			n.OnPeerEvent(transport.Event{Type: transport.Refused, Class: transport.RPC, Peer: e.To, Unsent: [][]byte{e.Payload}})
		}
		w.now += 10 * time.Millisecond
		n.OnTick()
	}
	require.Equal(t, wire.NoPath, w.lastAnswer().Code)
	require.LessOrEqual(t, w.now, n.cfg.HoldTimeout+time.Second)
	require.Less(t, sent, 1000)
}

func TestNoPath(t *testing.T) {
	t.Parallel()
	n, w := border(t, 1)
	n.OnRequest(1, &wire.Request{Command: []byte("x"), Datacenter: "dc9"})
	require.Equal(t, noPath(), w.lastAnswer())
	// A server is only asked for another datacenter by those of its own: client, server, and then the border.
	n.startCall(Origin{Peer: "10.2.0.9:8300", ID: 7}, &wire.Request{Command: []byte("x"), Datacenter: "dc2", Hops: 2})
	resp, err := wire.DecodeResponse(w.take()[0].Payload[1:])
	require.NoError(t, err)
	require.Equal(t, wire.NoPath, resp.Code)
	// What gossip calls failed is not asked.
	members := remoteMembers(1)
	members[0].State = swim.StateDead
	n.remotes.update("dc1", members)
	n.OnRequest(2, abroadRead)
	require.Empty(t, w.sent)
	require.Equal(t, wire.NoPath, w.lastAnswer().Code)
}

// Nearest first; who failed comes last for a while; load is shared among those at the same distance.
func TestPickRemote(t *testing.T) {
	t.Parallel()
	near := func(name string) time.Duration {
		return map[string]time.Duration{"s0.dc2": 30 * time.Millisecond, "s1.dc2": 10 * time.Millisecond, "s2.dc2": 20 * time.Millisecond}[name]
	}
	d := newDatacenters(prng.New(1))
	d.update("dc1", remoteMembers(3))
	require.Equal(t, transport.Addr("10.2.0.1:8300"), d.pick(0, "dc2", near))
	d.failed(0, "10.2.0.1:8300")
	require.Equal(t, transport.Addr("10.2.0.2:8300"), d.pick(0, "dc2", near))
	require.Equal(t, transport.Addr("10.2.0.1:8300"), d.pick(avoidFor, "dc2", near), "it is tried again")
	require.Empty(t, d.pick(0, "dc1", near))

	picked := map[transport.Addr]bool{}
	for seed := range uint64(50) {
		d := newDatacenters(prng.New(seed))
		d.update("dc1", remoteMembers(3))
		picked[d.pick(0, "dc2", func(string) time.Duration { return unknownDistance })] = true
	}
	require.Len(t, picked, 3)
}

// What gossip calls failed is not waited for, but for a write, which it may have done.
func TestForsaken(t *testing.T) {
	t.Parallel()
	n, w := border(t, 2)
	n.OnRequest(1, abroadRead)
	n.OnRequest(2, abroadWrite)
	sent := w.take()
	require.Len(t, sent, 2)
	require.Equal(t, sent[0].To, sent[1].To)
	for _, m := range remoteMembers(2) {
		if info, _ := serverAt(m); info.Addr == sent[0].To {
			m.State = swim.StateDead
			n.forsake([]swim.Event{{Type: swim.EventFailed, Member: m}})
		}
	}
	again := w.take()
	require.Len(t, again, 1)
	require.NotEqual(t, sent[0].To, again[0].To)
	w.respond(n, again[0], &wire.Response{Code: wire.NoLeader})
	require.Equal(t, wire.NoLeader, w.lastAnswer().Code, "the read")
	w.respond(n, sent[1], &wire.Response{})
	require.Equal(t, wire.OK, w.lastAnswer().Code, "the write")
}
