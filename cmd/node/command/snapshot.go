package command

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"concord/node/archive"
)

// snapshotVerbs: https://developer.hashicorp.com/consul/commands/snapshot
var snapshotVerbs = []verb{
	{name: "snapshot save", usage: "[options] FILE", synopsis: "Saves a snapshot of the servers' state",
		about: "Saves the state of the servers, as it is at one moment: keys, nodes, services, checks, configuration.", example: "snapshot save backup.snap",
		setup: none(snapshotSave)},
	{name: "snapshot restore", usage: "[options] FILE", synopsis: "Restores a snapshot of the servers' state",
		about:   "Replaces the whole state of the servers by that in FILE, all at once. What is not in FILE is gone.",
		example: "snapshot restore backup.snap", setup: none(snapshotRestore)},
	{name: "snapshot inspect", usage: "[options] FILE", synopsis: "Displays information about a snapshot file",
		about: "Checks FILE to its last byte and shows what it is.", example: "snapshot inspect backup.snap", setup: none(snapshotInspect)},
}

// fileArgument is the one argument.
func (c *call) fileArgument() (string, error) {
	switch len(c.args) {
	case 0:
		return "", errors.New("Missing FILE argument")
	case 1:
		return c.args[0], nil
	}
	return "", fmt.Errorf("Too many arguments (expected 1, got %d)", len(c.args))
}

func verify(f io.Reader) (archive.Meta, error) {
	return archive.Read(f, func([]byte) error { return nil })
}

// snapshotSave gives the file its name only once it is found to be whole.
func snapshotSave(c *call) error {
	path, err := c.fileArgument()
	if err != nil {
		return err
	}
	body, err := c.api.Stream(http.MethodGet, "/v1/snapshot", nil)
	if err != nil {
		return fmt.Errorf("Error saving snapshot: %w", err)
	}
	defer body.Close()
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".unverified.*.tmp")
	if err != nil {
		return fmt.Errorf("Error writing unverified snapshot file: %w", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	m, err := verify(io.TeeReader(body, f))
	if err != nil {
		return fmt.Errorf("Error verifying snapshot: %w", err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("Error writing unverified snapshot file: %w", err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("Error renaming snapshot file: %w", err)
	}
	c.ui.Output(fmt.Sprintf("Saved and verified snapshot to index %d", m.Index))
	return nil
}

func snapshotRestore(c *call) error {
	path, err := c.fileArgument()
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("Error opening snapshot file: %w", err)
	}
	defer f.Close()
	answer, err := c.api.Stream(http.MethodPut, "/v1/snapshot", f)
	if err != nil {
		return fmt.Errorf("Error restoring snapshot: %w", err)
	}
	defer answer.Close()
	c.ui.Output("Restored snapshot")
	return nil
}

func snapshotInspect(c *call) error {
	path, err := c.fileArgument()
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("Error opening snapshot file: %w", err)
	}
	defer f.Close()
	m, err := verify(f)
	if err != nil {
		return fmt.Errorf("Error verifying snapshot: %w", err)
	}
	var b strings.Builder
	for _, line := range [][2]any{{"ID", m.ID}, {"Size", m.Size}, {"Index", m.Index}, {"Term", m.Term}, {"Version", m.Version}} {
		fmt.Fprintf(&b, "%-13s%v\n", line[0], line[1])
	}
	c.ui.Output(b.String())
	return nil
}
