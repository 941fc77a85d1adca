package sim

import (
	"fmt"

	"concord/node"
	"concord/raft"
	"concord/sim/invariants"
)

// checkers tells the invariants what happens.
type checkers struct {
	w            *World
	election     invariants.ElectionSafety
	matching     invariants.LogMatching
	appendOnly   invariants.LeaderAppendOnly
	completeness invariants.LeaderCompleteness
	machine      invariants.StateMachineSafety
	outcome      invariants.SameOutcome
	durability   invariants.Durability
	placed       map[string]uint64  // index of the entry that wrote a value
	config       raft.Configuration // as of the last look at servers that run
}

func (c *checkers) verify(name string, err error) {
	if err != nil {
		c.w.fail(name, "%v", err)
	}
}

func (c *checkers) elected(h *Host, st raft.Status) {
	c.w.note("elected", uint64(h.index), st.Term)
	c.verify("election safety", c.election.Elected(st.ID, st.Term))
	m := &h.disk.issued
	c.verify("leader completeness", c.completeness.Elected(st.ID, st.Term, m.first, m.term))
}

// written is told before the entries are issued to the disk.
func (c *checkers) written(h *Host, entries []raft.Entry) {
	st, _ := h.node.RaftStatus()
	first, last := entries[0].Index, entries[len(entries)-1].Index
	term := uint64(0)
	if st.Role == raft.Leader && entries[0].Term == st.Term {
		term = st.Term
	}
	c.verify("leader append-only", c.appendOnly.Written(st.ID, term, first, last))
	prev, known := h.disk.issued.term(first - 1)
	for i := range entries {
		e := &entries[i]
		if known {
			c.verify("log matching", c.matching.Written(st.ID, prev, e))
		}
		prev, known = e.Term, true
		c.w.note("entry", uint64(h.index), e.Index, e.Term)
	}
}

func (c *checkers) committed(h *Host, e *raft.Entry) {
	c.completeness.Committed(e.Index, e.Term)
	c.verify("state machine safety", c.machine.Applied(raft.ID(h.id), e))
	if v, ok := writtenValue(e); ok {
		c.placed[v] = e.Index
	}
}

func (c *checkers) applied(h *Host, d node.ApplyDone) {
	for i := range d.Task.Entries {
		c.verify("same outcome", c.outcome.Applied(h.name, d.Task.Entries[i].Index, fmt.Sprint(d.Outcome.Results[i])))
	}
}

func (c *checkers) crashed(h *Host) {}

// acknowledged checks that the write at an index is on the disks of a majority of the voters.
func (c *checkers) acknowledged(index uint64) {
	config := c.newestConfig()
	onDisk, voters := 0, 0
	for _, v := range config.Servers {
		if v.Suffrage != raft.Voter {
			continue
		}
		voters++
		for _, h := range c.w.hosts {
			if h.id == string(v.ID) && h.disk.synced.last() >= index {
				onDisk++
			}
		}
	}
	c.verify("durability", c.durability.Acknowledged(index, onDisk, voters))
}

// newestConfig is the configuration of the leader of the highest term or, while nobody leads, the newest that
// any server has.
func (c *checkers) newestConfig() raft.Configuration {
	var best raft.Status
	for _, h := range c.w.hosts {
		if !h.server || h.node == nil {
			continue
		}
		st, _ := h.node.RaftStatus()
		leads, led := st.Role == raft.Leader, best.Role == raft.Leader
		if leads && (!led || st.Term > best.Term) || !leads && !led && st.ConfigIndex >= best.ConfigIndex {
			best = st
		}
	}
	if best.ID != "" {
		c.config = best.Config
	}
	return c.config
}
