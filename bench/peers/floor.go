package main

import (
	"os"
	"path/filepath"
	"syscall"
)

// file is the disk without a log on it: what a commit at one proposer on one node cannot be faster than.
type file struct {
	f *os.File
	// size is what is overwritten again and again; 0: the file grows.
	size, at int64
}

func openAppender(dir string, _ shape) (cluster, error) {
	f, err := os.Create(filepath.Join(dir, "append"))
	return &file{f: f}, err
}

// openOverwriter prepares a file as logs that recycle or preallocate their segments do: an fsync then changes no metadata.
func openOverwriter(dir string, _ shape) (cluster, error) {
	f, err := os.Create(filepath.Join(dir, "overwrite"))
	if err != nil {
		return nil, err
	}
	const size = 16 << 20
	if _, err = f.Write(make([]byte, size)); err == nil {
		err = f.Sync()
	}
	return &file{f: f, size: size}, err
}

func (f *file) propose(int) error {
	if _, err := f.f.WriteAt(command, f.at); err != nil {
		return err
	}
	if f.at += int64(len(command)); f.size > 0 {
		f.at %= f.size
	}
	return syscall.Fdatasync(int(f.f.Fd()))
}

func (f *file) close() error { return f.f.Close() }
