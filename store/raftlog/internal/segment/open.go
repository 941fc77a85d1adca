package segment

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// FormatFile is there once a log was made, and is never removed.
const FormatFile = "FORMAT"

const (
	// format is what FormatFile contains. A reader refuses what it does not know.
	format       = "3\n"
	segmentEnds  = ".log"
	spareEnds    = ".spare"
	pebbleBegins = "marker.manifest." // before Pebble writes any data
)

func segmentName(number uint64) string { return fmt.Sprintf("%016d%s", number, segmentEnds) }

// DamagedError says that files are not what was written. All before it was.
type DamagedError struct {
	Reason string
}

// Error tells what is damaged.
func (e *DamagedError) Error() string { return e.Reason }

func damaged(format string, args ...any) error {
	return &DamagedError{Reason: fmt.Sprintf(format, args...)}
}

// Group is what is found when a log is opened.
type Group struct {
	Place
	// First says that the group is the head of the first segment: what was before it has been dropped. Head says that it
	// is the head of any.
	First, Head bool
	Bytes       []byte // until the call returns
}

// names is what the folder of a log contains.
type names struct {
	segments []uint64
	spares   []string
	format   bool
}

func list(disk vfs.FS, dir string) (n names, err error) {
	found, err := disk.List(dir)
	if err != nil {
		return n, err
	}
	slices.Sort(found)
	for _, name := range found {
		number, isSegment := strings.CutSuffix(name, segmentEnds)
		switch {
		case strings.HasPrefix(name, pebbleBegins):
			return n, fmt.Errorf("%s has a raft log in Pebble, as an earlier build wrote it, which this release does not read: run that build, or remove the server's data directory, so that it joins anew and gets a snapshot", dir)
		case name == FormatFile:
			n.format = true
		case isSegment && len(number) == 16:
			k, err := strconv.ParseUint(number, 10, 64)
			if err != nil {
				return n, damaged("%s is no name of a file of the log", name)
			}
			n.segments = append(n.segments, k)
		case strings.HasSuffix(name, spareEnds):
			n.spares = append(n.spares, name)
		}
	}
	return n, nil
}

// Open opens the log in dir, which is made if it does not exist, and calls replay with all that is in it. head appends
// to its argument what each new segment is to repeat from those before it. What is damaged is a *DamagedError, but a
// group at the very end that is not whole is dropped: a crash has cut it off, and nobody was told that it is durable.
//
// The caller makes sure that no other process has the folder open.
func Open(disk vfs.FS, dir string, sizes Sizes, head func([]byte) []byte, replay func(Group) error) (*Log, error) {
	l := &Log{fs: disk, dir: dir, sizes: sizes.withDefaults(), head: head}
	err := l.recover(replay)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *Log) path(name string) string { return l.fs.PathJoin(l.dir, name) }

func (l *Log) recover(replay func(Group) error) error {
	if err := l.openFolder(); err != nil {
		return err
	}
	n, err := list(l.fs, l.dir)
	if err != nil {
		return err
	}
	l.spares = n.spares
	if !n.format {
		return l.create(n)
	}
	if err := l.checkFormat(); err != nil {
		return err
	}
	if len(n.segments) == 0 {
		return damaged("all its files are missing")
	}
	for i, number := range n.segments {
		if i > 0 && number != n.segments[i-1]+1 {
			return damaged("%s is missing", segmentName(n.segments[i-1]+1))
		}
		if err := l.load(number, i == len(n.segments)-1, replay); err != nil {
			return err
		}
	}
	return l.settle()
}

// openFolder makes the folder, and those above it that do not exist, durably, and opens it.
func (l *Log) openFolder() error {
	parents := []string{l.fs.PathDir(l.dir)}
	for {
		top := parents[len(parents)-1]
		if _, err := l.fs.Stat(top); err == nil || !errors.Is(err, fs.ErrNotExist) {
			break
		}
		parents = append(parents, l.fs.PathDir(top))
	}
	if err := l.fs.MkdirAll(l.dir, 0o755); err != nil {
		return err
	}
	for _, path := range parents {
		parent, err := l.fs.OpenDir(path)
		if err != nil {
			return err
		}
		if err := errors.Join(parent.Sync(), parent.Close()); err != nil {
			return err
		}
	}
	var err error
	l.folder, err = l.fs.OpenDir(l.dir)
	return err
}

func (l *Log) checkFormat() error {
	p, err := l.read(FormatFile)
	if err != nil {
		return err
	}
	if string(p) != format {
		return fmt.Errorf("format %q is not known to this release, which writes format %q: run the release that wrote it", p, format)
	}
	return nil
}

func (l *Log) read(name string) ([]byte, error) {
	f, err := l.fs.Open(l.path(name))
	if err != nil {
		return nil, err
	}
	p, err := io.ReadAll(f)
	return p, errors.Join(err, f.Close())
}

// create makes a new log. The file FORMAT comes last, so that a log without files is one that lost them. Without it
// there may be the first file of an attempt that a crash cut short.
func (l *Log) create(n names) error {
	if len(n.segments) > 1 || len(n.segments) == 1 && n.segments[0] != 1 {
		return damaged("the format version is missing")
	}
	if len(n.segments) == 1 {
		groups := 0
		data, err := l.read(segmentName(1))
		if err == nil {
			_, _, _, err = scan(data, 1, func(int64, []byte) error { groups++; return nil })
		}
		if err != nil {
			return err
		}
		if groups > 1 {
			return damaged("the format version is missing")
		}
		if err := l.fs.Remove(l.path(segmentName(1))); err != nil {
			return err
		}
	}
	if err := l.begin(1, 0); err != nil {
		return l.fail(err)
	}
	if err := l.writeFormat(); err != nil {
		return l.fail(err)
	}
	return nil
}

func (l *Log) writeFormat() error {
	const temporary = FormatFile + ".new"
	f, err := l.fs.Create(l.path(temporary), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(format))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := l.fs.Rename(l.path(temporary), l.path(FormatFile)); err != nil {
		return err
	}
	return l.folder.Sync()
}
