package runner

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Files keeps small pieces of data in a folder, each replaced as a whole so that a crash leaves the old
// or the new one.
type Files struct{ dir string }

// OpenFiles returns the files in dir, which is made if it does not exist.
func OpenFiles(dir string) (*Files, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make folder for the agent's files: %w", err)
	}
	return &Files{dir: dir}, nil
}

// Read returns what was written under the name, nil if nothing was.
func (f *Files) Read(name string) ([]byte, error) {
	p, err := os.ReadFile(filepath.Join(f.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return p, err
}

// Write replaces what is kept under the name, durably.
func (f *Files) Write(name string, data []byte) error {
	return WriteFile(filepath.Join(f.dir, name), data, 0o644)
}

// WriteSecret is Write for what only the agent's own user may read.
func (f *Files) WriteSecret(name string, data []byte) error {
	return WriteFile(filepath.Join(f.dir, name), data, 0o600)
}

// WriteFile replaces a file so that a crash leaves it as it was or as it is to be: write, fsync,
// rename, fsync the folder.
func WriteFile(path string, data []byte, mode fs.FileMode) error {
	tmp := path + ".tmp"
	if err := writeSynced(tmp, data, mode); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(tmp))
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return SyncDir(filepath.Dir(path))
}

func writeSynced(path string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// SyncDir makes the names in a folder durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
