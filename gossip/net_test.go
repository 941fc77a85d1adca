package gossip

import (
	"bytes"
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"concord/internal/prng"
	"concord/swim"
	"concord/transport/seal"
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
		for _, s := range out.Sends {
			w.send(h, s)
		}
	}
}

func (w *testNet) send(h *testHost, s Send) {
	i := slices.IndexFunc(w.hosts, func(o *testHost) bool { return o.addr == s.To })
	if i < 0 {
		return
	}
	if w.tap != nil {
		w.tap(h, w.hosts[i], s)
	}
	if s.Stream || !w.rng.Chance(w.loss, 100) {
		w.under = append(w.under, delivery{w.now + w.rng.Duration(time.Millisecond, 4*time.Millisecond), h.addr, w.hosts[i], s})
	}
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
