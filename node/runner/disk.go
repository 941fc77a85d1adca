package runner

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"concord/node"
	"concord/node/machine"
	"concord/store"
	"concord/store/memstore"
	"concord/store/pebblestore"
	"concord/store/raftlog"
)

// Disk is what a server keeps, open: the Raft log and the state.
type Disk struct {
	Log     *raftlog.Log
	Machine *machine.Machine
	found   node.Disk
}

// Initial is what was found on the disk.
func (d *Disk) Initial() node.Disk { return d.found }

// memoryLog are the sizes of a log's files that take memory.
var memoryLog = raftlog.Sizes{Segment: 4 << 20, Ahead: 16 << 10}

// OpenMemory returns a disk that forgets everything when the process ends (-dev).
func OpenMemory(nodeID string) (*Disk, error) {
	log, err := raftlog.OpenSized(vfs.NewMem(), "raft", memoryLog)
	if err != nil {
		return nil, err
	}
	return open(log, memoryStores{}, nodeID)
}

// OpenDisk opens the log and the state below dir, which are made if they do not exist. onFatal is told when the disk
// of the state fails later on; that of the log tells who writes it.
func OpenDisk(dir, nodeID string, onFatal func(error)) (*Disk, error) {
	log, err := raftlog.Open(vfs.Default, filepath.Join(dir, "raft"))
	if err != nil {
		return nil, err
	}
	return open(log, &diskStores{dir: filepath.Join(dir, "state"), onFatal: onFatal}, nodeID)
}

func open(log *raftlog.Log, stores machine.Stores, nodeID string) (*Disk, error) {
	d := &Disk{Log: log}
	err := log.Claim(nodeID)
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	if d.Machine, err = machine.Open(stores); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	if d.found, err = node.Recover(log, d.Machine); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// Close flushes and closes both.
func (d *Disk) Close() error { return errors.Join(d.Machine.Close(), d.Log.Close()) }

// memoryStores gives a machine stores in memory.
type memoryStores struct{}

func (memoryStores) Open() (store.Store, error)  { return memstore.Open(memstore.NewDisk()), nil }
func (memoryStores) Fresh() (store.Store, error) { return memstore.Open(memstore.NewDisk()), nil }
func (memoryStores) Adopt(store.Store) error     { return nil }

// diskStores keeps a machine's stores in folders named by number. The file CURRENT says which one counts, and is
// replaced atomically, so that a crash leaves the old state or the new one.
type diskStores struct {
	dir     string
	onFatal func(error)

	mu      sync.Mutex
	current store.Store
	number  int // of current
	fresh   int // of the newest fresh one
}

const currentFile = "CURRENT"

func (s *diskStores) Open() (store.Store, error) {
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(s.dir, currentFile))
	if err == nil {
		if s.number, err = strconv.Atoi(strings.TrimSpace(string(text))); err != nil {
			return nil, fmt.Errorf("%s does not name a state: %w: remove the data directory and let the server join anew", filepath.Join(s.dir, currentFile), err)
		}
	} else if !os.IsNotExist(err) {
		return nil, err
	}
	s.fresh = s.number
	if err := s.removeOthers(); err != nil {
		return nil, err
	}
	s.current, err = s.open(s.number)
	return s.current, err
}

func (s *diskStores) path(number int) string { return filepath.Join(s.dir, strconv.Itoa(number)) }

func (s *diskStores) open(number int) (store.Store, error) {
	return pebblestore.Open(s.path(number), pebblestore.Options{OnFatal: s.onFatal})
}

// removeOthers removes what an interrupted installation left behind.
func (s *diskStores) removeOthers() error {
	found, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, f := range found {
		if f.IsDir() && f.Name() != strconv.Itoa(s.number) {
			if err := os.RemoveAll(filepath.Join(s.dir, f.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// Fresh opens an empty store beside the current one.
func (s *diskStores) Fresh() (store.Store, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fresh++
	if err := os.RemoveAll(s.path(s.fresh)); err != nil {
		return nil, err
	}
	return s.open(s.fresh)
}

// Adopt makes the newest fresh store the current one.
func (s *diskStores) Adopt(fresh store.Store) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := fresh.Flush(); err != nil {
		return err
	}
	if err := WriteFile(filepath.Join(s.dir, currentFile), []byte(strconv.Itoa(s.fresh)+"\n"), 0o644); err != nil {
		return err
	}
	old := s.current
	s.current, s.number = fresh, s.fresh
	return errors.Join(old.Close(), s.removeOthers())
}
