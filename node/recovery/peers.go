// Package recovery gives a server another membership configuration when a majority of its cluster is lost for good:
// by Consul's raft/peers.json at start, or offline by `operator raft recover`.
package recovery

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"concord/node/runner"
	"concord/raft"
)

// ErrPeers says that a peers.json is not usable. It is left where it is.
var ErrPeers = errors.New("recovery failed to parse peers.json")

// ErrServers says that a server cannot start with the servers given.
var ErrServers = errors.New("recovery: unusable servers")

// peer is an element of peers.json in the form that Consul has for Raft protocol 3
// (https://developer.hashicorp.com/consul/tutorials/datacenter-operations/recovery-outage).
type peer struct {
	ID       string `json:"id"`
	Address  string `json:"address"`
	NonVoter bool   `json:"non_voter"`
}

// Files are peers.json and peers.info in the folder "raft" of a data directory, where Consul has them.
type Files struct{ dir string }

// FilesIn are the files of a data directory.
func FilesIn(dataDir string) Files { return Files{filepath.Join(dataDir, "raft")} }

// PeersFile is the path of peers.json.
func (f Files) PeersFile() string { return filepath.Join(f.dir, "peers.json") }

// Read returns the configuration that peers.json asks the server to have, nil if there is no such file.
func (f Files) Read(self raft.ID) (*raft.Configuration, error) {
	text, err := os.ReadFile(f.PeersFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("recovery: %w", err)
	}
	c, err := ParsePeers(text, self)
	if err != nil {
		return nil, fmt.Errorf("%w: correct %s, or remove it to start without a recovery", err, f.PeersFile())
	}
	return &c, nil
}

// Done removes peers.json, durably: a recovery that was carried out must not happen again when the cluster has gone on.
func (f Files) Done() error {
	if err := os.Remove(f.PeersFile()); err != nil {
		return err
	}
	return runner.SyncDir(f.dir)
}

// Explain writes peers.info, unless it is there: it tells an operator who looks for help what peers.json is.
func (f Files) Explain() error {
	path := filepath.Join(f.dir, "peers.info")
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(f.dir, 0o755); err != nil {
		return fmt.Errorf("recovery: %w", err)
	}
	return runner.WriteFile(path, []byte(info), 0o644)
}

// ParsePeers reads a peers.json for the server self, and reports every problem of it at once.
func ParsePeers(text []byte, self raft.ID) (raft.Configuration, error) {
	var peers []peer
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&peers); err != nil {
		return raft.Configuration{}, fmt.Errorf(`%w: %w (it must be a list of {"id": "<node ID>", "address": "<ip>:<server port>", "non_voter": false})`, ErrPeers, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return raft.Configuration{}, fmt.Errorf("%w: something follows the list", ErrPeers)
	}
	servers := make([]raft.Server, len(peers))
	for i, p := range peers {
		servers[i] = raft.Server{ID: raft.ID(p.ID), Address: p.Address, Suffrage: raft.Voter}
		if p.NonVoter {
			servers[i].Suffrage = raft.Nonvoter
		}
	}
	c, err := NewConfiguration(servers, self)
	if err != nil {
		return c, fmt.Errorf("%w: %w", ErrPeers, err)
	}
	return c, nil
}

// NewConfiguration makes a configuration of servers in any order, and reports every reason why the server self cannot
// start with it, as an ErrServers.
func NewConfiguration(servers []raft.Server, self raft.ID) (raft.Configuration, error) {
	var problems []error
	bad := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("%w: "+format, append([]any{ErrPeers}, args...)...))
	}
	ids, addrs := map[raft.ID]bool{}, map[string]bool{}
	for i, s := range servers {
		switch {
		case s.ID == "":
			bad("server %d has no id", i+1)
		case ids[s.ID]:
			bad("the id %s is there twice", s.ID)
		}
		switch host, port, err := net.SplitHostPort(s.Address); {
		case err != nil || host == "" || port == "":
			bad("the address %q of server %d is not <ip>:<server port>", s.Address, i+1)
		case addrs[s.Address]:
			bad("the address %s is there twice", s.Address)
		}
		ids[s.ID], addrs[s.Address] = true, true
	}
	c := raft.Configuration{Servers: slices.Clone(servers)}
	slices.SortFunc(c.Servers, func(a, b raft.Server) int { return strings.Compare(string(a.ID), string(b.ID)) })
	if c.Voters() == 0 {
		bad("there is no voter, so nobody could lead")
	}
	if len(servers) > 0 && !ids[self] {
		bad("this server's own id %s is missing", self)
	}
	if len(problems) > 0 {
		return c, fmt.Errorf("%w: %w", ErrServers, errors.Join(problems...))
	}
	return c, nil
}

const info = `When a majority of the servers is lost for good, nobody can be elected, and nobody can change who the
servers are. A file peers.json in this folder does: a server that finds it at its start takes the servers named
in it for the members of the cluster, whatever its log says, and then removes the file. At all other times there is
no such file, and none is needed.

To recover:

 1. Stop all servers that are left. Make sure that those which are not named in the file are gone and stay
    away: if they come back with what they know, there may be two clusters.
 2. Write the same peers.json on each server that is left, for instance

      [
        {"id": "adf4238a-882b-9ddc-4a9d-5b6758e4159e", "address": "10.1.0.1:8300", "non_voter": false},
        {"id": "8b6dda82-3103-11e7-93ae-92361f002671", "address": "10.1.0.2:8300", "non_voter": false}
      ]

    "id" is what the file node-id in the data directory says, "address" is the IP and server port, and a
    server with "non_voter" true has no vote (false if it is left out).
 3. Start them. They elect a leader. What was not yet acknowledged when the majority was lost may be kept.

The same can be done with 'operator raft recover -data-dir=...' while the server is stopped; with -dry-run it only
shows what is there and what it would do.
`
