package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/google/uuid"

	"concord/node/runner"
)

// ErrInUse says that another process runs on the data directory.
var ErrInUse = errors.New("the data directory is in use by another process")

// dataDir is an agent's folder, locked against other processes.
type dataDir struct {
	path string
	lock *os.File
}

func openDataDir(path string) (*dataDir, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, fmt.Errorf("data directory: %w: choose a folder that the agent may write to with -data-dir", err)
	}
	f, err := os.OpenFile(filepath.Join(path, "agent.lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w: choose a folder that the agent may write to with -data-dir", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %s: stop it, or use another -data-dir", ErrInUse, path), f.Close())
	}
	return &dataDir{path: path, lock: f}, nil
}

func (d *dataDir) close() error { return d.lock.Close() }

// nodeID is the UUID of the node: the one asked for, the one found, or a new one, kept from then on.
func (d *dataDir) nodeID(asked string) (string, error) {
	path := filepath.Join(d.path, "node-id")
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("node ID: %w", err)
	}
	found := strings.TrimSpace(string(text))
	switch {
	case found != "":
		if _, err := uuid.Parse(found); err != nil {
			return "", fmt.Errorf("node ID: %s does not contain a UUID: restore it, or remove it together with the rest of the data directory", path)
		}
		if asked != "" && asked != found {
			return "", fmt.Errorf("node ID: the data directory %s was made by node %s, but -node-id says %s: use that ID or another -data-dir", d.path, found, asked)
		}
		return found, nil
	case asked == "":
		asked = uuid.NewString()
	}
	return asked, runner.WriteFile(path, []byte(asked+"\n"), 0o600)
}

func writePid(path string) error {
	if path == "" {
		return nil
	}
	if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
		return fmt.Errorf("PID file: %w", err)
	}
	return nil
}
