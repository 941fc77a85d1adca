// Package snapshot is the file in which a gossip agent remembers what it needs to rejoin its pool after a restart, without
// having events told again: who it is, who was alive, and how far the Lamport clocks were.
//
// The file has lines of text, as Serf's has, and each line changes what those before it said; a snapshot of Serf's can be
// read. A line is written before what it remembers is acted upon. Once the file is several times larger than it need be, a
// new one is written beside it that replaces it. What a crash leaves behind is a file that ends somewhere, and everything
// before the last whole line counts.
package snapshot

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// header is the first line. To Serf it is a comment.
const header = "# concord gossip snapshot 1"

// leave is the line that says that the agent left the pool on its own account. To one that is not to rejoin, nothing
// before it counts but who it is.
const leave = "leave\n"

// headerPrefix begins the first line of every version.
const headerPrefix = "# concord gossip snapshot "

const (
	// minCompact is the size below which a file is left alone.
	minCompact = 64 << 10
	// compactFactor is how much larger a file may be than one that says the same without repetition.
	compactFactor = 4
	// maxFile bounds the file that is read. A pool of as many members as are allowed has a smaller one.
	maxFile = 64 << 20
	// maxMembers bounds the members that are remembered.
	maxMembers = 1 << 16
)

// State is what is remembered.
type State struct {
	ID          string // of the agent, "" if it has none yet
	Incarnation uint64
	// EventClock and QueryClock are the Lamport times from which on user events and queries are news, 0 if none were told.
	EventClock, QueryClock uint64
	Alive                  map[string]netip.AddrPort
}

// File is an open snapshot. It is not safe for concurrent use.
type File struct {
	path  string
	f     *os.File
	state State
	size  int
	base  int  // the size after the last compaction
	left  bool // the agent left: nothing after that is remembered
	torn  bool // a write failed: the file may end within a line
}

// Open reads the snapshot, or begins one, and returns what it remembers. If the agent had left, the members and clocks are
// forgotten unless rejoin is set.
func Open(path string, rejoin bool) (*File, State, error) {
	state, err := load(path, rejoin)
	if err != nil {
		return nil, State{}, fmt.Errorf("snapshot %s: %w", path, err)
	}
	s := &File{path: path, state: state}
	if err := s.compact(); err != nil {
		return nil, State{}, err
	}
	state.Alive = maps.Clone(state.Alive)
	return s, state, nil
}

func load(path string, rejoin bool) (State, error) {
	s := State{Alive: map[string]netip.AddrPort{}}
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	defer f.Close()
	return s, s.read(f, rejoin)
}

// read takes over the lines of a file. A last line without an end is left out: it was being written when the
// process or the machine ended.
func (s *State) read(r io.Reader, rejoin bool) error {
	b := bufio.NewReader(io.LimitReader(r, maxFile+1))
	total := 0
	for number := 1; ; number++ {
		line, err := b.ReadString('\n')
		if total += len(line); total > maxFile {
			return fmt.Errorf("it is larger than %d bytes: no agent wrote it; remove it", maxFile)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if line == leave && !rejoin {
			s.EventClock, s.QueryClock = 0, 0
			clear(s.Alive)
		}
		if err := s.apply(strings.TrimSuffix(line, "\n")); err != nil {
			return fmt.Errorf("line %d: %w: remove the file to begin anew", number, err)
		}
	}
}

// apply takes over a line.
func (s *State) apply(line string) error {
	if strings.HasPrefix(line, headerPrefix) && line != header {
		return fmt.Errorf("%q: it was written by a later release; this one reads version 1", line)
	}
	key, value, ok := strings.Cut(line, ": ")
	switch {
	case line == "" || line[0] == '#' || line+"\n" == leave:
	case key == "clock" || key == "coordinate": // Serf's, not needed here
	case !ok:
		return fmt.Errorf("%q is not understood", line)
	case key == "alive":
		return s.applyAlive(value)
	case key == "not-alive":
		delete(s.Alive, value)
	case key == "id":
		s.ID = value
	default:
		return s.applyNumber(key, value)
	}
	return nil
}

// applyAlive takes over a name and an address; Serf allows spaces in names.
func (s *State) applyAlive(value string) error {
	i := strings.LastIndexByte(value, ' ')
	if i < 0 {
		return fmt.Errorf("%q has no address", value)
	}
	addr, err := netip.ParseAddrPort(value[i+1:])
	if err != nil {
		return err
	}
	if len(s.Alive) < maxMembers {
		s.Alive[value[:i]] = addr
	}
	return nil
}

func (s *State) applyNumber(key, value string) error {
	p := map[string]*uint64{"incarnation": &s.Incarnation, "event-clock": &s.EventClock, "query-clock": &s.QueryClock}[key]
	if p == nil {
		return fmt.Errorf("%q is not understood", key)
	}
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		return err
	}
	if p != &s.Incarnation && n < math.MaxUint64 {
		n++ // the file has the last one that was told
	}
	*p = max(*p, n)
	return nil
}

