package sim

import (
	"fmt"

	"concord/node"
	"concord/raft"
	"concord/sim/invariants"
	"concord/swim"
	"concord/wire"
)

// checkers tells the invariants what happens.
type checkers struct {
	encoded      []byte
	w            *World
	election     invariants.ElectionSafety
	votes        invariants.Votes
	matching     invariants.LogMatching
	appendOnly   invariants.LeaderAppendOnly
	completeness invariants.LeaderCompleteness
	machine      invariants.StateMachineSafety
	outcome      invariants.SameOutcome
	quorum       invariants.CommitQuorum
	change       invariants.SingleChange
	told         invariants.Told
	durability   invariants.Durability
	state        invariants.SameState
	membership   invariants.Membership
	wan          invariants.Membership // of the WAN pool
	datacenter   invariants.Datacenter
	coordinates  invariants.Coordinates
	index        invariants.QueryIndex
	keyring      invariants.Keyring
	stranger     invariants.Stranger
	events       invariants.Events
	proposed     raft.Configuration // the last one that a leader appended
	lost         map[raft.ID]mirror // what voters had whose disks are gone
	placed       map[string]uint64  // index of the entry that wrote a value
	termStart    map[uint64]uint64  // index of the first entry of each term
}

func (c *checkers) verify(name string, err error) {
	if err != nil {
		c.w.fail(name, "%v", err)
	}
}

func (c *checkers) elected(h *Host, st raft.Status) {
	c.w.note("elected", uint64(h.index), st.Term)
	h.inherited = st.CommitIndex
	c.verify("election safety", c.election.Elected(st.ID, st.Term))
	m := &h.disk.issued
	c.verify("leader completeness", c.completeness.Elected(st.ID, st.Term, m.first, m.term))
}

// sending is told of every message of Raft.
func (c *checkers) sending(h *Host, payload []byte) {
	t := wire.RaftType(payload)
	if t != raft.MsgVoteReply && t != raft.MsgAppendReply {
		return
	}
	m, err := wire.DecodeRaft(payload)
	switch {
	case err != nil:
		c.w.fail("wire", "%s sends what cannot be decoded: %v", h.name, err)
	case m.Reject:
	case t == raft.MsgVoteReply:
		if _, lost := c.lost[h.raftID()]; lost && h.disk.issued.last() == 0 {
			c.w.fail("told", "%s has lost its log and grants its vote", h.name)
		}
		c.verify("told", c.told.Vote(&m, h.disk.hard))
	default:
		// What is told to the leader of an earlier term, which nobody is any more, is of the log as it was then.
		if _, term := h.node.Role(); term == m.Term {
			c.verify("told", c.told.Match(&m, h.disk.onDisk()))
		}
	}
}

// persisting is told before a task is issued to the disk.
func (c *checkers) persisting(h *Host, t *node.PersistTask) {
	if t.Reset != nil {
		c.w.cover("snapshot installed")
	}
	if t.Compact != nil {
		c.w.cover("log compacted")
	}
	if len(t.Entries) > 0 {
		c.writing(h, t.Entries)
	}
}

func (c *checkers) writing(h *Host, entries []raft.Entry) {
	st, _ := h.node.RaftStatus()
	first, last := entries[0].Index, entries[len(entries)-1].Index
	term := uint64(0)
	if st.Role == raft.Leader && entries[0].Term == st.Term {
		term = st.Term
	}
	c.verify("leader append-only", c.appendOnly.Written(st.ID, term, first, last))
	if first <= h.disk.issued.last() {
		c.w.cover("log truncated")
	}
	prev, known := h.disk.issued.term(first - 1)
	for i := range entries {
		e := &entries[i]
		if known {
			c.verify("log matching", c.matching.Written(st.ID, prev, e))
		}
		if term != 0 && e.Type == raft.EntryNoop && c.termStart[term] == 0 {
			c.termStart[term] = e.Index
		}
		if term != 0 && e.Type == raft.EntryConfig {
			c.proposed = *e.Config
			c.w.cover("membership change proposed")
			c.verify("membership change", c.change.Appended(st.ID, e.Index, st.CommitIndex, c.termStart[term], h.disk.lastConfig()))
		}
		prev, known = e.Term, true
		c.w.note("entry", uint64(h.index), e.Index, e.Term)
	}
}

