package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"

	"concord/store"
)

// ErrFull says that the disk is full.
var ErrFull = errors.New("the disk is full: free some space and start again")

// ErrDropped says that what was to be read has been dropped meanwhile.
var ErrDropped = errors.New("dropped meanwhile")

// FailedError is returned by every call on a log whose disk has failed. What a failed sync was to make durable may be
// lost although later syncs succeed, so that nothing may be built on it any more: the log has to be opened anew, which
// finds what is on the disk.
type FailedError struct {
	Err error // what failed first
}

// Error tells what failed and what to do.
func (e *FailedError) Error() string {
	if errors.Is(e.Err, ErrFull) {
		return e.Err.Error()
	}
	return "the disk failed: " + e.Err.Error() + ": check the disk, and start again"
}

// Unwrap returns what failed.
func (e *FailedError) Unwrap() error { return e.Err }

// Sizes say how large files are.
type Sizes struct {
	// Segment is how many bytes a segment has, unless one group is larger; default 16 MiB.
	Segment int64
	// Ahead is how many zeros are written at once ahead of the end; default 1 MiB, which is the most.
	Ahead int64
	// Spares is how many files that are not needed any more are kept to be used again; default 4.
	Spares int
}

func (s Sizes) withDefaults() Sizes {
	if s.Segment == 0 {
		s.Segment = 16 << 20
	}
	if s.Ahead == 0 || s.Ahead > zeroAhead {
		s.Ahead = zeroAhead
	}
	if s.Spares == 0 {
		s.Spares = 4
	}
	return s
}

// zeroAhead costs one longer sync in some thousand small groups, or in ten that are as large as a busy server makes them.
const zeroAhead = 1 << 20

var zeros [zeroAhead]byte

// Place is where the bytes of a group begin.
type Place struct {
	Segment uint64
	At      int64
}

// file is a segment.
type file struct {
	number    uint64
	f         vfs.File
	last, end int64 // of the last group
	size      int64
}

// Log is a sequence of groups. One goroutine writes; any may read at the same time.
type Log struct {
	fs     vfs.FS
	dir    string
	sizes  Sizes
	head   func([]byte) []byte
	folder vfs.File
	spares []string
	buf    []byte // of heads

	mu     sync.RWMutex // guards files, held while one is read or closed
	files  []*file
	failed atomic.Pointer[error]
}

// failure returns why the log takes no calls, nil if it does.
func (l *Log) failure() error {
	if err := l.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// fail ends the use of the log.
func (l *Log) fail(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		err = fmt.Errorf("%w (%w)", ErrFull, err)
	}
	var failed error = &FailedError{Err: err}
	l.failed.CompareAndSwap(nil, &failed)
	return l.failure()
}

func (l *Log) current() *file { return l.files[len(l.files)-1] }

// Append writes a group, whose bytes are p from HeaderBytes on, and returns where they are once they are durable. What
// is before them in p is changed. It fails with a *FailedError if the disk does, and then it is not known whether the
// group will be found when the log is opened again.
func (l *Log) Append(p []byte) (Place, error) {
	if err := l.failure(); err != nil {
		return Place{}, err
	}
	if n := len(p) - HeaderBytes; n <= 0 || n > maxGroup {
		return Place{}, fmt.Errorf("segment: a group of %d bytes, of which there may be 1 to %d", n, maxGroup)
	}
	if c := l.current(); c.last > 0 && c.end+int64(len(p)) > l.sizes.Segment {
		if err := l.rotate(); err != nil {
			return Place{}, l.fail(err)
		}
	}
	c := l.current()
	at := c.end
	seal(p, c.number, at)
	if err := c.append(p, l.sizes); err != nil {
		return Place{}, l.fail(err)
	}
	if err := c.f.SyncData(); err != nil {
		return Place{}, l.fail(err)
	}
	return Place{Segment: c.number, At: at + HeaderBytes}, nil
}

// append writes a group behind the last one. After a sync of a file that became longer, the file system has to write its
// new size to its journal, which takes about as long as the data. So the file grows by many zeros at once, which later
// groups then overwrite. Preallocated space does not help: the size does not include it, and extents never written have
// to be journaled, too.
func (f *file) append(p []byte, s Sizes) error {
	if _, err := f.f.WriteAt(p, f.end); err != nil {
		return err
	}
	f.last, f.end = f.end, f.end+int64(len(p))
	if f.end <= f.size {
		return nil
	}
	f.size = max(f.end, min(f.end+s.Ahead, s.Segment))
	if f.size == f.end {
		return nil
	}
	_, err := f.f.WriteAt(zeros[:f.size-f.end], f.end)
	return err
}

// rotate begins a new segment, which is durable, with its head, before anything else is written to it.
func (l *Log) rotate() error {
	return l.begin(l.current().number+1, l.current().end)
}

// begin makes a segment. Its head has the end of the segment before it, without which a damaged end could not be told
// from an early one, and what there is to repeat, so that those before it may go.
func (l *Log) begin(number uint64, before int64) error {
	f, err := l.blank(number)
	if err != nil {
		return err
	}
	p := binary.BigEndian.AppendUint64(append(l.buf[:0], zeros[:HeaderBytes]...), uint64(before))
	p = l.head(p)
	l.buf = p
	seal(p, number, 0)
	if err = f.append(p, l.sizes); err == nil {
		err = f.f.Sync()
	}
	if err == nil {
		err = l.folder.Sync()
	}
	if err != nil {
		return errors.Join(err, f.f.Close())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.files = append(l.files, f)
	return nil
}

// blank returns a file for a segment, one that was used before if there is one.
func (l *Log) blank(number uint64) (*file, error) {
	name := l.path(segmentName(number))
	if n := len(l.spares); n > 0 {
		if err := l.fs.Rename(l.path(l.spares[n-1]), name); err != nil {
			return nil, err
		}
		l.spares = l.spares[:n-1]
	}
	return l.open(number)
}

// open opens the file of a segment, which is made if it does not exist.
func (l *Log) open(number uint64) (*file, error) {
	f, err := l.fs.OpenReadWrite(l.path(segmentName(number)), vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &file{number: number, f: f, size: info.Size()}, nil
}

// ReadAt fills p with what is at a place, or fails with ErrDropped.
func (l *Log) ReadAt(p []byte, at Place) error {
	if err := l.failure(); err != nil {
		return err
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	if len(l.files) == 0 {
		return store.ErrClosed
	}
	i := at.Segment - l.files[0].number
	if i >= uint64(len(l.files)) {
		return fmt.Errorf("%w: %s", ErrDropped, segmentName(at.Segment))
	}
	_, err := l.files[i].f.ReadAt(p, at.At)
	return err
}

// Close closes the files, while nobody writes. Every later call fails with store.ErrClosed, or with what failed before.
func (l *Log) Close() error {
	closed := store.ErrClosed
	l.failed.CompareAndSwap(nil, &closed)
	l.mu.Lock()
	defer l.mu.Unlock()
	var err error
	for _, f := range l.files {
		err = errors.Join(err, f.f.Close())
	}
	l.files = nil
	if l.folder != nil {
		err = errors.Join(err, l.folder.Close())
		l.folder = nil
	}
	return err
}
