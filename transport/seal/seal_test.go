package seal

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"concord/internal/prng"
)

func key(t require.TestingT, size int, fill byte) *Key {
	k, err := NewKey(bytes.Repeat([]byte{fill}, size))
	require.NoError(t, err)
	return k
}

func sealer(t require.TestingT, label string, seed uint64) *Sealer {
	s, err := New(Config{Label: label, Random: prng.New(seed), MaxSessions: 8})
	require.NoError(t, err)
	return s
}

func seal(t require.TestingT, s *Sealer, k *Key, kind Kind, payload string) []byte {
	out, err := s.Seal(nil, k, kind, []byte(payload))
	require.NoError(t, err)
	require.Len(t, out, len(payload)+Overhead)
	return out
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		label := rapid.StringN(0, 20, 40).Draw(t, "label")
		a, b := sealer(t, label, 1), sealer(t, label, 2)
		keys := []*Key{key(t, 16, 1), key(t, 24, 2), key(t, 32, 3)}
		for range rapid.IntRange(1, 20).Draw(t, "messages") {
			k := rapid.SampledFrom(keys).Draw(t, "key")
			kind := rapid.SampledFrom([]Kind{Datagram, Stream}).Draw(t, "kind")
			payload := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "payload")
			sealed, err := a.Seal([]byte("before"), k, kind, payload)
			require.NoError(t, err)
			require.Equal(t, "before", string(sealed[:6]))
			require.Equal(t, Sealed, FormOf(sealed[6:]))
			got, err := b.Open(keys, kind, sealed[6:])
			require.NoError(t, err)
			require.Equal(t, string(payload), string(got))
		}
	})
}

// Every bit of a message matters: with any one turned it is refused, and the sender's window stays where it was.
func TestTampered(t *testing.T) {
	t.Parallel()
	a, b, k := sealer(t, "pool", 1), sealer(t, "pool", 2), key(t, 32, 1)
	sealed := seal(t, a, k, Datagram, "dead: node-7")
	for i := range len(sealed) * 8 {
		forged := slices.Clone(sealed)
		forged[i/8] ^= 1 << (i % 8)
		_, err := b.Open([]*Key{k}, Datagram, forged)
		require.Error(t, err, "bit %d", i)
		if i >= sessionAt*8 {
			require.ErrorIs(t, err, ErrForged)
		}
	}
	_, err := b.Open([]*Key{k}, Datagram, sealed)
	require.NoError(t, err, "a forgery of a high counter made the genuine message look late")
}

func TestRefused(t *testing.T) {
	t.Parallel()
	k, other := key(t, 32, 1), key(t, 16, 2)
	open := func(label string, kind Kind, keys []*Key, data []byte) error {
		_, err := sealer(t, label, 2).Open(keys, kind, data)
		return err
	}
	sealed := seal(t, sealer(t, "dc1", 1), k, Datagram, "payload")
	require.NoError(t, open("dc1", Datagram, []*Key{other, k}, sealed))
	require.ErrorIs(t, open("dc2", Datagram, []*Key{k}, sealed), ErrLabel)
	require.ErrorIs(t, open("", Datagram, []*Key{k}, sealed), ErrLabel)
	require.ErrorIs(t, open("dc1", Datagram, []*Key{other}, sealed), ErrUnknownKey)
	require.ErrorIs(t, open("dc1", Datagram, nil, sealed), ErrUnknownKey)
	require.ErrorIs(t, open("dc1", Stream, []*Key{k}, sealed), ErrForged, "a datagram passed as a stream")
	for n := range Overhead {
		require.ErrorIs(t, open("dc1", Datagram, []*Key{k}, sealed[:n]), ErrTruncated)
	}
	for n := Overhead; n < len(sealed); n++ {
		require.ErrorIs(t, open("dc1", Datagram, []*Key{k}, sealed[:n]), ErrForged)
	}
	relabelled := slices.Clone(sealed)
	copy(relabelled[1+FingerprintSize:], seal(t, sealer(t, "dc2", 1), k, Datagram, "")[1+FingerprintSize:sessionAt])
	require.ErrorIs(t, open("dc2", Datagram, []*Key{k}, relabelled), ErrForged, "the label is not authenticated")
	newer := append([]byte{0xe2}, sealed[1:]...)
	require.Equal(t, Unknown, FormOf(newer))
}