// committed is told of entries that a server is about to apply.
func (c *checkers) committed(h *Host, entries []raft.Entry) {
	for i := range entries {
		c.committedOne(h, &entries[i])
	}
	if last := entries[len(entries)-1]; h.role.role == raft.Leader {
		st, _ := h.node.RaftStatus()
		if t, ok := h.disk.issued.term(st.CommitIndex); ok && st.Role == raft.Leader && st.CommitIndex > h.inherited {
			c.verify("commit quorum", c.quorum.OwnTerm(h.name, st.CommitIndex, t, st.Term))
		}
		onDisk, voters := c.onDisk(st.Config, last.Index, last.Term)
		c.verify("commit quorum", c.quorum.Committed(h.name, last.Index, onDisk, voters))
	}
}

func (c *checkers) committedOne(h *Host, e *raft.Entry) {
	c.completeness.Committed(e.Index, e.Term)
	c.verify("state machine safety", c.machine.Applied(h.raftID(), e))
	if e.Type == raft.EntryConfig {
		c.verify("membership change", c.change.Committed(e.Index, *e.Config))
		for id := range c.lost {
			if !e.Config.HasVoter(id) {
				delete(c.lost, id) // from now on it has to begin anew
			}
		}
	}
	if v, ok := writtenValue(e); ok {
		c.placed[v] = e.Index
		c.verify("datacenter", c.datacenter.Written(c.w.Datacenter, c.w.datacenterOf(v)))
	}
}

// onDisk counts the voters of a configuration, and those that have an entry on their disk. One whose disk was taken
// away after it had acknowledged the entry counts: such disks are only taken as long as the others can do without
// (World.expendable).
func (c *checkers) onDisk(config raft.Configuration, index, term uint64) (onDisk, voters int) {
	for _, v := range config.Servers {
		if v.Suffrage != raft.Voter {
			continue
		}
		voters++
		h := c.w.server(v.ID)
		if lost, ok := c.lost[v.ID]; h != nil && h.disk.synced.has(index, term) || ok && lost.has(index, term) {
			onDisk++
		}
	}
	return onDisk, voters
}

// loses is told before a server's disk is taken away.
func (c *checkers) loses(h *Host) {
	c.votes.Wiped(h.raftID())
	c.lost[h.raftID()] = h.disk.synced.clone()
}

func (c *checkers) applied(h *Host, d node.ApplyDone) {
	for i := range d.Task.Entries {
		c.encoded = wire.AppendResponse(c.encoded[:0], &wire.Response{Result: &d.Outcome.Results[i]})
		c.verify("same outcome", c.outcome.Applied(h.name, d.Task.Entries[i].Index, string(c.encoded)))
	}
}

// acknowledged checks that the write at an index is on the disks of a majority of the voters: of those of the last
// configuration known to be committed, or of one that a leader has appended since.
func (c *checkers) acknowledged(index uint64) {
	term := c.completeness.Term(index)
	onDisk, voters := c.onDisk(c.change.Newest(), index, term)
	if leader := c.w.leader(); leader != nil && onDisk <= voters/2 {
		st, _ := leader.node.RaftStatus()
		onDisk, voters = c.onDisk(st.Config, index, term)
	}
	if onDisk <= voters/2 {
		// Who acknowledged it may have crashed since, with a change of the membership that nobody else knows of yet.
		onDisk, voters = c.onDisk(c.proposed, index, term)
	}
	c.verify("durability", c.durability.Acknowledged(index, onDisk, voters))
}

// inForce checks that a server uses the newest configuration in its log, unless its log is just being replaced.
func (c *checkers) inForce(h *Host) {
	st, server := h.node.RaftStatus()
	if server && st.LastIndex == h.disk.issued.last() && len(h.disk.issued.configs) > 0 {
		c.verify("membership change", c.change.InForce(st.ID, st.ConfigIndex, h.disk.lastConfig()))
	}
}

// beliefs looks, now and then, at what everybody believes of everybody.
func (c *checkers) beliefs() {
	for _, h := range c.w.hosts {
		if h.node == nil {
			continue
		}
		c.inForce(h)
		viewer := fmt.Sprintf("%s (life %d)", h.name, h.epoch)
		if place, on := h.node.Coordinate(); on {
			c.verify("coordinates", c.coordinates.At(viewer, place, h.node.GossipStats().Samples))
		}
		for _, m := range h.node.Members() {
			c.verify("membership", c.membership.Seen(viewer, m))
			c.verify("stranger", c.stranger.Seen(viewer, m))
			c.verify("datacenter", c.datacenter.Member(viewer, c.w.Datacenter, m))
			if m.State == swim.StateDead {
				c.w.cover("member failed")
			}
		}
	}
	c.wanBeliefs()
	c.w.after(500*ms, "beliefs", -1, c.beliefs)
}
