package gossip

import (
	"bytes"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"concord/internal/prng"
	"concord/swim"
	"concord/transport/seal"
	"concord/wire"
)

func TestEncryptedPool(t *testing.T) {
	t.Parallel()
	w := newTestNet(t, 1)
	w.tap = func(_, _ *testHost, s Send) {
		require.Equal(t, seal.Sealed, seal.FormOf(s.Payload))
		require.False(t, bytes.Contains(s.Payload, []byte("n1")), "a name leaves in the clear")
	}
	w.cluster(5, Config{Keyring: testKeyring(t, 1), Label: "dc1"})
	w.requireWhole()
	for _, h := range w.hosts {
		require.Zero(t, h.Stats().Dropped.Total())
	}
}

// Each stranger is kept out, and counted for what is wrong with it.
func TestStrangers(t *testing.T) {
	t.Parallel()
	pool := Config{Keyring: testKeyring(t, 1), Label: "dc1"}
	for name, c := range map[string]struct {
		cfg  Config
		want func(Dropped) uint64
	}{
		"another key":   {Config{Keyring: testKeyring(t, 2), Label: "dc1"}, func(d Dropped) uint64 { return d.WrongKey }},
		"another label": {Config{Keyring: testKeyring(t, 1), Label: "dc2"}, func(d Dropped) uint64 { return d.WrongPool }},
		"no label":      {Config{Keyring: testKeyring(t, 1)}, func(d Dropped) uint64 { return d.WrongPool }},
		"no key":        {Config{Label: "dc1"}, func(d Dropped) uint64 { return d.Plaintext }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newTestNet(t, 1)
			hosts := w.cluster(3, pool)
			stranger := w.add(c.cfg)
			w.join(stranger, hosts[0])
			w.join(hosts[1], stranger)
			w.run(30 * time.Second)
			for _, h := range hosts {
				require.Equal(t, 3, h.NumAlive())
			}
			require.Equal(t, 1, stranger.NumAlive())
			require.ErrorIs(t, stranger.joined[0].Err, swim.ErrJoinTimeout)
			require.Equal(t, uint64(1), c.want(hosts[0].Stats().Dropped))
			require.Equal(t, uint64(1), hosts[0].Stats().Dropped.Total())
			if name == "no key" {
				require.Equal(t, uint64(1), stranger.Stats().Dropped.NoKeyring)
			}
		})
	}
}

// Encryption is rolled into a running pool as Consul's documents have it: the key with both verifications off, then
// verify_outgoing on, then verify_incoming.
func TestRollingIn(t *testing.T) {
	t.Parallel()
	plain := Config{}
	keyed := Config{Keyring: testKeyring(t, 1), AcceptPlaintext: true, SendPlaintext: true}
	sending := Config{Keyring: testKeyring(t, 1), AcceptPlaintext: true}
	strict := Config{Keyring: testKeyring(t, 1)}
	for _, pair := range [][2]Config{{plain, keyed}, {keyed, sending}, {sending, strict}} {
		w := newTestNet(t, 1)
		for i := range 4 {
			h := w.add(pair[i%2])
			if i > 0 {
				w.join(h, w.hosts[0])
			}
		}
		w.run(20 * time.Second)
		w.requireWhole()
	}
	w := newTestNet(t, 1)
	a, b := w.add(plain), w.add(sending)
	w.join(a, b)
	w.run(20 * time.Second)
	require.Equal(t, 1, a.NumAlive(), "a step of the procedure was left out and nobody noticed")
}

// A whole recording of a pool, played to everybody in any order, changes nothing.
func TestReplayedRecording(t *testing.T) {
	t.Parallel()
	w := newTestNet(t, 1)
	type recorded struct {
		from, to *testHost
		Send
	}
	var recording []recorded
	w.tap = func(from, to *testHost, s Send) { recording = append(recording, recorded{from, to, s}) }
	w.cluster(4, Config{Keyring: testKeyring(t, 1)})
	w.tap = nil
	before := w.hosts[1].Stats()
	r := rand.New(rand.NewSource(1))
	r.Shuffle(len(recording), func(i, j int) { recording[i], recording[j] = recording[j], recording[i] })
	for _, m := range recording {
		require.ErrorIs(t, w.receive(m.to, m.from.addr, m.Stream, m.Payload), seal.ErrReplayed)
	}
	// Played to others than it was meant for, it is what gossip is anyway: something heard late.
	for _, m := range recording {
		w.receive(w.hosts[(slices.Index(w.hosts, m.to)+1)%4], m.from.addr, m.Stream, m.Payload)
	}
	w.run(30 * time.Second)
	w.requireWhole()
	after := w.hosts[1].Stats()
	require.Equal(t, before.Suspicions, after.Suspicions)
	require.Positive(t, after.Dropped.Replayed)
}

// A member that was set back to an earlier state of its memory is heard again as soon as it begins new sessions.
func TestNewSessions(t *testing.T) {
	t.Parallel()
	w := newTestNet(t, 1)
	hosts := w.cluster(2, Config{Keyring: testKeyring(t, 1)})
	w.tap = func(from, _ *testHost, s Send) {
		if from == hosts[0] { // what it sends was sent before
			require.NoError(t, w.receive(hosts[1], from.addr, s.Stream, s.Payload))
		}
	}
	replayed := hosts[1].Stats().Dropped.Replayed
	w.run(3 * time.Second)
	require.Greater(t, hosts[1].Stats().Dropped.Replayed, replayed)
	w.tap = nil
	require.NoError(t, hosts[0].NewSessions())
	replayed = hosts[1].Stats().Dropped.Replayed
	w.run(10 * time.Second)
	require.Equal(t, replayed, hosts[1].Stats().Dropped.Replayed)
	w.requireWhole()
	plain := w.add(Config{})
	require.NoError(t, plain.NewSessions())
}

