package pebblestore

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"concord/store"
)

// BenchmarkSyncedCommit: one writer commits 256-byte values, each synced. "overwrite" is the least that a disk can do
// for it, a write and an fdatasync within a file that was written before; "append" is the same at the end of a file,
// of which the file system must journal the new size each time.
func BenchmarkSyncedCommit(b *testing.B) {
	for _, written := range []bool{true, false} {
		name := map[bool]string{true: "file/overwrite", false: "file/append"}[written]
		b.Run(name, func(b *testing.B) { bareFile(b, written) })
	}
	b.Run("store", func(b *testing.B) {
		s, err := Open(b.TempDir(), Options{})
		require.NoError(b, err)
		defer s.Close()
		benchCommits(b, s, store.Sync)
	})
}

func bareFile(b *testing.B, written bool) {
	const size = 16 << 20
	f, err := os.Create(filepath.Join(b.TempDir(), "f"))
	require.NoError(b, err)
	defer f.Close()
	require.NoError(b, syscall.Fallocate(int(f.Fd()), 1, 0, size)) // 1: keep the size
	if written {
		_, err = f.Write(make([]byte, size))
		require.NoError(b, err)
		require.NoError(b, f.Sync())
	}
	record, at := make([]byte, 300), int64(0)
	for b.Loop() {
		_, err := f.WriteAt(record, at)
		require.NoError(b, err)
		require.NoError(b, syscall.Fdatasync(int(f.Fd())))
		if at += int64(len(record)); at > size-300 {
			at = 0
		}
	}
}

// BenchmarkCommit has no disk: what is left is the store's own work.
func BenchmarkCommit(b *testing.B) {
	s, err := Open("db", Options{FS: vfs.NewMem(), DisableWAL: true})
	require.NoError(b, err)
	defer s.Close()
	benchCommits(b, s, store.NoSync)
}

func benchCommits(b *testing.B, s *Store, d store.Durability) {
	value, key := make([]byte, 256), make([]byte, 9)
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		binary.BigEndian.PutUint64(key, i)
		batch := s.NewWriteBatch()
		require.NoError(b, batch.Set(key, value))
		require.NoError(b, batch.Commit(d))
	}
}

func BenchmarkGet(b *testing.B) {
	s, err := Open("db", Options{FS: vfs.NewMem()})
	require.NoError(b, err)
	defer s.Close()
	require.NoError(b, commit(s, "k", make([]byte, 256), store.NoSync))
	b.ReportAllocs()
	key := []byte("k")
	for b.Loop() {
		_, _, err := s.Get(key)
		require.NoError(b, err)
	}
}
