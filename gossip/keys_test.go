package gossip

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"concord/swim"
	"concord/wire"
)

func keeping(t require.TestingT) Config { return Config{Keyring: testKeyring(t, 1), KeepKeyring: true} }

func TestRotation(t *testing.T) {
	t.Parallel()
	w := newTestNet(t, 1)
	hosts := w.cluster(5, keeping(t))
	old, next := testKey(1).Base64(), testKey(2).Base64()

	r := w.manage(hosts[2], InstallKey, next)
	require.NoError(t, r.Err)
	require.Equal(t, []int{5, 5, 0}, []int{r.NumNodes, r.NumResp, r.NumErr})
	require.Empty(t, r.Messages)
	r = w.manage(hosts[0], ListKeys, "")
	require.NoError(t, r.Err)
	require.Equal(t, map[string]int{old: 5, next: 5}, r.Keys)
	require.Equal(t, map[string]int{old: 5}, r.PrimaryKeys)

	require.NoError(t, w.manage(hosts[1], UseKey, next).Err)
	require.NoError(t, w.manage(hosts[3], RemoveKey, old).Err)
	r = w.manage(hosts[4], ListKeys, "")
	require.NoError(t, r.Err)
	require.Equal(t, map[string]int{next: 5}, r.Keys)
	require.Equal(t, r.Keys, r.PrimaryKeys)
	w.run(30 * time.Second)
	w.requireWhole()
	for _, h := range hosts {
		require.JSONEq(t, `["`+next+`"]`, string(h.disk))
		for _, note := range h.notes {
			require.NotContains(t, note, strings.TrimRight(next, "="), "a key is in the log")
			require.NotContains(t, note, strings.TrimRight(old, "="), "a key is in the log")
		}
	}
	// What is so already is no error.
	for op, key := range map[KeyOp]string{InstallKey: next, UseKey: next, RemoveKey: old} {
		require.NoError(t, w.manage(hosts[0], op, key).Err, op)
	}
}

// Neither of the operations that could cut somebody off is begun where it would.
func TestRehearsal(t *testing.T) {
	t.Parallel()
	w := newTestNet(t, 1)
	hosts := w.cluster(4, keeping(t))
	old, next := testKey(1), testKey(2)
	require.NoError(t, hosts[0].Keyring().Install(next))
	require.NoError(t, hosts[1].Keyring().Install(next))
	r := w.manage(hosts[0], UseKey, next.Base64())
	require.ErrorContains(t, r.Err, "2/4 nodes cannot use-key, nothing was changed: n2, n3")
	require.Equal(t, map[string]string{"n2": ErrNoSuchKey.Error(), "n3": ErrNoSuchKey.Error()}, r.Messages)
	r = w.manage(hosts[0], RemoveKey, old.Base64())
	require.ErrorContains(t, r.Err, "4/4 nodes cannot remove-key")
	require.Equal(t, ErrPrimaryKey.Error(), r.Messages["n3"])
	for _, h := range hosts {
		require.Equal(t, old.Sum(), h.Keyring().Primary().Sum())
		require.True(t, h.Keyring().Has(old.Sum()))
	}

	// A member that does not answer may lack the key: it is not left behind.
	require.NoError(t, w.manage(hosts[0], InstallKey, next.Base64()).Err)
	silent := hosts[3].addr
	w.cut = func(from, to *testHost, s Send) bool { return from.addr == silent && w.answers(s) }
	r = w.manage(hosts[0], UseKey, next.Base64())
	require.ErrorContains(t, r.Err, "1/4 nodes did not say whether they can use-key, nothing was changed: n3")
	require.Equal(t, old.Sum(), hosts[0].Keyring().Primary().Sum())
	r = w.manage(hosts[0], InstallKey, testKey(3).Base64())
	require.EqualError(t, r.Err, "3/4 nodes reported success")
}

func TestNoKeysToManage(t *testing.T) {
	t.Parallel()
	key := testKey(9).Base64()
	plain := newTestNet(t, 1)
	hosts := plain.cluster(2, Config{})
	require.ErrorIs(t, plain.manage(hosts[0], InstallKey, key).Err, ErrNotEncrypted)
	require.ErrorContains(t, plain.manage(hosts[0], ListKeys, "").Err, "Keyring is empty (encryption not enabled)")

	strict := newTestNet(t, 1)
	hosts = strict.cluster(2, keeping(t))
	for _, bad := range []string{"", "AAAA", "not base64"} {
		require.Error(t, strict.manage(hosts[0], InstallKey, bad).Err)
	}
	for i := range maxKeyTasks + 1 {
		_, err := hosts[0].ManageKeys(strict.now, KeyRequest{Op: ListKeys})
		require.Equal(t, i >= maxKeyTasks, err != nil, "request %d", i)
	}
	hosts[1].Leave(strict.now)
	require.ErrorIs(t, strict.manage(hosts[1], ListKeys, "").Err, swim.ErrLeft)
}