// Sealed datagrams are not larger than the core was told they may be.
func TestSealedPacketsFit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newTestNet(t, rapid.Uint64().Draw(t, "seed"))
		largest := 0
		w.tap = func(_, _ *testHost, s Send) {
			if !s.Stream {
				largest = max(largest, len(s.Payload))
			}
		}
		cfg := Config{Keyring: testKeyring(t, 1), Label: "dc1", Swim: swim.LAN()}
		cfg.Swim.MaxPacket = swim.MinPacket
		cfg.Swim.Tags = map[string]string{"filler": strings.Repeat("x", rapid.IntRange(0, 490).Draw(t, "tags"))}
		w.cluster(8, cfg)
		require.LessOrEqual(t, largest, swim.MinPacket)
	})
}

func TestPacketOverhead(t *testing.T) {
	t.Parallel()
	p := swim.Packet{Message: swim.Message{Type: swim.MsgGossip}}
	encoded := len(wire.AppendPacket(nil, &p)) - 9 // but one byte for each field
	require.LessOrEqual(t, encoded+seal.Overhead, swim.PacketOverhead)
}

func TestPoolConfig(t *testing.T) {
	t.Parallel()
	cfg := Config{Swim: swim.LAN(), Keyring: testKeyring(t, 1)}
	cfg.Swim.Name, cfg.Swim.Addr = "a", newTestNet(t, 1).add(Config{}).addr
	_, err := New(cfg, prng.New(1), 0)
	require.ErrorIs(t, err, seal.ErrConfig, "a keyring without randomness")
	cfg.Keyring, cfg.Label = nil, strings.Repeat("x", 256)
	_, err = New(cfg, prng.New(1), 0)
	require.ErrorIs(t, err, seal.ErrConfig)
	cfg.Label, cfg.Swim.Name = "", ""
	_, err = New(cfg, prng.New(1), 0)
	require.ErrorIs(t, err, swim.ErrConfig)
}

func TestKeyring(t *testing.T) {
	t.Parallel()
	_, err := NewKeyring()
	require.ErrorIs(t, err, ErrNoKeys)
	_, err = NewKeyring("AAAA")
	require.ErrorIs(t, err, seal.ErrKeySize)
	a, b := testKey(1), testKey(2)
	r, err := NewKeyring(a.Base64(), a.Base64())
	require.NoError(t, err)
	require.Equal(t, []string{a.Base64()}, r.List())
	require.ErrorIs(t, r.Use(b.Sum()), ErrNoSuchKey)
	require.NoError(t, r.Install(b))
	require.NoError(t, r.Install(b), "installing twice is no error")
	require.Same(t, r.keys[0], r.Primary())
	require.Equal(t, a.Sum(), r.Primary().Sum())
	require.ErrorIs(t, r.Remove(a.Sum()), ErrPrimaryKey)
	copied := r.Clone()
	require.NoError(t, r.Use(b.Sum()))
	require.Equal(t, []string{b.Base64(), a.Base64()}, r.List())
	require.NoError(t, r.Remove(a.Sum()))
	require.NoError(t, r.Remove(a.Sum()), "removing twice is no error")
	require.Equal(t, []string{b.Base64()}, r.List())
	require.Equal(t, []string{a.Base64(), b.Base64()}, copied.List())
	again, err := ParseKeyring(copied.Marshal())
	require.NoError(t, err)
	require.Equal(t, copied.List(), again.List())
	for i := range MaxKeys {
		err = r.Install(testKey(byte(i + 10)))
	}
	require.ErrorIs(t, err, ErrKeyringFull)
	for _, format := range []string{"%v", "%+v", "%#v"} {
		text := fmt.Sprintf(format, copied)
		require.NotContains(t, text, a.Base64()[:8])
		require.Contains(t, text, a.String())
	}
}

// FuzzReceive: whatever arrives, a pool takes it or says why not, and an encrypted one believes nothing of it.
func FuzzReceive(f *testing.F) {
	w := newTestNet(f, 1)
	w.tap = func(_, _ *testHost, s Send) { f.Add(s.Payload, s.Stream, true); f.Add(s.Payload, s.Stream, false) }
	for _, cfg := range []Config{{}, {Keyring: testKeyring(f, 2)}, {Label: "dc1"}} {
		w.hosts = nil
		w.cluster(2, cfg)
	}
	f.Fuzz(func(t *testing.T, data []byte, stream, encrypted bool) {
		w := newTestNet(t, 1)
		var cfg Config
		if encrypted {
			cfg.Keyring = testKeyring(t, 1)
		}
		h, other := w.add(cfg), w.add(cfg)
		err := h.Receive(w.now, other.addr, stream, data)
		require.Equal(t, err != nil, h.Stats().Dropped.Total() == 1)
		if encrypted {
			require.Error(t, err)
			require.Equal(t, 1, h.NumAlive())
		}
	})
}

func FuzzParseKeyring(f *testing.F) {
	f.Add(testKeyring(f, 1).Marshal())
	f.Add(testKeyring(f, 1, 2, 3).Marshal())
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ParseKeyring(data)
		if err != nil {
			return
		}
		again, err := ParseKeyring(r.Marshal())
		require.NoError(t, err)
		require.Equal(t, r.List(), again.List())
	})
}
