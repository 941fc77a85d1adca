package segment

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
)

// filled is a disk with a log of five segments, the first of which was dropped.
func filled(t testing.TB) (*vfs.MemFS, *book) {
	mem := vfs.NewMem()
	b, err := open(mem, small)
	require.NoError(t, err)
	for len(b.files) < 6 {
		require.NoError(t, b.write())
	}
	require.NoError(t, b.drop(b.at[0].Segment+8))
	require.NoError(t, b.write())
	require.NoError(t, b.write())
	return mem, b
}

func contents(t testing.TB, fs vfs.FS, name string) []byte {
	f, err := fs.Open(name)
	require.NoError(t, err)
	defer f.Close()
	p, err := io.ReadAll(f)
	require.NoError(t, err)
	return p
}

func replace(t testing.TB, fs vfs.FS, name string, p []byte) {
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	require.NoError(t, err)
	_, err = f.Write(append([]byte{}, p...)) // which may change what it writes
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

func cloned(t testing.TB, fs vfs.FS) vfs.FS {
	to := vfs.NewMem()
	_, err := vfs.Clone(fs, to, "dir", "dir")
	require.NoError(t, err)
	return to
}

// TestEveryFlippedByte: whatever byte changes, the log is refused, unless it belongs to the last group, which is then
// taken for one that a crash cut off, or to nothing.
func TestEveryFlippedByte(t *testing.T) {
	t.Parallel()
	mem, b := filled(t)
	require.NoError(t, b.Close())
	b, err := open(mem, small)
	require.NoError(t, err)
	for _, f := range b.files {
		name := "dir/log/" + segmentName(f.number)
		good := contents(t, mem, name)
		for at := range good {
			bad := append([]byte{}, good...)
			bad[at] ^= 1 << (at % 8)
			fs := cloned(t, mem)
			replace(t, fs, name, bad)
			c, err := open(fs, small)
			newest := f == b.current()
			switch {
			case int64(at) >= f.end:
				require.NoError(t, err)
				require.Equal(t, b.next, c.next)
			case newest && int64(at) >= f.last:
				require.NoError(t, err)
				require.Equal(t, b.next-1, c.next)
			default:
				var damage *DamagedError
				require.ErrorAs(t, err, &damage, "%s, byte %d", name, at)
				require.Less(t, c.next, b.next)
			}
		}
	}
}

// TestCutAnywhere: a file that was cut off is refused, unless it is the newest, whose end nothing else tells.
func TestCutAnywhere(t *testing.T) {
	t.Parallel()
	mem, b := filled(t)
	for _, f := range b.files {
		name := "dir/log/" + segmentName(f.number)
		good := contents(t, mem, name)
		for at := range good {
			fs := cloned(t, mem)
			replace(t, fs, name, good[:at])
			c, err := open(fs, small)
			if f != b.current() && int64(at) < f.end {
				require.Error(t, err)
			} else {
				require.NoError(t, err)
				require.LessOrEqual(t, c.next, b.next)
			}
		}
	}
}

func TestFilesLost(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(fs vfs.FS, names []string) error
		reason string
	}{
		"one in the middle": {func(fs vfs.FS, names []string) error { return fs.Remove(names[1]) }, "is missing"},
		"all": {func(fs vfs.FS, names []string) error {
			var err error
			for _, name := range names {
				err = errors.Join(err, fs.Remove(name))
			}
			return err
		}, "all its files are missing"},
		"the format": {func(fs vfs.FS, names []string) error { return fs.Remove("dir/log/FORMAT") }, "the format version is missing"},
		"two exchanged": {func(fs vfs.FS, names []string) error {
			return errors.Join(fs.Rename(names[0], "x"), fs.Rename(names[1], names[0]), fs.Rename("x", names[1]))
		}, "is damaged at its beginning"},
		"a name": {func(fs vfs.FS, names []string) error { return fs.Rename(names[0], "dir/log/000000000000000x.log") }, "is no name"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mem, b := filled(t)
			var names []string
			for _, f := range b.files {
				names = append(names, "dir/log/"+segmentName(f.number))
			}
			require.NoError(t, c.change(mem, names))
			for range 2 {
				_, err := open(mem, small)
				var damage *DamagedError
				require.ErrorAs(t, err, &damage)
				require.ErrorContains(t, err, c.reason)
			}
		})
	}
}