// Who believes plaintext, or sends it, neither tells its keys nor lets them be changed: anybody could ask for that.
func TestOpenMembersKeepTheirKeys(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]Config{
		"accepts": {Keyring: testKeyring(t, 1), AcceptPlaintext: true},
		"sends":   {Keyring: testKeyring(t, 1), AcceptPlaintext: true, SendPlaintext: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newTestNet(t, 1)
			open, stranger := w.add(cfg), w.add(Config{})
			w.join(stranger, open)
			w.run(5 * time.Second)
			require.ErrorIs(t, w.manage(open, ListKeys, "").Err, ErrOpen)
			for op := range keyQueries {
				secret, sum := testKey(7).Secret(), testKey(1).Sum()
				q := wire.KeyQuery{Secret: secret, Sum: sum[:]}
				_, err := stranger.Node.Ask(w.now, swim.Query{Name: InternalPrefix + op.String(), Payload: wire.AppendKeyQuery(nil, &q)})
				require.NoError(t, err)
				w.drain(stranger)
			}
			w.tap = func(_, _ *testHost, s Send) { require.NotContains(t, string(s.Payload), string(testKey(1).Secret())) }
			w.run(10 * time.Second)
			require.Equal(t, []string{testKey(1).Base64()}, open.Keyring().List())
		})
	}
}

// Two operators who want what does not go together: one is refused, and nobody is cut off.
func TestRivals(t *testing.T) {
	t.Parallel()
	w := newTestNet(t, 1)
	hosts := w.cluster(5, keeping(t))
	next := testKey(2).Base64()
	require.NoError(t, w.manage(hosts[0], InstallKey, next).Err)
	_, err := hosts[0].ManageKeys(w.now, KeyRequest{Op: UseKey, Key: next})
	require.NoError(t, err)
	w.drain(hosts[0])
	r := w.manage(hosts[4], RemoveKey, next)
	require.ErrorContains(t, r.Err, "cannot remove-key, nothing was changed")
	require.Contains(t, fmt.Sprint(r.Messages), "a key operation begun at n0 is under way")
	w.run(keyReservation)
	w.requireReadable()
	require.NoError(t, w.manage(hosts[4], UseKey, testKey(1).Base64()).Err)
	require.NoError(t, w.manage(hosts[2], RemoveKey, next).Err)
}

// A rehearsal that failed is over for everybody: whoever tries something else next need not wait.
func TestFailedRehearsalIsOver(t *testing.T) {
	t.Parallel()
	w := newTestNet(t, 1)
	hosts := w.cluster(5, keeping(t))
	next := testKey(2)
	require.NoError(t, w.manage(hosts[0], InstallKey, next.Base64()).Err)
	require.NoError(t, hosts[4].Keyring().Use(next.Sum()))
	require.ErrorContains(t, w.manage(hosts[0], RemoveKey, next.Base64()).Err, "1/5 nodes cannot remove-key, nothing was changed: n4")
	w.run(5 * time.Second)
	require.NoError(t, w.manage(hosts[1], UseKey, next.Base64()).Err)
}

// A change comes into force, and is answered, only when it is on disk.
func TestKeptBeforeAnswered(t *testing.T) {
	t.Parallel()
	w := newTestNet(t, 1)
	hosts := w.cluster(3, keeping(t))
	next := testKey(2)
	hosts[1].slow = true
	id, err := hosts[0].ManageKeys(w.now, KeyRequest{Op: InstallKey, Key: next.Base64()})
	require.NoError(t, err)
	w.drain(hosts[0])
	w.run(time.Second)
	require.Empty(t, hosts[0].keys)
	require.Len(t, hosts[1].saves, 1)
	require.False(t, hosts[1].Keyring().Has(next.Sum()))
	hosts[1].KeyringSaved(w.now, 99, nil) // not what is waited for
	require.False(t, hosts[1].Keyring().Has(next.Sum()))
	w.keep(hosts[1])
	w.drain(hosts[1])
	w.run(time.Second)
	require.Equal(t, id, hosts[0].keys[0].ID)
	require.NoError(t, hosts[0].keys[0].Err)

	hosts[1].slow, hosts[1].broken = false, true
	r := w.manage(hosts[0], UseKey, next.Base64())
	require.EqualError(t, r.Err, "1/3 nodes reported failure")
	require.Equal(t, map[string]string{"n1": "disk full"}, r.Messages)
	require.Equal(t, testKey(1).Sum(), hosts[1].Keyring().Primary().Sum())
	w.run(20 * time.Second)
	w.requireWhole()
}

