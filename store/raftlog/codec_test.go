package raftlog

import (
	"testing"

	"github.com/stretchr/testify/require"

	"concord/raft"
)

// What is decoded is what would be encoded: there is one form of everything.

func FuzzDecodeEntry(f *testing.F) {
	for _, e := range []raft.Entry{entry(7, 2, "data"), {Term: 1, Type: raft.EntryConfig, Config: &config}, {Term: 1, Type: raft.EntryNoop}} {
		f.Add(encodeEntry(&e))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var e raft.Entry
		if decodeEntry(in, &e) == "" {
			require.Equal(t, in, encodeEntry(&e))
		}
	})
}

func FuzzOpenEntry(f *testing.F) {
	key := entryKey(7)
	e := entry(7, 2, "data")
	f.Add(seal(key, encodeEntry(&e)))
	f.Add(seal(entryKey(8), encodeEntry(&e)))
	f.Fuzz(func(t *testing.T, in []byte) {
		if e, err := openEntry(key, in); err == nil {
			require.EqualValues(t, 7, e.Index)
			require.Equal(t, in, seal(key, encodeEntry(&e)))
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
	noop := encodeEntry(&raft.Entry{Term: 1, Type: raft.EntryNoop})
	conf := encodeEntry(&raft.Entry{Term: 1, Type: raft.EntryConfig, Config: &config})
	odd := config
	odd.Servers = []raft.Server{{ID: "a", Suffrage: 9}}
	for name, p := range map[string][]byte{
		"nothing":                                {},
		"a noop with a body":                     append(noop, 1),
		"a configuration with something behind":  append(conf, 1),
		"a type nobody knows":                    {0, 0, 0, 0, 0, 0, 0, 1, 77},
		"a suffrage nobody knows":                encodeEntry(&raft.Entry{Type: raft.EntryConfig, Config: &odd}),
		"a number in a longer form than need be": {0, 0, 0, 0, 0, 0, 0, 1, byte(raft.EntryConfig), 0x80, 0},
		"a configuration cut off":                conf[:len(conf)-1],
	} {
		var e raft.Entry
		require.NotEmpty(t, decodeEntry(p, &e), name)
	}
}
