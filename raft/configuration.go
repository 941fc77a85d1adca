package raft

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
)

// Server returns the member with the given ID, and whether there is one.
func (c Configuration) Server(id ID) (Server, bool) {
	i, ok := c.search(id)
	if !ok {
		return Server{}, false
	}
	return c.Servers[i], true
}

// HasVoter tells whether id is a voter.
func (c Configuration) HasVoter(id ID) bool {
	s, ok := c.Server(id)
	return ok && s.Suffrage == Voter
}

// Voters returns the number of voters.
func (c Configuration) Voters() int {
	count := 0
	for i := range c.Servers {
		if c.Servers[i].Suffrage == Voter {
			count++
		}
	}
	return count
}

// Validate reports every problem of the configuration, joined. The empty configuration, that of
// a server nobody has told anything yet, has no voter and is not valid.
func (c Configuration) Validate() error {
	var problems []error
	for i, s := range c.Servers {
		if s.ID == "" {
			problems = append(problems, fmt.Errorf("raft: server %d has no ID", i))
		}
		if s.Suffrage != Voter && s.Suffrage != Nonvoter {
			problems = append(problems, fmt.Errorf("raft: server %q has unknown suffrage %d", s.ID, s.Suffrage))
		}
		if i > 0 && c.Servers[i-1].ID >= s.ID {
			problems = append(problems, fmt.Errorf("raft: servers %q and %q are not in ascending order", c.Servers[i-1].ID, s.ID))
		}
	}
	if c.Voters() == 0 {
		problems = append(problems, ErrNoVoters)
	}
	return errors.Join(problems...)
}

// With returns the configuration after the change; the receiver stays as it is. Errors:
// ErrNoChange, ErrUnknownServer, ErrNoVoters, ErrBadChange.
func (c Configuration) With(ch Change) (Configuration, error) {
	i, member := c.search(ch.Server.ID)
	next := Configuration{Servers: slices.Clone(c.Servers)}
	put := func(s Server) {
		if member {
			next.Servers[i] = s
			return
		}
		next.Servers = slices.Insert(next.Servers, i, s)
	}
	switch ch.Type {
	case AddNonvoter, AddVoter:
		s := Server{ID: ch.Server.ID, Address: ch.Server.Address, Suffrage: Nonvoter}
		// Adding an existing voter as nonvoter updates its address and takes nothing away.
		if ch.Type == AddVoter || member && c.Servers[i].Suffrage == Voter {
			s.Suffrage = Voter
		}
		put(s)
	case DemoteVoter, RemoveServer:
		if !member {
			return Configuration{}, fmt.Errorf("%w: %q", ErrUnknownServer, ch.Server.ID)
		}
		if ch.Type == RemoveServer {
			next.Servers = slices.Delete(next.Servers, i, i+1)
		} else {
			next.Servers[i].Suffrage = Nonvoter
		}
	default:
		return Configuration{}, fmt.Errorf("%w: unknown type %d", ErrBadChange, ch.Type)
	}
	if ch.Server.ID == "" {
		return Configuration{}, fmt.Errorf("%w: no server ID", ErrBadChange)
	}
	if next.Voters() == 0 {
		return Configuration{}, ErrNoVoters
	}
	if slices.Equal(next.Servers, c.Servers) {
		return Configuration{}, ErrNoChange
	}
	return next, nil
}

// String returns the members as "a(voter) b(nonvoter)".
func (c Configuration) String() string {
	var b strings.Builder
	for i, s := range c.Servers {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%s(%v)", s.ID, s.Suffrage)
	}
	return b.String()
}

func (c Configuration) search(id ID) (int, bool) {
	return sort.Find(len(c.Servers), func(i int) int { return strings.Compare(string(id), string(c.Servers[i].ID)) })
}

// Bootstrap returns what the disks of every server of a new cluster must hold before its
// first start: term 1, and cfg as the entry with index 1. The driver writes HardState and
// Entries durably and passes the result to New. All servers that are bootstrapped with the
// same configuration get identical logs, so any number of them may be.
func Bootstrap(cfg Configuration) (InitialState, error) {
	if err := cfg.Validate(); err != nil {
		return InitialState{}, fmt.Errorf("bootstrap: %w", err)
	}
	return InitialState{
		HardState:  HardState{Term: 1},
		Entries:    []Entry{{Term: 1, Index: 1, Type: EntryConfig, Config: &cfg}},
		FirstIndex: 1,
	}, nil
}

// configAt is a configuration with the index of the entry it came with.
type configAt struct {
	index  uint64
	config Configuration
}

// configs is the history of configurations, oldest first, as far back as an entry may
// still be truncated. The last one is in force: a server uses the latest
// configuration in its log, whether committed or not (thesis section 4.1).
type configs []configAt

func (c configs) current() *configAt { return &c[len(c)-1] }

// hasVoter tells whether id is, or was until a change that may still be undone, a voter. A server
// that is not in its latest configuration still campaigns until that is committed: the
// others may need the log that only it has (thesis section 4.2.2).
func (c configs) hasVoter(id ID) bool {
	for i := range c {
		if c[i].config.HasVoter(id) {
			return true
		}
	}
	return false
}

// add takes note of the configurations among entries just appended, and tells
// whether there were any.
func (c *configs) add(entries []Entry) bool {
	before := len(*c)
	for i := range entries {
		if entries[i].Type == EntryConfig {
			*c = append(*c, configAt{entries[i].Index, *entries[i].Config})
		}
	}
	return len(*c) > before
}

// truncate forgets the configurations from index on.
func (c *configs) truncate(index uint64) {
	for len(*c) > 1 && c.current().index >= index {
		*c = (*c)[:len(*c)-1]
	}
}

// committed forgets the configurations that a committed one has replaced for good.
func (c *configs) committed(index uint64) {
	for len(*c) > 1 && (*c)[1].index <= index {
		*c = (*c)[1:]
	}
}

func (c configs) checkInvariants(committed uint64) {
	for i := 1; i < len(c); i++ {
		if c[i-1].index >= c[i].index {
			broken("configuration of %d follows that of %d", c[i].index, c[i-1].index)
		}
	}
	if len(c) > 1 && c[1].index <= committed {
		broken("configuration of %d kept, though that of %d is committed", c[0].index, c[1].index)
	}
}