func TestLongKeyListIsTruncated(t *testing.T) {
	t.Parallel()
	cfg := keeping(t)
	for i := range MaxKeys - 1 {
		k := fmt.Sprintf("%032d", i)
		require.NoError(t, cfg.Keyring.Install(mustKey(t, k)))
	}
	w := newTestNet(t, 1)
	hosts := w.cluster(2, cfg)
	r := w.manage(hosts[0], ListKeys, "")
	require.NoError(t, r.Err)
	require.Equal(t, 2, r.NumResp)
	require.Contains(t, r.Messages["n1"], fmt.Sprintf("truncated key list response, showing first %d of %d keys", len(r.Keys), MaxKeys))
	require.Greater(t, len(r.Keys), 15)
	require.Equal(t, map[string]int{testKey(1).Base64(): 2}, r.PrimaryKeys)
	require.EqualError(t, w.manage(hosts[0], InstallKey, testKey(200).Base64()).Err, "2/2 nodes reported failure")
}

func TestReservedNames(t *testing.T) {
	t.Parallel()
	w := newTestNet(t, 1)
	hosts := w.cluster(2, keeping(t))
	_, err := hosts[0].Ask(w.now, swim.Query{Name: "_serf_install-key"})
	require.ErrorIs(t, err, swim.ErrQuery)
	require.ErrorContains(t, err, "Queries cannot contain the '_serf_' prefix")
	_, err = hosts[0].Ask(w.now, swim.Query{Name: "uptime", Payload: []byte("x")})
	require.NoError(t, err)
	_, err = hosts[0].Node.Ask(w.now, swim.Query{Name: "_serf_ping", Ack: true})
	require.NoError(t, err)
	_, err = hosts[0].Node.Ask(w.now, swim.Query{Name: "_serf_use-key", Payload: []byte("nonsense")})
	require.NoError(t, err)
	w.drain(hosts[0])
	w.run(5 * time.Second)
	for _, h := range hosts {
		require.Len(t, h.others, 1, "an internal question reached the user")
		require.Equal(t, "uptime", h.others[0].Name)
	}
}

// Random rotations, begun anywhere, over a network that loses datagrams, while members' disks may fail: no member is ever
// lost, and in the end all have the same keys.
func TestRotationsLoseNobody(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newTestNet(t, rapid.Uint64().Draw(t, "seed"))
		hosts := w.cluster(rapid.IntRange(2, 6).Draw(t, "members"), keeping(t))
		w.loss = rapid.Uint64Range(0, 15).Draw(t, "loss")
		for range rapid.IntRange(1, 8).Draw(t, "operations") {
			h := rapid.SampledFrom(hosts).Draw(t, "at")
			h.broken = rapid.IntRange(0, 9).Draw(t, "broken") == 0
			op := rapid.SampledFrom([]KeyOp{InstallKey, InstallKey, UseKey, RemoveKey}).Draw(t, "op")
			key := testKey(rapid.Byte().Draw(t, "key") % 4)
			if rival := rapid.SampledFrom(hosts).Draw(t, "rival"); rival != h && rapid.Bool().Draw(t, "at once") {
				other := rapid.SampledFrom([]KeyOp{InstallKey, UseKey, RemoveKey}).Draw(t, "rival op")
				_, err := rival.ManageKeys(w.now, KeyRequest{Op: other, Key: testKey(rapid.Byte().Draw(t, "rival key") % 4).Base64()})
				require.NoError(t, err)
				w.run(rapid.SampledFrom([]time.Duration{0, 300 * time.Millisecond, time.Second}).Draw(t, "ahead"))
				w.drain(rival)
			}
			w.manage(h, op, key.Base64())
			h.broken = false
			w.run(rapid.SampledFrom([]time.Duration{0, 3 * time.Second}).Draw(t, "pause"))
			w.requireReadable()
		}
		w.loss = 0
		w.run(2 * keyReservation)
		w.requireWhole()
		final := testKey(100)
		require.NoError(t, w.manage(hosts[0], InstallKey, final.Base64()).Err)
		require.NoError(t, w.manage(hosts[0], UseKey, final.Base64()).Err)
		for i := range byte(4) {
			require.NoError(t, w.manage(hosts[0], RemoveKey, testKey(i).Base64()).Err)
		}
		r := w.manage(hosts[0], ListKeys, "")
		require.Equal(t, map[string]int{final.Base64(): len(hosts)}, r.Keys)
		w.run(10 * time.Second)
		w.requireWhole()
	})
}

// requireReadable checks that everybody can open what everybody sends.
func (w *testNet) requireReadable() {
	for _, from := range w.hosts {
		for _, to := range w.hosts {
			require.True(w.t, to.Keyring().Has(from.Keyring().Primary().Sum()), "%s cannot read %s", to.name, from.name)
		}
	}
}
