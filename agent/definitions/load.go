package definitions

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"concord/agent"
)

// CorruptError tells that a file could not be read as a definition. It was set aside, and the
// agent runs without it.
type CorruptError struct {
	Path string // where the file is now
	Err  error
}

// Error names the file and what to do.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("definitions: a corrupt file was set aside as %s, register again what was in it: %v", e.Path, e.Err)
}

// Unwrap returns why the file could not be read.
func (e *CorruptError) Unwrap() error { return e.Err }

// ErrVersion is wrapped by the problem with a file that a newer version has written. It stays
// where it is, for that version.
var ErrVersion = errors.New("the file has an unknown version")

// Load returns what was saved; now is the wall clock. Files that cannot be used are left out
// and told of in problems, *CorruptErrors among them; err means that nothing could be read.
func (s *Store) Load(now time.Time) (p agent.Persisted, problems []error, err error) {
	p.States = map[string]agent.CheckState{}
	for _, kind := range kinds {
		entries, err := os.ReadDir(s.dir(kind))
		if err != nil {
			return p, problems, fmt.Errorf("definitions: %w", err)
		}
		for _, entry := range entries {
			if entry.IsDir() || strings.HasSuffix(entry.Name(), corruptSuffix) {
				continue
			}
			f, err := s.read(kind, filepath.Join(s.dir(kind), entry.Name()))
			if err != nil {
				problems = append(problems, err)
				continue
			}
			f.addTo(&p, now)
		}
	}
	return p, problems, nil
}

func (f *file) addTo(p *agent.Persisted, now time.Time) {
	switch {
	case f.Service != nil:
		p.Services = append(p.Services, *f.Service)
	case f.Check != nil:
		p.Checks = append(p.Checks, *f.Check)
	default:
		p.States[f.State.CheckID] = agent.CheckState{
			Status: f.State.Status, Output: f.State.Output, Remaining: f.State.Expires.Sub(now),
		}
	}
}

func (s *Store) read(kind agent.PersistKind, path string) (*file, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("definitions: %w", err)
	}
	f, err := parse(data)
	if errors.Is(err, ErrVersion) {
		return nil, fmt.Errorf("definitions: %s: %w", path, err)
	}
	if err == nil && s.path(kind, f.id(kind)) != path {
		err = errors.New("its content belongs into another file")
	}
	if err == nil {
		return f, nil
	}
	aside := path + corruptSuffix
	if renamed := os.Rename(path, aside); renamed != nil {
		return nil, fmt.Errorf("definitions: %s is corrupt and cannot be set aside, remove it: %w", path, errors.Join(err, renamed))
	}
	return nil, &CorruptError{Path: aside, Err: err}
}

// parse reads a file's content. Unknown fields are those of a later version that this one can
// do without.
func parse(data []byte) (*file, error) {
	var f file
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, err
	}
	if f.Version < 1 {
		return nil, errors.New("it has no version")
	}
	if f.Version > version {
		return nil, fmt.Errorf("%w: it is %d, and this program knows %d: run a newer one", ErrVersion, f.Version, version)
	}
	return &f, nil
}

// id returns the ID of what a file of this kind must hold, or "".
func (f *file) id(kind agent.PersistKind) string {
	switch {
	case kind == agent.PersistService && f.Service != nil:
		return f.Service.ID
	case kind == agent.PersistCheck && f.Check != nil:
		return f.Check.ID
	case kind == agent.PersistCheckState && f.State != nil:
		return f.State.CheckID
	}
	return ""
}
