package snapshot

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func addr(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 7946)
}

func open(t require.TestingT, path string, rejoin bool) (*File, State) {
	f, s, err := Open(path, rejoin)
	require.NoError(t, err)
	return f, s
}

func TestRemembers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "snapshot")
	f, s := open(t, path, false)
	require.Equal(t, State{Alive: map[string]netip.AddrPort{}}, s)
	require.NoError(t, f.SetID("id-1"))
	require.NoError(t, f.SetIncarnation(7))
	require.NoError(t, f.SetAlive("a b", addr(1)))
	require.NoError(t, f.SetAlive("c", addr(2)))
	require.NoError(t, f.SetAlive("c", addr(3)))
	require.NoError(t, f.SetGone("a b"))
	require.NoError(t, f.SetAlive("d", addr(4)))
	require.NoError(t, f.SetEventTime(0))
	require.NoError(t, f.SetEventTime(12))
	require.NoError(t, f.SetEventTime(11))
	require.NoError(t, f.SetQueryTime(5))
	want := State{ID: "id-1", Incarnation: 7, EventClock: 13, QueryClock: 6, Alive: map[string]netip.AddrPort{"c": addr(3), "d": addr(4)}}
	for range 2 { // a crash: it was never closed
		_, s = open(t, path, false)
		require.Equal(t, want, s)
	}
	require.NoError(t, f.Close())
}

func TestLeave(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "snapshot")
	f, _ := open(t, path, false)
	require.NoError(t, f.SetID("id-1"))
	require.NoError(t, f.SetIncarnation(3))
	require.NoError(t, f.SetAlive("a", addr(1)))
	require.NoError(t, f.SetEventTime(9))
	require.NoError(t, f.SetLeft())
	require.NoError(t, f.SetGone("a"), "others are told to have gone while this one leaves")
	require.NoError(t, f.Close())
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	again := path + ".copy"
	require.NoError(t, os.WriteFile(again, data, 0o600))

	f, s := open(t, path, true)
	require.NoError(t, f.Close())
	require.Equal(t, State{ID: "id-1", Incarnation: 3, EventClock: 10, Alive: map[string]netip.AddrPort{"a": addr(1)}}, s)
	f, s = open(t, again, false)
	require.NoError(t, f.Close())
	require.Equal(t, State{ID: "id-1", Incarnation: 3, Alive: map[string]netip.AddrPort{}}, s)
}

// Leaving is not forgotten when the file has just grown so large that it is time for a new one.
func TestLeaveInALargeFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "snapshot")
	f, _ := open(t, path, false)
	require.NoError(t, f.SetAlive("a", addr(1)))
	f.size = minCompact + compactFactor*f.base
	require.NoError(t, f.SetLeft())
	require.NoError(t, f.Close())
	f, s := open(t, path, false)
	require.NoError(t, f.Close())
	require.Empty(t, s.Alive)
}

// Serf's own snapshot is understood.
func TestReadsSerfs(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "snapshot")
	text := "alive: agent-one 127.0.0.21:7946\nalive: agent-two 127.0.0.22:7946\nclock: 1\nevent-clock: 2\nquery-clock: 3\nquery-clock: 10\n" +
		"not-alive: agent-two\nclock: 4\ncoordinate: {\"Vec\":[0,0]}\n"
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	f, s := open(t, path, false)
	defer f.Close()
	require.Equal(t, State{EventClock: 3, QueryClock: 11, Alive: map[string]netip.AddrPort{"agent-one": netip.MustParseAddrPort("127.0.0.21:7946")}}, s)
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"# concord gossip snapshot 2\n": "later release",
		"nonsense\n":                    "line 1",
		"id: x\nfoo: bar\n":             "line 2",
		"alive: a\n":                    "address",
		"event-clock: -1\n":             "line 1",
	} {
		path := filepath.Join(t.TempDir(), "snapshot")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, _, err := Open(path, false)
		require.ErrorContains(t, err, want, text)
		kept, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, text, string(kept), "what is not understood is left alone")
	}
}

