package sim

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"concord/internal/prng"
	"concord/store/raftlog"
)

// logSizes are small, so that the log begins new files, and uses old ones again, within a run.
var logSizes = raftlog.Sizes{Segment: 64 << 10, Ahead: 8 << 10, Spares: 2}

// logDisk is where a Raft log lives: a file system in memory that keeps, in a crash, exactly what was synced.
type logDisk struct {
	fs   *vfs.MemFS
	name string // of the file written last
	at   int64  // where
}

func newLogDisk() *logDisk { return &logDisk{fs: vfs.NewCrashableMem()} }

func (l *logDisk) open() (*raftlog.Log, error) {
	return raftlog.OpenSized(watchedFS{l.fs, l}, "log", logSizes)
}

func (l *logDisk) crash() { l.fs = l.fs.CrashClone(vfs.CrashCloneCfg{}) }

// corrupt changes a byte that was written before the last write: that one cannot be told from a write that was cut off. It
// may be one that is not needed any more.
func (l *logDisk) corrupt(r *prng.Rand) (what string, err error) {
	if l.name == "" {
		return "nothing", nil
	}
	var names []string
	found, err := l.fs.List("log")
	for _, name := range found {
		if strings.HasSuffix(name, ".log") && "log/"+name <= l.name {
			names = append(names, "log/"+name)
		}
	}
	if err != nil || len(names) == 0 {
		return "nothing", err
	}
	name := names[r.IntN(len(names))]
	f, err := l.fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return "", err
	}
	defer f.Close()
	p, err := io.ReadAll(f)
	if err != nil {
		return "", err
	}
	used := len(bytes.TrimRight(p, "\x00"))
	if name == l.name {
		used = int(l.at)
	}
	if used == 0 {
		return "nothing", nil
	}
	at := r.IntN(used)
	p[at] ^= 1 << r.IntN(8)
	if _, err = f.WriteAt(p[at:at+1], int64(at)); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s, byte %d", name, at), f.Sync()
}

// watchedFS remembers where the log was written last.
type watchedFS struct {
	vfs.FS
	disk *logDisk
}

func (w watchedFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := w.FS.OpenReadWrite(name, c, opts...)
	return watchedFile{f, name, w.disk}, err
}

type watchedFile struct {
	vfs.File
	name string
	disk *logDisk
}

func (w watchedFile) WriteAt(p []byte, at int64) (int, error) {
	if len(bytes.TrimLeft(p, "\x00")) > 0 { // not room for later
		w.disk.name, w.disk.at = w.name, at
	}
	return w.File.WriteAt(p, at)
}
