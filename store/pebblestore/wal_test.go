package pebblestore

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"concord/store"
)

// logSizes are the sizes of the write-ahead log's files.
func logSizes(t *testing.T, fs vfs.FS) map[string]int64 {
	names, err := fs.List("db")
	require.NoError(t, err)
	out := map[string]int64{}
	for _, name := range names {
		if strings.HasSuffix(name, ".log") {
			info, err := fs.Stat("db/" + name)
			require.NoError(t, err)
			out[name] = info.Size()
		}
	}
	return out
}

// A log grows by many zeros at once, and what a crash leaves of it is read to its last synced commit.
func TestLogGrowsAhead(t *testing.T) {
	t.Parallel()
	fs := newBreakable(fault{})
	s, err := Open("db", Options{FS: fs})
	require.NoError(t, err)
	value := make([]byte, 1000)
	for i := range 600 {
		require.NoError(t, commit(s, fmt.Sprintf("%04d", i), value, store.Sync))
		for name, size := range logSizes(t, fs) {
			require.Positive(t, size, name)
			require.Zero(t, size%zeroAhead, name)
		}
	}
	require.NoError(t, commit(s, "large", make([]byte, 3*zeroAhead), store.Sync))
	again, err := Open("db", Options{FS: fs.crashed(1)})
	require.NoError(t, err)
	defer again.Close()
	n := 0
	require.NoError(t, again.Scan(nil, nil, func(_, _ []byte) bool { n++; return true }))
	require.Equal(t, 601, n)
	require.NoError(t, s.Close())
}

// A log that is used again is not extended before it is full.
func TestLogIsUsedAgain(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	f, err := mem.Create("old", walCategory)
	require.NoError(t, err)
	_, err = f.Write(make([]byte, 2000))
	require.NoError(t, err)
	require.NoError(t, f.Close())
	d := &disk{FS: mem, s: &Store{}}
	f, err = d.ReuseForWrite("old", "new", walCategory)
	require.NoError(t, err)
	for _, step := range []struct {
		write int
		size  int64
	}{{1999, 2000}, {1, 2000}, {1, 2000 + zeroAhead}, {zeroAhead, 2000 + 2*zeroAhead}} {
		_, err = f.Write(make([]byte, step.write))
		require.NoError(t, err)
		info, err := mem.Stat("new")
		require.NoError(t, err)
		require.Equal(t, step.size, info.Size())
	}
	require.NoError(t, f.Close())
}
