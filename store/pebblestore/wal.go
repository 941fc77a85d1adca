package pebblestore

import (
	"errors"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// walCategory is how Pebble marks the files of its write-ahead log.
const walCategory vfs.DiskWriteCategory = "pebble-wal"

// zeroAhead is how many zeros are written at once ahead of the log's end. It costs one longer sync in a thousand
// small commits.
const zeroAhead = 256 << 10

var zeros [zeroAhead]byte

// logFile is a file of the write-ahead log. Pebble appends to it, and after each sync that appended, the file system
// has to write the file's new size to its journal, which takes about as long as the data. So the file grows by many
// zeros at once, which commits then overwrite. Preallocated space does not help: the size does not include it, and
// extents never written have to be journaled, too. What is read back is zeros behind the last commit, which Pebble
// knows how to read, as it does what is left in a file that it uses again.
type logFile struct {
	vfs.File
	at, size int64
}

// newLogFile returns a log file that is written from its beginning. One that Pebble uses again has its size already.
func newLogFile(f vfs.File) (vfs.File, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &logFile{File: f, size: info.Size()}, nil
}

func (f *logFile) Write(p []byte) (int, error) {
	for f.at+int64(len(p)) > f.size {
		if _, err := f.File.WriteAt(zeros[:], f.size); err != nil {
			return 0, err
		}
		f.size += zeroAhead
	}
	n, err := f.File.Write(p)
	f.at += int64(n)
	return n, err
}