// Two keys with the same fingerprint, which an attacker may look for, are tried one after the other.
func TestSameFingerprint(t *testing.T) {
	t.Parallel()
	k, twin := key(t, 32, 1), key(t, 32, 2)
	twin.sum = k.sum
	a, b := sealer(t, "", 1), sealer(t, "", 2)
	got, err := b.Open([]*Key{k, twin}, Datagram, seal(t, a, twin, Datagram, "x"))
	require.NoError(t, err)
	require.Equal(t, "x", string(got))
}

func TestReplayed(t *testing.T) {
	t.Parallel()
	a, b, k := sealer(t, "", 1), sealer(t, "", 2), key(t, 16, 1)
	first := seal(t, a, k, Datagram, "1")
	for i := range 3 {
		_, err := b.Open([]*Key{k}, Datagram, first)
		require.Equal(t, i > 0, errors.Is(err, ErrReplayed), "time %d: %v", i, err)
	}
	_, err := a.Open([]*Key{k}, Datagram, first)
	require.ErrorIs(t, err, ErrReplayed, "a message came back to its sender")
	// A restarted sender begins another session, whose counters start again.
	_, err = b.Open([]*Key{k}, Datagram, seal(t, sealer(t, "", 3), k, Datagram, "1"))
	require.NoError(t, err)
}

// The window against an oracle that remembers all.
func TestWindow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var w window
		seen, highest := map[uint32]bool{}, uint32(0)
		at := int64(rapid.SampledFrom([]uint32{1, 1000, math.MaxUint32 - 600}).Draw(t, "start"))
		for range rapid.IntRange(1, 200).Draw(t, "messages") {
			at += rapid.Int64Range(-300, 302).Draw(t, "step")
			c := uint32(max(1, min(at, math.MaxUint32)))
			want := !seen[c] && (c > highest || highest-c < windowSize)
			require.Equal(t, want, w.fresh(c), "counter %d, highest %d", c, highest)
			if want {
				w.mark(c)
				seen[c], highest = true, max(highest, c)
			}
		}
	})
}

func TestSessionsAreBounded(t *testing.T) {
	t.Parallel()
	b, k := sealer(t, "", 1), key(t, 16, 1)
	var first [][]byte
	for i := range 20 {
		m := seal(t, sealer(t, "", uint64(100+i)), k, Datagram, "x")
		first = append(first, m)
		_, err := b.Open([]*Key{k}, Datagram, m)
		require.NoError(t, err)
		require.LessOrEqual(t, len(b.heard.byID), 8)
		require.Equal(t, len(b.heard.byID), b.heard.order.Len())
	}
	for i, m := range first[12:] {
		_, err := b.Open([]*Key{k}, Datagram, m)
		require.ErrorIs(t, err, ErrReplayed, "the window of session %d was forgotten before older ones", 12+i)
	}
}

