package catalog

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"concord/swim/coordinate"
)

// record is a kind of record with one example.
type record struct {
	name   string
	bytes  []byte
	decode func([]byte) ([]byte, error) // and encode again
}

func again[T any](decode func([]byte) (T, error), encode func(T) []byte) func([]byte) ([]byte, error) {
	return func(b []byte) ([]byte, error) {
		v, err := decode(b)
		if err != nil {
			return nil, err
		}
		return encode(v), nil
	}
}

func records() []record {
	node := &Node{ID: "i", Node: "n", Address: "a", Datacenter: "d", TaggedAddresses: map[string]string{"lan": "x", "wan": "y"}, Meta: map[string]string{}, RaftIndex: RaftIndex{300, 1 << 63}}
	service := &NodeService{Kind: "k", ID: "i", Service: "s", Tags: []string{"", "t"}, Address: "a", TaggedAddresses: map[string]ServiceAddress{"lan": {"x", -1}}, Meta: map[string]string{"a": "b"}, Port: 65535, Weights: &Weights{-2, 300}, EnableTagOverride: true, RaftIndex: RaftIndex{1, 2}}
	check := &HealthCheck{Node: "n", CheckID: "c", Name: "x", Status: "passing", Notes: "no", Output: "out", ServiceID: "s", ServiceName: "t", ServiceTags: []string{"u"}, Type: "http",
		Definition: CheckDefinition{HTTP: "h", TLSSkipVerify: true, Header: map[string][]string{"a": {"b", "c"}, "d": nil}, Method: "M", TCP: "t", Interval: "1s", Timeout: "2s", DeregisterCriticalServiceAfter: "3m"}, RaftIndex: RaftIndex{7, 8}}
	place := &Coordinate{Node: "n", Coord: coordinate.New(), RaftIndex: RaftIndex{1 << 40, 3}}
	place.Coord.Vec[7], place.Coord.Adjustment = -0.25, math.Pi
	config := &AutopilotConfig{true, -5, 6, 7, 8, RaftIndex{9, 10}}
	entry := &DirEntry{LockIndex: 3, Key: "key", Flags: 1 << 63, Value: []byte("v"), Session: "s", RaftIndex: RaftIndex{4, 5}}
	entryAgain := func(b []byte) ([]byte, error) {
		e, err := decodeEntry("key", b)
		if err != nil {
			return nil, err
		}
		return appendEntry(nil, &e), nil
	}
	return []record{
		{"node", encodeNode(node), again(decodeNode, encodeNode)},
		{"service", encodeService(service), again(decodeService, encodeService)},
		{"check", encodeCheck(check), again(decodeCheck, encodeCheck)},
		{"autopilot", encodeAutopilot(config), again(decodeAutopilot, encodeAutopilot)},
		{"entry", appendEntry(nil, entry), entryAgain},
		{"index", encodeIndex(indexRecord{1 << 40, true}), again(decodeIndex, encodeIndex)},
		{"graves", encodeGraveStats(graveStats{1, 1 << 60}), again(decodeGraveStats, encodeGraveStats)},
		{"coordinate", encodeCoordinate(place), again(decodeCoordinate, encodeCoordinate)},
		{"count", encodeCount(1000), again(decodeCount, encodeCount)},
	}
}

func TestRecordsSurviveTheirCodec(t *testing.T) {
	t.Parallel()
	for _, r := range records() {
		got, err := r.decode(r.bytes)
		require.NoError(t, err, r.name)
		require.Equal(t, r.bytes, got, r.name)
		_, err = r.decode(append([]byte{codecVersion + 1}, r.bytes[1:]...))
		require.ErrorIs(t, err, ErrVersion, r.name)
		_, err = r.decode(nil)
		require.ErrorIs(t, err, ErrCorrupt, r.name)
		if r.name == "entry" {
			continue // its value ends where the record does
		}
		got, err = r.decode(append(r.bytes[:len(r.bytes):len(r.bytes)], "fields of later"...))
		require.NoError(t, err, r.name)
		require.Equal(t, r.bytes, got, r.name)
		for n := range r.bytes {
			_, err := r.decode(r.bytes[:n])
			require.ErrorIs(t, err, ErrCorrupt, "%s cut to %d", r.name, n)
		}
	}
}

func TestNilAndEmptyAreToldApart(t *testing.T) {
	t.Parallel()
	for _, meta := range []map[string]string{nil, {}} {
		n, err := decodeNode(encodeNode(&Node{Meta: meta}))
		require.NoError(t, err)
		require.Equal(t, meta, n.Meta)
	}
}

// FuzzRecords: whatever the bytes, decoders return or refuse, and what they return survives.
func FuzzRecords(f *testing.F) {
	for i, r := range records() {
		f.Add(byte(i), r.bytes)
	}
	kinds := records()
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		r := kinds[int(kind)%len(kinds)]
		first, err := r.decode(b)
		if err != nil {
			return
		}
		second, err := r.decode(first)
		require.NoError(t, err)
		require.Equal(t, first, second)
		body(b)
	})
}

func TestKeyPartsKeepOrderAndComeBack(t *testing.T) {
	t.Parallel()
	name := rapid.StringOfN(rapid.RuneFrom([]rune{0, 1, 2, 'a', 0xff}), 0, 5, -1)
	rapid.Check(t, func(t *rapid.T) {
		a, b := name.Draw(t, "a"), name.Draw(t, "b")
		require.Equal(t, a < b, esc(a) < esc(b))
		part, rest, ok := cut(esc(a) + b)
		require.True(t, ok)
		require.Equal(t, a, unesc(part))
		require.Equal(t, b, rest)
	})
	_, _, ok := cut("ab\x00")
	require.False(t, ok)
}
