package recovery

import (
	"errors"
	"fmt"
	"os"

	"concord/node/datadir"
	"concord/node/runner"
	"concord/raft"
)

// Server is a server that does not run, with its data directory open and locked.
type Server struct {
	ID   raft.ID
	dir  *datadir.Dir
	disk *runner.Disk
}

// Found is what the disks of a server have.
type Found struct {
	Term     uint64
	VotedFor raft.ID // empty: nobody in this term
	// First and Last are the indexes of the log; it is empty if Last is before First.
	First, Last uint64
	// Applied is the index that the state durably contains.
	Applied uint64
	// Config is the configuration in force, which came with the entry ConfigIndex.
	Config      raft.Configuration
	ConfigIndex uint64
}

// Open opens the data directory of a server. It fails with datadir.ErrInUse while the server runs, and
// with ErrNothing if there is no server's data.
func Open(dataDir string) (*Server, error) {
	dir, err := datadir.OpenExisting(dataDir)
	if err != nil {
		return nil, err
	}
	s, err := open(dir)
	if err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	return s, nil
}

func open(dir *datadir.Dir) (*Server, error) {
	id, err := dir.FoundID()
	if err != nil {
		return nil, err
	}
	if err := dir.Check(); err != nil {
		return nil, err
	}
	if _, err := os.Stat(dir.Server()); err != nil || id == "" {
		return nil, fmt.Errorf("%w: %s is not the data directory of a server", ErrNothing, dir.Path())
	}
	var failure error
	disk, err := runner.OpenDisk(dir.Server(), id, func(err error) { failure = err })
	if err != nil {
		return nil, errors.Join(err, failure)
	}
	return &Server{ID: raft.ID(id), dir: dir, disk: disk}, nil
}

// Found tells what is on the disks.
func (s *Server) Found() Found {
	st, r := s.disk.Log.State(), s.disk.Initial().Raft
	f := Found{Term: st.HardState.Term, VotedFor: st.HardState.VotedFor, First: st.FirstIndex, Last: st.LastIndex,
		Applied: r.Applied, Config: r.Config, ConfigIndex: r.ConfigIndex}
	for _, e := range r.Entries {
		if e.Type == raft.EntryConfig {
			f.Config, f.ConfigIndex = *e.Config, e.Index
		}
	}
	return f
}

// Plan is the configuration of the servers given, or if there are none, that in which this server is the only
// voter, with the address that it has in the configuration in force.
func (s *Server) Plan(servers []raft.Server) (raft.Configuration, error) {
	if s.disk.Log.State().LastIndex == 0 {
		return raft.Configuration{}, ErrNothing
	}
	if _, err := os.Stat(FilesIn(s.dir.Path()).PeersFile()); err == nil {
		return raft.Configuration{}, fmt.Errorf("recovery: %s is there, which the server takes when it starts: start it, or remove the file", FilesIn(s.dir.Path()).PeersFile())
	}
	if len(servers) == 0 {
		self, ok := s.Found().Config.Server(s.ID)
		if !ok {
			return raft.Configuration{}, fmt.Errorf("recovery: this server is not in the configuration, so its address is not known: give it with -peer=%s=<ip>:<server port>", s.ID)
		}
		self.Suffrage = raft.Voter
		servers = []raft.Server{self}
	}
	return NewConfiguration(servers, s.ID)
}

// Replace gives the server the configuration.
func (s *Server) Replace(c raft.Configuration) error {
	if err := Replace(s.disk.Log, s.disk.Machine, c); err != nil {
		return err
	}
	return s.disk.Reload()
}

// Close closes and unlocks the data directory.
func (s *Server) Close() error { return errors.Join(s.disk.Close(), s.dir.Close()) }
