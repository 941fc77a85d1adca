package raftlog

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"concord/raft"
	"concord/store/raftlog/internal/segment"
)

// What is decoded is what would be encoded: there is one form of everything.

func FuzzDecodeEntry(f *testing.F) {
	for _, e := range []raft.Entry{entry(7, 2, "data"), {Term: 1, Type: raft.EntryConfig, Config: &config}, {Term: 1, Type: raft.EntryNoop}} {
		f.Add(encodeEntry(nil, &e)[4:])
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		in = summed(in)
		var e raft.Entry
		if decodeEntry(in, &e) == "" {
			require.Equal(t, in, encodeEntry(nil, &e))
		}
	})
}

// summed puts its checksum before what follows an entry's.
func summed(p []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, crc32.Checksum(p, castagnoli)), p...)
}

// FuzzReplay: whatever a file contains whose checksums are right, it is refused, or is a log that can be written and
// read.
func FuzzReplay(f *testing.F) {
	var groups [][]byte
	l, err := Open(vfs.NewMem(), "log")
	require.NoError(f, err)
	groups = append(groups, l.appendHead(nil))
	for _, es := range [][]raft.Entry{{entry(1, 1, "a"), entry(2, 1, "b")}, {entry(2, 1, "c")}} {
		w := l.Begin()
		require.NoError(f, w.Add(&raft.HardState{Term: 1}, es))
		groups = append(groups, bytes.Clone(w.group[segment.HeaderBytes:]))
		require.NoError(f, w.Commit())
	}
	groups = append(groups, appendItem([]byte{version}, kindBegin, func(p []byte) []byte { return encodeBegin(p, &raft.SnapshotMeta{Index: 1}, 2) }))
	f.Add(groups[0], groups[1], groups[2])
	f.Add(groups[0], groups[1], groups[3])
	f.Add([]byte{}, groups[1], groups[3])
	f.Fuzz(func(t *testing.T, head, a, b []byte) {
		mem := vfs.NewMem()
		files, err := segment.Open(mem, "log", tiny, func(p []byte) []byte { return append(p, head...) }, nil)
		require.NoError(t, err)
		for _, g := range [][]byte{a, b} {
			if len(g) > 0 {
				_, err = files.Append(append(make([]byte, segment.HeaderBytes), g...))
				require.NoError(t, err)
			}
		}
		require.NoError(t, files.Close())
		l, err := OpenSized(mem, "log", tiny)
		if err != nil {
			return
		}
		all(t, l)
		s := l.State()
		if s.LastIndex < 1<<60 && s.HardState.Term < 1<<60 {
			write(t, l, &raft.HardState{Term: s.HardState.Term + 1}, entry(s.LastIndex+1, s.HardState.Term+1, "x"))
			require.NoError(t, l.CompactTo(raft.SnapshotMeta{Index: s.LastIndex + 1, Term: s.HardState.Term + 1}))
			require.Empty(t, all(t, l))
		}
	})
}

func FuzzDecodeHard(f *testing.F) {
	f.Add(encodeHard(nil, &raft.HardState{Term: 3, VotedFor: "a"}))
	f.Fuzz(func(t *testing.T, in []byte) {
		var h raft.HardState
		if decodeHard(in, &h) {
			require.Equal(t, in, encodeHard([]byte{}, &h))
		}
	})
}

func FuzzDecodeMeta(f *testing.F) {
	f.Add(encodeMeta(nil, &raft.SnapshotMeta{Index: 3, Term: 2, Config: config, ConfigIndex: 1}))
	f.Fuzz(func(t *testing.T, in []byte) {
		var m raft.SnapshotMeta
		if decodeMeta(in, &m) {
			require.Equal(t, in, encodeMeta([]byte{}, &m))
		}
	})
}

func TestStrict(t *testing.T) {
	t.Parallel()
	noop := encodeEntry(nil, &raft.Entry{Term: 1, Type: raft.EntryNoop})[4:]
	conf := encodeEntry(nil, &raft.Entry{Term: 1, Type: raft.EntryConfig, Config: &config})[4:]
	odd := config
	odd.Servers = []raft.Server{{ID: "a", Suffrage: 9}}
	for name, p := range map[string][]byte{
		"nothing":                                {},
		"a noop with a body":                     append(noop, 1),
		"a configuration with something behind":  append(conf, 1),
		"a type nobody knows":                    append(noop[:16:16], 77),
		"a suffrage nobody knows":                encodeEntry(nil, &raft.Entry{Type: raft.EntryConfig, Config: &odd})[4:],
		"a number in a longer form than need be": append(noop[:16:16], byte(raft.EntryConfig), 0x80, 0),
		"a configuration cut off":                conf[:len(conf)-1],
	} {
		var e raft.Entry
		reason := decodeEntry(summed(p), &e)
		require.NotEmpty(t, reason, name)
		require.NotContains(t, reason, "checksum", name)
	}
	var e raft.Entry
	require.Contains(t, decodeEntry(append(encodeEntry(nil, &raft.Entry{Term: 1, Type: raft.EntryNoop}), 0), &e), "checksum")
}