// A nonce never repeats under a key, not even when the counter is used up.
func TestNoncesAreUnique(t *testing.T) {
	t.Parallel()
	a, k := sealer(t, "", 1), key(t, 16, 1)
	used := map[string]bool{}
	for range 1000 {
		for _, kind := range []Kind{Datagram, Stream} {
			if a.own[kind].last == 500 {
				a.own[kind].last = math.MaxUint32 - 2
			}
			nonce := string(seal(t, a, k, kind, "")[sessionAt:header])
			require.False(t, used[nonce])
			used[nonce] = true
			if len(used)%97 == 0 {
				require.NoError(t, a.Renew())
			}
		}
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("no entropy") }

func TestNew(t *testing.T) {
	t.Parallel()
	for _, cfg := range []Config{
		{Random: prng.New(1)}, {MaxSessions: 1}, {Random: prng.New(1), MaxSessions: 1, Label: string(make([]byte, MaxLabel+1))},
	} {
		_, err := New(cfg)
		require.ErrorIs(t, err, ErrConfig)
	}
	_, err := New(Config{Random: broken{}, MaxSessions: 1})
	require.ErrorContains(t, err, "no entropy")
	s := sealer(t, "", 1)
	s.random, s.own[Datagram].last = broken{}, math.MaxUint32
	_, err = s.Seal(nil, key(t, 16, 1), Datagram, nil)
	require.ErrorContains(t, err, "no entropy")
}

func TestLabelledPlaintext(t *testing.T) {
	t.Parallel()
	none, dc1, dc2 := sealer(t, "", 1), sealer(t, "dc1", 1), sealer(t, "dc2", 1)
	plain := []byte{1, 2, 3}
	require.Equal(t, plain, none.AppendLabel(nil, plain))
	labelled := dc1.AppendLabel(nil, plain)
	require.Equal(t, Labelled, FormOf(labelled))
	got, err := dc1.CheckLabel(labelled)
	require.NoError(t, err)
	require.Equal(t, plain, got)
	for _, c := range []struct {
		s    *Sealer
		data []byte
		want error
	}{{dc2, labelled, ErrLabel}, {none, labelled, ErrLabel}, {dc1, plain, ErrLabel}, {none, plain, nil}, {dc1, labelled[:3], ErrTruncated}} {
		_, err := c.s.CheckLabel(c.data)
		require.ErrorIs(t, err, c.want)
	}
}

func TestKey(t *testing.T) {
	t.Parallel()
	for n := range 40 {
		k, err := NewKey(make([]byte, n))
		if n != 16 && n != 24 && n != 32 {
			require.ErrorIs(t, err, ErrKeySize)
			continue
		}
		require.NoError(t, err)
		again, err := ParseKey(k.Base64())
		require.NoError(t, err)
		require.Equal(t, k.Sum(), again.Sum())
	}
	_, err := ParseKey("not base64!")
	require.ErrorContains(t, err, "node keygen")
	k := key(t, 32, 0x41)
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		require.NotContains(t, fmt.Sprintf(format, k), "AAAA")
		require.NotContains(t, fmt.Sprintf(format, k), "65")
	}
	require.Equal(t, k.Sum(), key(t, 32, 0x41).Sum())
	require.NotEqual(t, k.Sum(), key(t, 32, 1).Sum())
	require.NotEqual(t, k.Sum(), key(t, 16, 0x41).Sum())
}

// FuzzOpen: nothing that was not sealed with the key is opened, and nothing twice.
func FuzzOpen(f *testing.F) {
	k := key(f, 32, 1)
	for i, payload := range []string{"", "x", "a longer payload than that"} {
		s := sealer(f, "label", uint64(i+10))
		f.Add(seal(f, s, k, Datagram, payload), true)
		f.Add(seal(f, s, k, Stream, payload), false)
		f.Add(s.AppendLabel(nil, []byte(payload)), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, datagram bool) {
		kind := Stream
		if datagram {
			kind = Datagram
		}
		s := sealer(t, "label", 1)
		before := bytes.Clone(data)
		_, err := s.Open([]*Key{k}, kind, data)
		require.Equal(t, before, data, "the message was changed")
		if err == nil {
			_, err = s.Open([]*Key{k}, kind, data)
			require.ErrorIs(t, err, ErrReplayed)
		}
		s.CheckLabel(data)
		FormOf(data)
	})
}

func BenchmarkSeal(b *testing.B) {
	s, k := sealer(b, "", 1), key(b, 32, 1)
	buf, payload := make([]byte, 0, 2000), make([]byte, 1300)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Seal(buf, k, Datagram, payload); err != nil {
			b.Fatal(err)
		}
	}
}