// Wherever a crash cuts the file off, what remains is what was remembered at some moment before it.
func TestCutOff(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		path := filepath.Join(dir, "snapshot")
		require.NoError(t, os.RemoveAll(path))
		f, _ := open(t, path, false)
		base, err := os.ReadFile(path)
		require.NoError(t, err)
		now := State{Alive: map[string]netip.AddrPort{}}
		states := []State{now}
		for range rapid.IntRange(1, 20).Draw(t, "changes") {
			name, n := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name"), rapid.IntRange(1, 300).Draw(t, "n")
			now.Alive = maps.Clone(now.Alive)
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				now.Alive[name] = addr(n)
				require.NoError(t, f.SetAlive(name, addr(n)))
			case 1:
				delete(now.Alive, name)
				require.NoError(t, f.SetGone(name))
			case 2:
				now.EventClock = max(now.EventClock, uint64(n)+1)
				require.NoError(t, f.SetEventTime(uint64(n)))
			case 3:
				now.Incarnation = max(now.Incarnation, uint64(n))
				require.NoError(t, f.SetIncarnation(uint64(n)))
			}
			states = append(states, now)
		}
		require.NoError(t, f.Close())
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		cut := rapid.IntRange(len(base), len(data)).Draw(t, "cut")
		require.NoError(t, os.WriteFile(path, data[:cut], 0o600))
		f, got := open(t, path, false)
		require.NoError(t, f.Close())
		require.Contains(t, states, got)
		if cut == len(data) {
			require.Equal(t, now, got)
		}
	})
}

// A disk that was full in the middle of a line costs nothing once there is room again: what was not written is written then,
// and half a line does not spoil the next one.
func TestWriteThatFailed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "snapshot")
	f, _ := open(t, path, false)
	require.NoError(t, f.SetAlive("a", addr(1)))
	_, err := f.f.WriteString("alive: b 10.")
	require.NoError(t, err)
	require.NoError(t, f.f.Close()) // so that nothing more can be written
	require.Error(t, f.SetAlive("b", addr(2)))
	require.NoError(t, f.SetAlive("c", addr(3)))
	require.NoError(t, f.SetIncarnation(4))
	require.NoError(t, f.Close())
	f, s := open(t, path, false)
	require.NoError(t, f.Close())
	require.Equal(t, State{Incarnation: 4, Alive: map[string]netip.AddrPort{"a": addr(1), "b": addr(2), "c": addr(3)}}, s)
}

func TestCompacts(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "snapshot")
	f, _ := open(t, path, false)
	for i := range 20_000 {
		name := fmt.Sprintf("member-%d", i%50)
		require.NoError(t, f.SetAlive(name, addr(i)))
		require.NoError(t, f.SetEventTime(uint64(i)))
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.LessOrEqual(t, info.Size(), int64(minCompact+100), "after %d", i)
	}
	require.NoError(t, f.Close())
	f, s := open(t, path, false)
	require.NoError(t, f.Close())
	require.Len(t, s.Alive, 50)
	require.EqualValues(t, 20_000, s.EventClock)
	others, err := filepath.Glob(path + ".*")
	require.NoError(t, err)
	require.Empty(t, others, "nothing is left behind")
}

// FuzzRead reads any file. What it makes of it can be written and read again.
func FuzzRead(f *testing.F) {
	s := State{ID: "id", Incarnation: 3, EventClock: 4, QueryClock: 5, Alive: map[string]netip.AddrPort{"a": addr(1), "b c": addr(2)}}
	f.Add(s.encode(), true)
	f.Add(append(s.encode(), "not-alive: a\nleave\nalive: x [::1]:80\nclock: 7"...), false)
	f.Fuzz(func(t *testing.T, data []byte, rejoin bool) {
		s := State{Alive: map[string]netip.AddrPort{}}
		if s.read(bytes.NewReader(data), rejoin) != nil {
			return
		}
		again := State{Alive: map[string]netip.AddrPort{}}
		require.NoError(t, again.read(bytes.NewReader(s.encode()), true))
		require.Equal(t, s, again)
	})
}
