package ipc

import (
	"bufio"
	"bytes"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"
)

func encoded(t require.TestingT, v any) []byte {
	var b bytes.Buffer
	require.NoError(t, encode(&b, v))
	return b.Bytes()
}

// tree draws a value that the library can encode, of all kinds and lengths.
func tree(depth int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		kinds := 9
		if depth == 0 {
			kinds = 7
		}
		length := rapid.SampledFrom([]int{0, 1, 31, 32, 255, 256, 70_000})
		switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
		case 0:
			return rapid.Uint64().Draw(t, "uint")
		case 1:
			return rapid.Int64().Draw(t, "int")
		case 2:
			return rapid.Float64().Draw(t, "float")
		case 3:
			return strings.Repeat("s", length.Draw(t, "length"))
		case 4:
			return bytes.Repeat([]byte{0xc1}, length.Draw(t, "length"))
		case 5:
			return rapid.Bool().Draw(t, "bool")
		case 6:
			return nil
		case 7:
			list := make([]any, rapid.SampledFrom([]int{0, 1, 3, 15, 16}).Draw(t, "elements"))
			for i := range list {
				list[i] = tree(depth-1).Draw(t, "element")
			}
			return list
		}
		m := map[string]any{}
		for range rapid.SampledFrom([]int{0, 1, 3, 17}).Draw(t, "pairs") {
			m[rapid.String().Draw(t, "key")] = tree(depth-1).Draw(t, "value")
		}
		return m
	})
}

// Whatever the library writes is read back to the byte, one value after another, however the bytes come.
func TestReadValue(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(tree(2), 1, 3).Draw(t, "values")
		var stream []byte
		for _, v := range values {
			stream = append(stream, encoded(t, v)...)
		}
		var source io.Reader = bytes.NewReader(stream)
		if rapid.Bool().Draw(t, "slow") && len(stream) < 10_000 {
			source = iotest.OneByteReader(source)
		}
		r := bufio.NewReader(source)
		var read []byte
		for range values {
			data, err := readValue(r, 64<<20)
			require.NoError(t, err)
			var v any
			require.NoError(t, msgpack.Unmarshal(data, &v))
			read = append(read, data...)
		}
		require.Equal(t, stream, read)
		_, err := readValue(r, 64<<20)
		require.Equal(t, io.EOF, err)
	})
}

func TestReadValueRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		data  string
		limit int
	}{
		"a list that is too long":       {"\xdd\xff\xff\xff\xff", 1000},
		"a map that is too long":        {"\xdf\xff\xff\xff\xff", 1000},
		"a string that is too long":     {"\xdb\xff\xff\xff\xff", 1000},
		"bytes that are too long":       {"\xc6\x00\x00\x04\x00", 1000},
		"an extension that is too long": {"\xc9\xff\xff\xff\xff\x01", 1000},
		"more than the limit in all":    {"\x93\xa3abc\xa3abc\xa3abc", 10},
		"deep nesting":                  {strings.Repeat("\x91", 100) + "\xc0", 1000},
		"an unused code":                {"\xc1", 1000},
	} {
		_, err := readValue(bufio.NewReader(strings.NewReader(tc.data)), tc.limit)
		require.ErrorIs(t, err, ErrMalformed, name)
	}
	_, err := readValue(bufio.NewReader(strings.NewReader("\x92\x01")), 1000)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF, "a value that ends early")
}

// What is announced but never comes costs next to nothing.
func TestReadValueMakesNoRoomForNothing(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 100 {
		_, err := readValue(bufio.NewReader(strings.NewReader("\xc6\x03\xff\xff\xff")), 64<<20)
		require.Error(t, err)
	}
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(4<<20))
}

// FuzzRequest reads what a client may send: a header, then each body there is.
func FuzzRequest(f *testing.F) {
	bodies := []any{
		&handshakeRequest{Version: 1}, &authRequest{AuthKey: "secret"}, &eventRequest{Name: "deploy", Payload: []byte("v7"), Coalesce: true},
		&forceLeaveRequest{Node: "a", Prune: true}, &joinRequest{Existing: []string{"127.0.0.1:7946"}, Replay: true},
		&Filter{Tags: map[string]string{"role": "web.*"}, Status: "alive", Name: "a"}, &tagsRequest{Tags: map[string]string{"a": "b"}, DeleteTags: []string{"c"}},
		&Query{FilterNodes: []string{"a"}, FilterTags: map[string]string{"role": "db"}, RequestAck: true, RelayFactor: 3, Timeout: 5, Name: "load", Payload: []byte("1m")},
		&respondRequest{ID: 7, Payload: []byte("0.5")}, &streamRequest{Type: "member-join,user:deploy"}, &monitorRequest{LogLevel: "debug"},
		&stopRequest{Stop: 9}, &keyRequest{Key: "5K9OtfP7efFrNKe5WCQvXvnaXJ5cWP0SvXiwe0kkjM4="}, &coordinateRequest{Node: "a"},
	}
	for _, b := range bodies {
		f.Add(append(encoded(f, &requestHeader{Command: cmdEvent, Seq: 1}), encoded(f, b)...))
	}
	f.Add([]byte("\xdd\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bufio.NewReader(bytes.NewReader(data))
		read := 0
		for {
			v, err := readValue(r, 1<<16)
			if err != nil {
				return
			}
			require.LessOrEqual(t, len(v), 1<<16)
			require.Equal(t, data[read:read+len(v)], v)
			read += len(v)
			for _, into := range []any{
				&requestHeader{}, &handshakeRequest{}, &authRequest{}, &eventRequest{}, &forceLeaveRequest{}, &joinRequest{}, &Filter{}, &tagsRequest{},
				&Query{}, &respondRequest{}, &streamRequest{}, &monitorRequest{}, &stopRequest{}, &keyRequest{}, &coordinateRequest{}, &responseHeader{},
				&membersResponse{}, &KeyResponse{}, &QueryRecord{}, &coordinateResponse{}, &logRecord{},
			} {
				if decode(v, into) == nil {
					require.NoError(t, decode(encoded(t, into), into), "what was understood can be said")
				}
			}
		}
	})
}
