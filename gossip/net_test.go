package gossip

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"concord/internal/prng"
	"concord/swim"
	"concord/transport/seal"
	"concord/wire"
)

// testNet is a deterministic virtual network of pools.
type testNet struct {
	t     require.TestingT
	rng   *prng.Rand
	now   time.Duration
	under []delivery
	hosts []*testHost
	loss  uint64 // of 100 datagrams
	// tap sees each message before it is sent.
	tap func(from, to *testHost, s Send)
	// cut loses messages.
	cut func(from, to *testHost, s Send) bool
}

type delivery struct {
	at    time.Duration
	from  netip.AddrPort
	to    *testHost
	sends Send
}

type testHost struct {
	*Pool
	name   string
	addr   netip.AddrPort
	events []swim.Event
	joined []swim.JoinResult
	errs   []error
	keys   []KeyResult
	notes  []string
	others []swim.Question // that are the user's
	disk   []byte          // the keyring as it was kept last
	slow   bool            // its disk: what is to be kept waits in saves
	broken bool            // its disk fails
	saves  []SaveKeyring
}

func testKey(fill byte) *seal.Key {
	k, err := seal.NewKey(bytes.Repeat([]byte{fill}, 16))
	if err != nil {
		panic(err)
	}
	return k
}

func testKeyring(t require.TestingT, fills ...byte) *Keyring {
	var keys []string
	for _, f := range fills {
		keys = append(keys, testKey(f).Base64())
	}
	r, err := NewKeyring(keys...)
	require.NoError(t, err)
	return r
}

func newTestNet(t require.TestingT, seed uint64) *testNet { return &testNet{t: t, rng: prng.New(seed)} }

// add makes a pool of the configuration; its name and address are filled in.
func (w *testNet) add(cfg Config) *testHost {
	i := len(w.hosts)
	h := &testHost{name: fmt.Sprintf("n%d", i), addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), 8301)}
	if cfg.Swim.ProbeInterval == 0 {
		cfg.Swim = swim.LAN()
	}
	cfg.Swim.Name, cfg.Swim.ID, cfg.Swim.Addr = h.name, "id-"+h.name, h.addr
	cfg.Random = w.rng.Fork("seal/" + h.name)
	var err error
	h.Pool, err = New(cfg, w.rng.Fork(h.name), w.now)
	require.NoError(w.t, err)
	w.hosts = append(w.hosts, h)
	w.drain(h)
	return h
}

// cluster is a pool of n that all joined the first, at rest.
func (w *testNet) cluster(n int, cfg Config) []*testHost {
	for range n {
		c := cfg
		if c.Keyring != nil {
			c.Keyring = c.Keyring.Clone()
		}
		h := w.add(c)
		if len(w.hosts) > 1 {
			w.join(h, w.hosts[0])
		}
	}
	w.run(10 * time.Second)
	return w.hosts
}

func (w *testNet) join(h, to *testHost) {
	h.Join(w.now, []netip.AddrPort{to.addr})
	w.drain(h)
}

func (w *testNet) drain(h *testHost) {
	for h.HasOutput() {
		out := h.Output()
		h.events = append(h.events, out.Events...)
		h.joined = append(h.joined, out.Joined...)
		h.keys = append(h.keys, out.KeyResults...)
		h.others = append(h.others, out.Questions...)
		for _, n := range out.Notices {
			h.notes = append(h.notes, n.Text)
		}
		for _, s := range out.Sends {
			w.send(h, s)
		}
		h.saves = append(h.saves, out.SaveKeyrings...)
		if !h.slow {
			w.keep(h)
		}
	}
}

// keep writes what a host wants kept.
func (w *testNet) keep(h *testHost) {
	saves := h.saves
	h.saves = nil
	for _, s := range saves {
		if h.broken {
			h.KeyringSaved(w.now, s.Seq, errors.New("disk full"))
			continue
		}
		h.disk = s.Data
		h.KeyringSaved(w.now, s.Seq, nil)
	}
}

// manage carries out a key operation and returns what came of it.
func (w *testNet) manage(h *testHost, op KeyOp, key string) KeyResponse {
	id, err := h.ManageKeys(w.now, KeyRequest{Op: op, Key: key})
	if err != nil {
		return KeyResponse{Err: err}
	}
	w.drain(h)
	for range 600 {
		if n := len(h.keys); n > 0 && h.keys[n-1].ID == id {
			return h.keys[n-1].KeyResponse
		}
		w.run(100 * time.Millisecond)
	}
	require.Fail(w.t, "a key operation does not end")
	return KeyResponse{}
}

func (w *testNet) send(h *testHost, s Send) {
	i := slices.IndexFunc(w.hosts, func(o *testHost) bool { return o.addr == s.To })
	if i < 0 {
		return
	}
	if w.tap != nil {
		w.tap(h, w.hosts[i], s)
	}
	if w.cut != nil && w.cut(h, w.hosts[i], s) {
		return
	}
	if s.Stream || !w.rng.Chance(w.loss, 100) {
		w.under = append(w.under, delivery{w.now + w.rng.Duration(time.Millisecond, 4*time.Millisecond), h.addr, w.hosts[i], s})
	}
}

// answers tells whether a message answers a query.
func (w *testNet) answers(s Send) bool {
	plain, err := seal.New(seal.Config{Random: w.rng, MaxSessions: 1})
	require.NoError(w.t, err)
	payload, err := plain.Open(testKeyring(w.t, 1, 2).keys, kindOf(s.Stream), s.Payload)
	require.NoError(w.t, err)
	packet, err := wire.DecodePacket(payload)
	require.NoError(w.t, err)
	return packet.Message.Type == swim.MsgAnswer
}

func mustKey(t require.TestingT, secret string) *seal.Key {
	k, err := seal.NewKey([]byte(secret))
	require.NoError(t, err)
	return k
}

// run lets time pass.
func (w *testNet) run(d time.Duration) {
	end := w.now + d
	for {
		var next *testHost
		at := end
		for _, h := range w.hosts {
			if dl := h.NextDeadline(); dl < at {
				at, next = dl, h
			}
		}
		if len(w.under) > 0 {
			m := slices.MinFunc(w.under, func(a, b delivery) int { return cmp.Compare(a.at, b.at) })
			if m.at <= at {
				w.under = slices.DeleteFunc(w.under, func(o delivery) bool {
					return o.at == m.at && o.to == m.to && &o.sends.Payload[0] == &m.sends.Payload[0]
				})
				w.now = max(w.now, m.at)
				w.receive(m.to, m.from, m.sends.Stream, m.sends.Payload)
				continue
			}
		}
		w.now = max(w.now, at)
		if next == nil {
			return
		}
		next.Tick(w.now)
		w.drain(next)
	}
}

func (w *testNet) receive(h *testHost, from netip.AddrPort, stream bool, data []byte) error {
	err := h.Receive(w.now, from, stream, bytes.Clone(data))
	if err != nil {
		h.errs = append(h.errs, err)
	}
	w.drain(h)
	return err
}

// requireWhole checks that everybody takes everybody for alive, and that nobody was ever taken for failed.
func (w *testNet) requireWhole() {
	for _, h := range w.hosts {
		require.Equal(w.t, len(w.hosts), h.NumAlive(), "%s does not see all members", h.name)
		for _, e := range h.events {
			require.NotEqual(w.t, swim.EventFailed, e.Type, "%s lost %s", h.name, e.Member.Name)
		}
	}
}

func TestTestNetLosesNobody(t *testing.T) {
	w := newTestNet(t, 1)
	w.cluster(5, Config{})
	w.requireWhole()
}
