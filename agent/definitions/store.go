// Package definitions keeps an agent's registrations on disk, so that they survive a restart.
//
// In the data directory, services/HASH and checks/HASH hold one definition each and
// checks/state/HASH the state of a TTL check, where HASH is the SHA-256 of the ID. A file is
// replaced as a whole or not at all, whenever the power goes.
package definitions

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"concord/agent"
)

const (
	version       = 1
	tempSuffix    = ".tmp"
	corruptSuffix = ".corrupt"
)

// file is what a file holds: one of Service, Check and State.
type file struct {
	Version int                      `json:"version"`
	Service *agent.ServiceDefinition `json:"service,omitempty"`
	Check   *agent.CheckDefinition   `json:"check,omitempty"`
	State   *state                   `json:"state,omitempty"`
}

type state struct {
	CheckID string    `json:"check_id"`
	Status  string    `json:"status"`
	Output  string    `json:"output"`
	Expires time.Time `json:"expires"`
}

// Store is the folder of an agent's definitions. It must not be used concurrently.
type Store struct{ root string }

// Open makes the folders in the data directory if they are missing and removes what a crash
// left half written.
func Open(dataDir string) (*Store, error) {
	s := &Store{root: dataDir}
	for _, kind := range kinds {
		dir := s.dir(kind)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("definitions: cannot make the folder: %w", err)
		}
		half, err := filepath.Glob(filepath.Join(dir, "*"+tempSuffix))
		if err != nil {
			return nil, fmt.Errorf("definitions: %w", err)
		}
		for _, path := range half {
			if err := os.Remove(path); err != nil {
				return nil, fmt.Errorf("definitions: cannot remove a half-written file: %w", err)
			}
		}
	}
	return s, nil
}

var kinds = [...]agent.PersistKind{agent.PersistService, agent.PersistCheck, agent.PersistCheckState}

func (s *Store) dir(kind agent.PersistKind) string {
	switch kind {
	case agent.PersistService:
		return filepath.Join(s.root, "services")
	case agent.PersistCheck:
		return filepath.Join(s.root, "checks")
	}
	return filepath.Join(s.root, "checks", "state")
}

func (s *Store) path(kind agent.PersistKind, id string) string {
	sum := sha256.Sum256([]byte(strings.ToLower(id)))
	return filepath.Join(s.dir(kind), hex.EncodeToString(sum[:]))
}

// Apply carries the ops out; now is the wall clock. Once it returns nil the definitions
// survive a crash. The states of TTL checks are replaced atomically but not flushed: they
// change with every heartbeat, and one that is lost only makes its check critical until the next.
// After an error it goes on with the other ops; the error tells all that failed.
func (s *Store) Apply(ops []agent.PersistOp, now time.Time) error {
	var errs []error
	changed := map[string]bool{}
	for _, op := range ops {
		if err := s.apply(op, now); err != nil {
			errs = append(errs, fmt.Errorf("definitions: cannot save %q: %w", op.ID, err))
			continue
		}
		if op.Kind != agent.PersistCheckState {
			changed[s.dir(op.Kind)] = true
		}
	}
	for dir := range changed {
		if err := syncDir(dir); err != nil {
			errs = append(errs, fmt.Errorf("definitions: %w", err))
		}
	}
	return errors.Join(errs...)
}

func (s *Store) apply(op agent.PersistOp, now time.Time) error {
	f := file{Version: version, Service: op.Service, Check: op.Check}
	if st := op.State; st != nil {
		f.State = &state{CheckID: op.ID, Status: st.Status, Output: st.Output, Expires: now.Add(st.Remaining).UTC()}
	}
	path := s.path(op.Kind, op.ID)
	if f.Service == nil && f.Check == nil && f.State == nil {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	data, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return replace(path, data, f.State == nil)
}

// replace writes a file beside the old one and puts it in its place.
func replace(path string, data []byte, flush bool) (err error) {
	temp := path + tempSuffix
	w, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temp)
		}
	}()
	_, err = w.Write(data)
	if err == nil && flush {
		err = w.Sync()
	}
	if closed := w.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(temp, path)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	return errors.Join(err, d.Close())
}
