package pebblestore

import (
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// disk is the file system that Pebble sees. An error of a write, a sync or a new file ends the store and never
// reaches Pebble, which would try a flush again for ever and meet some of the others with a lock held that readers
// need: the goroutine that met the error stays where it is, with none of those locks, and whoever waits for it is
// woken (Store.await). A store that has failed writes no more, so that its directory may be opened again.
type disk struct {
	vfs.FS
	s        *Store
	writes   atomic.Int64 // in progress
	lock     io.Closer
	unlocked sync.Once
}

// Lock locks the directory, as Pebble does before it looks at anything.
func (d *disk) Lock(name string) (io.Closer, error) {
	lock, err := d.FS.Lock(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %s (%w)", ErrLocked, d.PathDir(name), err)
	}
	d.lock = lock
	return lockCloser{d}, nil
}

// lockCloser is what Pebble closes.
type lockCloser struct{ d *disk }

func (l lockCloser) Close() (err error) {
	l.d.unlocked.Do(func() { err = l.d.lock.Close() })
	return err
}

// unlock lets others open the directory, unless a store that has failed is still writing: then the end of the
// process does.
func (d *disk) unlock() error {
	if d.lock == nil || d.writes.Load() > 0 {
		return nil
	}
	return lockCloser{d}.Close()
}

// write does what changes the disk.
func (d *disk) write(do func() error) error {
	d.writes.Add(1)
	if d.s.failure() != nil {
		d.writes.Add(-1)
		select {}
	}
	err := do()
	d.writes.Add(-1)
	if err != nil {
		d.s.fail(err)
		select {}
	}
	return err
}

func (d *disk) create(open func() (vfs.File, error)) (f vfs.File, err error) {
	err = d.write(func() error { f, err = open(); return err })
	if err != nil {
		return nil, err
	}
	return &file{File: f, d: d}, nil
}

func (d *disk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return d.create(func() (vfs.File, error) { return d.FS.Create(name, c) })
}

func (d *disk) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return d.create(func() (vfs.File, error) { return d.FS.ReuseForWrite(oldname, newname, c) })
}

func (d *disk) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return d.create(func() (vfs.File, error) { return d.FS.OpenReadWrite(name, c, opts...) })
}

func (d *disk) OpenDir(name string) (vfs.File, error) {
	return d.create(func() (vfs.File, error) { return d.FS.OpenDir(name) })
}

func (d *disk) Link(oldname, newname string) error {
	return d.write(func() error { return d.FS.Link(oldname, newname) })
}

func (d *disk) Rename(oldname, newname string) error {
	return d.write(func() error { return d.FS.Rename(oldname, newname) })
}

func (d *disk) MkdirAll(dir string, perm os.FileMode) error {
	return d.write(func() error { return d.FS.MkdirAll(dir, perm) })
}

// Remove may fail without harm: what is left behind is removed when the store is opened again.
func (d *disk) Remove(name string) (err error) {
	d.write(func() error { err = d.FS.Remove(name); return nil })
	return err
}

// file is a file that is written, or a directory that is synced.
type file struct {
	vfs.File
	d *disk
}

func (f *file) Write(p []byte) (n int, err error) {
	err = f.d.write(func() error { n, err = f.File.Write(p); return err })
	return n, err
}

func (f *file) WriteAt(p []byte, at int64) (n int, err error) {
	err = f.d.write(func() error { n, err = f.File.WriteAt(p, at); return err })
	return n, err
}

func (f *file) Sync() error     { return f.d.write(f.File.Sync) }
func (f *file) SyncData() error { return f.d.write(f.File.SyncData) }

func (f *file) SyncTo(length int64) (full bool, err error) {
	err = f.d.write(func() error { full, err = f.File.SyncTo(length); return err })
	return full, err
}
