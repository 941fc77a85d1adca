// Package datadir is an agent's data directory as a whole: its lock, the identity it belongs to, and
// whether what it contains can be what a server left there.
package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/google/uuid"

	"concord/node/runner"
)

// ErrInUse says that another process runs on the data directory.
var ErrInUse = errors.New("the data directory is in use by another process")

// Dir is a data directory, locked against other processes.
type Dir struct {
	path string
	lock *os.File
}

// Open makes the directory if it does not exist, and locks it. It fails with ErrInUse if another process has.
func Open(path string) (*Dir, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, unusable(err)
	}
	return OpenExisting(path)
}

// OpenExisting locks a directory that must exist.
func OpenExisting(path string) (*Dir, error) {
	f, err := os.OpenFile(filepath.Join(path, "agent.lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, unusable(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %s: stop it, or use another -data-dir", ErrInUse, path), f.Close())
	}
	return &Dir{path: path, lock: f}, nil
}

func unusable(err error) error {
	return fmt.Errorf("data directory: %w: choose a folder that the agent may write to with -data-dir", err)
}

// Path is where the directory is.
func (d *Dir) Path() string { return d.path }

// Server is the folder of a server's two stores.
func (d *Dir) Server() string { return filepath.Join(d.path, "server") }

// Close unlocks the directory.
func (d *Dir) Close() error { return d.lock.Close() }

// NodeID is the UUID of the node: the one asked for, the one found, or a new one, kept from then on.
func (d *Dir) NodeID(asked string) (string, error) {
	found, err := d.FoundID()
	switch {
	case err != nil:
		return "", err
	case found != "" && asked != "" && asked != found:
		return "", fmt.Errorf("node ID: the data directory %s was made by node %s, but -node-id says %s: use that ID or another -data-dir", d.path, found, asked)
	case found != "":
		return found, nil
	}
	if err := d.checkNameless(asked); err != nil {
		return "", err
	}
	if asked == "" {
		asked = uuid.NewString()
	}
	return asked, runner.WriteFile(d.idFile(), []byte(asked+"\n"), 0o600)
}

// FoundID is the ID that the directory was made by, empty if there is none yet.
func (d *Dir) FoundID() (string, error) {
	text, err := os.ReadFile(d.idFile())
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("node ID: %w", err)
	}
	found := strings.TrimSpace(string(text))
	if _, err := uuid.Parse(found); found != "" && err != nil {
		return "", fmt.Errorf("node ID: %s does not contain a UUID: restore it, or remove it together with the rest of the data directory", d.idFile())
	}
	return found, nil
}

func (d *Dir) idFile() string { return filepath.Join(d.path, "node-id") }
