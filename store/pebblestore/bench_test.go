package pebblestore

import (
	"encoding/binary"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"concord/store"
)

// BenchmarkCommit has no disk: what is left is the store's own work.
func BenchmarkCommit(b *testing.B) {
	s, err := Open("db", Options{FS: vfs.NewMem()})
	require.NoError(b, err)
	defer s.Close()
	benchCommits(b, s)
}

func benchCommits(b *testing.B, s *Store) {
	value, key := make([]byte, 256), make([]byte, 9)
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		binary.BigEndian.PutUint64(key, i)
		batch := s.NewWriteBatch()
		require.NoError(b, batch.Set(key, value))
		require.NoError(b, batch.Commit(store.NoSync))
	}
}

func BenchmarkGet(b *testing.B) {
	s, err := Open("db", Options{FS: vfs.NewMem()})
	require.NoError(b, err)
	defer s.Close()
	require.NoError(b, commit(s, "k", make([]byte, 256)))
	b.ReportAllocs()
	key := []byte("k")
	for b.Loop() {
		_, _, err := s.Get(key)
		require.NoError(b, err)
	}
}