func TestOtherFormats(t *testing.T) {
	t.Parallel()
	for name, reason := range map[string]string{"FORMAT": "run the release that wrote it", "marker.manifest.000001.MANIFEST-000001": "in Pebble, as an earlier build wrote it"} {
		mem := vfs.NewMem()
		require.NoError(t, mem.MkdirAll("dir/log", 0o755))
		replace(t, mem, "dir/log/"+name, []byte("4\n"))
		_, err := open(mem, small)
		require.ErrorContains(t, err, reason)
		found, err := mem.List("dir/log")
		require.NoError(t, err)
		require.Equal(t, []string{name}, found, "nothing was made")
	}
}

// FuzzScan: whatever a file contains, the groups that are found are there, one after the other.
func FuzzScan(f *testing.F) {
	mem, b := filled(f)
	for _, file := range b.files {
		f.Add(file.number, contents(f, mem, "dir/log/"+segmentName(file.number)))
	}
	f.Fuzz(func(t *testing.T, number uint64, data []byte) {
		var next, before int64
		last, end, damaged, err := scan(data, number, func(at int64, body []byte) error {
			require.Equal(t, next+HeaderBytes, at)
			require.Equal(t, body, data[at:at+int64(len(body))])
			sealed := append(make([]byte, HeaderBytes), body...)
			seal(sealed, number, next)
			require.Equal(t, sealed, data[next:at+int64(len(body))])
			before, next = next, at+int64(len(body))
			return nil
		})
		require.NoError(t, err)
		require.Equal(t, next, end)
		require.Equal(t, before, last)
		require.False(t, damaged && end+HeaderBytes >= int64(len(data)))
	})
}

// BenchmarkScanUsedAgain looks for the end of a log in a file that is full of groups of its earlier life.
func BenchmarkScanUsedAgain(b *testing.B) {
	var data []byte
	for len(data) < 16<<20 {
		p := append(make([]byte, HeaderBytes), make([]byte, 200)...)
		for i := range p {
			p[i] = byte(i % 3)
		}
		seal(p, 7, int64(len(data)))
		data = append(data, p...)
	}
	for b.Loop() {
		_, end, damaged, err := scan(data, 8, nil)
		require.True(b, end == 0 && !damaged && err == nil)
	}
}

// BenchmarkSyncedCommit compares a group of 256 bytes with what the disk takes for as many bytes in a file that has its
// size already.
func BenchmarkSyncedCommit(b *testing.B) {
	data := []byte(strings.Repeat("x", 256))
	b.Run("log", func(b *testing.B) {
		l, err := Open(vfs.Default, b.TempDir(), Sizes{}, func(p []byte) []byte { return p }, func(Group) error { return nil })
		require.NoError(b, err)
		defer l.Close()
		p := append(make([]byte, HeaderBytes), data...)
		for b.Loop() {
			_, err := l.Append(p)
			require.NoError(b, err)
		}
	})
	b.Run("floor", func(b *testing.B) {
		f, err := vfs.Default.OpenReadWrite(b.TempDir()+"/floor", vfs.WriteCategoryUnspecified)
		require.NoError(b, err)
		defer f.Close()
		const size = 4 << 20
		_, err = f.WriteAt(make([]byte, size), 0)
		require.NoError(b, err)
		require.NoError(b, f.Sync())
		at := int64(0)
		for b.Loop() {
			_, err := f.WriteAt(data, at)
			require.NoError(b, err)
			require.NoError(b, f.SyncData())
			at = (at + int64(len(data))) % size
		}
	})
}
