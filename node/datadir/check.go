package datadir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"concord/store/raftlog"
)

// ErrIncomplete says that a part of the data directory is missing that must be there, given what else is.
var ErrIncomplete = errors.New("the data directory is incomplete")

const remedy = "restore the whole directory from one backup, or remove it and let the server join anew"

func incomplete(format string, args ...any) error {
	return fmt.Errorf("%w: %s: %s", ErrIncomplete, fmt.Sprintf(format, args...), remedy)
}

// checkNameless refuses to give a new identity to what another node left behind. An ID that the operator names is
// compared with that of the stores when they are opened.
func (d *Dir) checkNameless(asked string) error {
	files, err := listed(filepath.Join(d.Server(), "raft"))
	if err != nil || !slices.ContainsFunc(files, isLog) || asked != "" {
		return err
	}
	return incomplete("%s is missing or empty, but %s has the raft log of a server: only part of the directory was written or copied (if the ID is known, it can be given with -node-id)",
		d.idFile(), filepath.Join(d.Server(), "raft"))
}

// Check tells whether the folders of a server's stores can be what a server left there, at any moment of its life
// including a crash. It reads names only, and is to be called before the stores are opened, because opening a store
// that is not there makes an empty one, and a server that has forgotten its votes breaks the cluster's promises.
func (d *Dir) Check() error {
	logs, err := listed(filepath.Join(d.Server(), "raft"))
	if err != nil {
		return err
	}
	states, err := d.states()
	if err != nil {
		return err
	}
	if err := checkLog(filepath.Join(d.Server(), "raft"), logs); err != nil {
		return err
	}
	if len(logs) == 0 && states.any {
		return incomplete("%s is missing or empty, but %s has a state: without the log the server would not know its votes",
			filepath.Join(d.Server(), "raft"), states.dir)
	}
	return states.check()
}

// states is what the folder of the state stores contains.
type states struct {
	dir     string
	current int   // that CURRENT names, 0 without
	named   bool  // CURRENT is there
	numbers []int // of the folders
	any     bool  // one of them was in use
}

func (d *Dir) states() (states, error) {
	s := states{dir: filepath.Join(d.Server(), "state")}
	names, err := listed(s.dir)
	if err != nil {
		return s, err
	}
	for _, name := range names {
		if number, err := strconv.Atoi(name); err == nil {
			s.numbers = append(s.numbers, number)
			files, err := listed(filepath.Join(s.dir, name))
			if err != nil {
				return s, err
			}
			s.any = s.any || slices.ContainsFunc(files, isMarker)
		}
	}
	text, err := os.ReadFile(filepath.Join(s.dir, "CURRENT"))
	if os.IsNotExist(err) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	s.named = true
	if s.current, err = strconv.Atoi(strings.TrimSpace(string(text))); err != nil {
		return s, incomplete("%s does not name a state", filepath.Join(s.dir, "CURRENT"))
	}
	return s, nil
}

func (s *states) check() error {
	there := slices.Contains(s.numbers, s.current)
	switch {
	case s.named && !there:
		return incomplete("%s names the state %d, which is not there", filepath.Join(s.dir, "CURRENT"), s.current)
	case !s.named && !there && len(s.numbers) > 0:
		return incomplete("%s is missing, which says which of the states in the folder counts", filepath.Join(s.dir, "CURRENT"))
	case !there:
		return nil // a server that went down before it had a state
	}
	path := filepath.Join(s.dir, strconv.Itoa(s.current))
	files, err := listed(path)
	if err != nil {
		return err
	}
	if s.named && len(files) == 0 {
		return incomplete("the state in %s is empty", path)
	}
	return checkStore(path, files)
}

// checkLog looks for the newest file of the log, which is never removed. The log misses everything else itself.
func checkLog(path string, files []string) error {
	entries := func(name string) bool { return strings.HasSuffix(name, ".log") }
	if slices.Contains(files, raftlog.FormatFile) && !slices.ContainsFunc(files, entries) {
		return incomplete("the raft log in %s has none of the files that its entries are in", path)
	}
	return nil
}

// checkStore looks for Pebble's marker of the manifest, without which Pebble takes the folder for a new store. Pebble
// writes the marker before any data.
func checkStore(path string, files []string) error {
	data := func(name string) bool { return strings.HasSuffix(name, ".sst") }
	if slices.ContainsFunc(files, data) && !slices.ContainsFunc(files, isMarker) {
		return incomplete("the store in %s has data, but not the file marker.manifest.* that says which of it counts", path)
	}
	return nil
}

func isMarker(name string) bool { return strings.HasPrefix(name, "marker.manifest.") }

// isLog tells whether a file is that of a Raft log, be it one of an earlier build in Pebble.
func isLog(name string) bool { return name == raftlog.FormatFile || isMarker(name) }

// listed are the names in a folder, none if it does not exist.
func listed(path string) ([]string, error) {
	found, err := os.ReadDir(path)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	names := make([]string, len(found))
	for i, f := range found {
		names[i] = f.Name()
	}
	return names, nil
}