// encode returns a file that says this and nothing else.
func (s *State) encode() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\nid: %s\nincarnation: %d\n", header, s.ID, s.Incarnation)
	for _, c := range []struct {
		name string
		at   uint64
	}{{"event-clock", s.EventClock}, {"query-clock", s.QueryClock}} {
		if c.at > 0 {
			fmt.Fprintf(&b, "%s: %d\n", c.name, c.at-1)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Alive)) {
		fmt.Fprintf(&b, "alive: %s %s\n", name, s.Alive[name])
	}
	return b.Bytes()
}

// SetID remembers who the agent is.
func (s *File) SetID(id string) error { return s.add(true, "id: "+id) }

// SetIncarnation remembers the agent's incarnation. It is on disk when this returns.
func (s *File) SetIncarnation(n uint64) error { return s.add(true, fmt.Sprintf("incarnation: %d", n)) }

// SetEventTime remembers that a user event is about to be told. Lower times than before are left out.
func (s *File) SetEventTime(t uint64) error {
	if t < s.state.EventClock {
		return nil
	}
	return s.add(false, fmt.Sprintf("event-clock: %d", t))
}

// SetQueryTime remembers that a query is about to be told.
func (s *File) SetQueryTime(t uint64) error {
	if t < s.state.QueryClock {
		return nil
	}
	return s.add(false, fmt.Sprintf("query-clock: %d", t))
}

// SetAlive remembers that a member is alive.
func (s *File) SetAlive(name string, addr netip.AddrPort) error {
	if s.state.Alive[name] == addr {
		return nil
	}
	return s.add(false, fmt.Sprintf("alive: %s %s", name, addr))
}

// SetGone remembers that a member is not alive any more.
func (s *File) SetGone(name string) error {
	if _, ok := s.state.Alive[name]; !ok {
		return nil
	}
	return s.add(false, "not-alive: "+name)
}

// SetLeft remembers that the agent left the pool, and nothing of what happens then. It is on disk when this returns.
func (s *File) SetLeft() error {
	err := s.add(true, strings.TrimSuffix(leave, "\n"))
	s.left = true
	return err
}

// add writes a line, and takes it over.
func (s *File) add(sync bool, line string) error {
	if s.left {
		return nil
	}
	if err := s.state.apply(line); err != nil {
		return err
	}
	if s.torn {
		if err := s.compact(); err != nil {
			return err
		}
	}
	n, err := s.f.WriteString(line + "\n")
	s.size += n
	if err == nil && sync {
		err = s.f.Sync()
	}
	if err != nil {
		s.torn = true
		return fmt.Errorf("snapshot: %w", err)
	}
	if s.size > minCompact && s.size > compactFactor*s.base && line+"\n" != leave { // a compact file would not have that line
		return s.compact()
	}
	return nil
}

// compact replaces the file by one without repetition. At any moment either the old or the new one has the name.
func (s *File) compact() error {
	data := s.state.encode()
	f, err := os.CreateTemp(filepath.Dir(s.path), filepath.Base(s.path)+".*.compact")
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync())
	if err == nil {
		err = os.Rename(f.Name(), s.path)
	}
	if err != nil {
		f.Close()
		os.Remove(f.Name())
		return fmt.Errorf("snapshot: %w", err)
	}
	if s.f != nil {
		s.f.Close()
	}
	s.f, s.size, s.base, s.torn = f, len(data), len(data), false
	if err := SyncDir(filepath.Dir(s.path)); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	return nil
}

// SyncDir makes a renaming in a folder durable.
func SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Close ends the use of the file.
func (s *File) Close() error { return errors.Join(s.f.Sync(), s.f.Close()) }
