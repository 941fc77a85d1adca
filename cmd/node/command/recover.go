package command

import (
	"errors"
	"flag"
	"fmt"
	"strconv"
	"strings"

	"concord/node/recovery"
	"concord/raft"
)

var recoverVerbs = []verb{{
	name: "operator raft recover", usage: "-data-dir=<path> [options]", offline: true,
	synopsis: "Recovers a stopped server from the loss of the quorum",
	about: "Changes who the servers are on the disk of a server that does not run, when a majority of them is lost\n" +
		"  for good. Without -peer it becomes the only voter; the others are removed and can join anew. To keep several\n" +
		"  servers, run it on each of them with the same -peer flags. The lost servers must not come back.\n\n" +
		"  Look first:\n\n      $ node operator raft recover -data-dir=/var/lib/concord -dry-run\n\n  Keep one server:",
	example: "operator raft recover -data-dir=/var/lib/concord\n\n  Keep two:\n\n      $ node operator raft recover -data-dir=/var/lib/concord " +
		"\\\n          -peer=adf4238a-882b-9ddc-4a9d-5b6758e4159e=10.1.0.1:8300 \\\n          -peer=8b6dda82-3103-11e7-93ae-92361f002671=10.1.0.2:8300",
	setup: recoverRaft,
}}

func recoverRaft(fs *flag.FlagSet) func(*call) error {
	dir := fs.String("data-dir", "", "Data directory of the server, which must not run.")
	dry := fs.Bool("dry-run", false, "Show what is there and what would be done, and do nothing.")
	var peers list
	fs.Var(&peers, "peer", "A voter that shall be part of the cluster, as <node ID>=<ip>:<server port>; may be given more than once.")
	return func(c *call) error {
		if *dir == "" || len(c.args) > 0 {
			return badUsage("the data directory must be given with -data-dir, and nothing but flags")
		}
		var servers []raft.Server
		for _, p := range peers {
			id, addr, ok := strings.Cut(p, "=")
			if !ok {
				return badUsage("-peer: %q is not of the form <node ID>=<ip>:<server port>", p)
			}
			servers = append(servers, raft.Server{ID: raft.ID(id), Address: addr, Suffrage: raft.Voter})
		}
		s, err := recovery.Open(*dir)
		if err != nil {
			return fmt.Errorf("Error opening the data directory: %w", err)
		}
		return errors.Join(c.recover(s, servers, *dry), s.Close())
	}
}

// recover shows what is there and what becomes of it, and does it unless dry.
func (c *call) recover(s *recovery.Server, servers []raft.Server, dry bool) error {
	f := s.Found()
	vote, log := string(f.VotedFor), "empty"
	if vote == "" {
		vote = "nobody"
	}
	if f.Last >= f.First {
		log = fmt.Sprintf("entries %d to %d", f.First, f.Last)
	}
	c.ui.Output(fmt.Sprintf("Node ID:        %s\nTerm:           %d\nVoted for:      %s\nLog:            %s\nApplied index:  %d\n\nConfiguration of entry %d:",
		s.ID, f.Term, vote, log, f.Applied, f.ConfigIndex))
	c.configuration(f.Config)
	config, err := s.Plan(servers)
	if err != nil {
		return err
	}
	c.ui.Output("\nNew configuration:")
	c.configuration(config)
	if dry {
		c.ui.Output("\nNothing was changed (-dry-run).")
		return nil
	}
	if err := s.Replace(config); err != nil {
		return fmt.Errorf("Error replacing the configuration: %w: it is safe to try again", err)
	}
	c.ui.Output("\nThe server now has the new configuration. Do the same on the others that are part of it, then start them.")
	return nil
}

func (c *call) configuration(config raft.Configuration) {
	rows := [][]string{{"ID", "Address", "Voter"}}
	for _, s := range config.Servers {
		rows = append(rows, []string{string(s.ID), s.Address, strconv.FormatBool(s.Suffrage == raft.Voter)})
	}
	c.table(rows)
}
