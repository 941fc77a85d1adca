package sim

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"

	"concord/node/machine"
	"concord/store"
	"concord/store/memstore"
	"concord/store/pebblestore"
)

// engine is where a state lives. It survives crashes.
type engine interface {
	// Open opens what is durable.
	Open() (store.Store, error)
	// Crash loses what is not.
	Crash()
	// Abandon frees what a machine that crashed held.
	Abandon(*machine.Machine)
	// Close closes a store that another one has taken the place of.
	Close() error
}

// newEngine returns what makes the engines of a run.
func newEngine(o Options) func() engine {
	if o.Pebble {
		return func() engine { return &pebbleDisk{fs: vfs.NewCrashableMem()} }
	}
	return func() engine { return &memDisk{memstore.NewDisk()} }
}

type memDisk struct{ disk *memstore.Disk }

func (m *memDisk) Open() (store.Store, error) { return memstore.Open(m.disk), nil }
func (m *memDisk) Crash()                     {}
func (m *memDisk) Abandon(*machine.Machine)   {}
func (m *memDisk) Close() error               { return nil }

// pebbleDisk is Pebble over a file system in memory that keeps, in a crash, exactly what was synced. Pebble's own
// goroutines do not change what its callers see.
type pebbleDisk struct {
	fs *vfs.MemFS
	st store.Store
}

func (p *pebbleDisk) Open() (store.Store, error) {
	st, err := pebblestore.Open("db", pebblestore.Options{FS: p.fs, MemTableSize: 256 << 10, CacheSize: 1 << 20})
	if err == nil {
		p.st = st
	}
	return st, err
}

func (p *pebbleDisk) Crash() { p.fs = p.fs.CrashClone(vfs.CrashCloneCfg{}) }

// Abandon closes the machine with its store, on the file system that is not used any more.
func (p *pebbleDisk) Abandon(m *machine.Machine) {
	if err := m.Close(); err != nil {
		panic(fmt.Sprintf("sim: close an abandoned state: %v", err))
	}
	p.st = nil
}

func (p *pebbleDisk) Close() error {
	st := p.st
	p.st = nil
	return st.Close()
}

// stateDisk gives the machine its stores.
type stateDisk struct {
	make           func() engine
	current, fresh engine
}

func (s *stateDisk) Open() (store.Store, error) { return s.current.Open() }

func (s *stateDisk) Fresh() (store.Store, error) {
	s.fresh = s.make()
	return s.fresh.Open()
}

func (s *stateDisk) Adopt(fresh store.Store) error {
	if err := fresh.Flush(); err != nil {
		return err
	}
	old := s.current
	s.current = s.fresh
	return old.Close()
}

func (s *stateDisk) crash() { s.current.Crash() }
