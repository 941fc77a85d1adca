package rafttest

import (
	"fmt"
	"strings"

	"concord/raft"
)

// Describe returns a message in a line: what its type uses, and no more.
func Describe(m *raft.Message) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s->%s %v term=%d", m.From, m.To, m.Type, m.Term)
	put := func(format string, args ...any) { fmt.Fprintf(&b, " "+format, args...) }
	switch m.Type {
	case raft.MsgPreVote, raft.MsgVote:
		put("last=%d/%d", m.LastIndex, m.LastTerm)
	case raft.MsgAppend:
		put("prev=%d/%d commit=%d", m.PrevIndex, m.PrevTerm, m.Commit)
		if k := len(m.Entries); k > 0 {
			put("entries=%s", describeEntries(m.Entries))
		}
	case raft.MsgAppendReply:
		if m.Reject {
			put("prev=%d hint=%d/%d", m.PrevIndex, m.HintIndex, m.HintTerm)
		} else {
			put("match=%d", m.Match)
		}
	case raft.MsgSnapshot:
		put("snapshot=%d/%d cursor=%q next=%q", m.Snapshot.Index, m.Snapshot.Term, m.Cursor, m.Next)
	case raft.MsgSnapshotReply:
		put("snapshot=%d/%d next=%q match=%d", m.Snapshot.Index, m.Snapshot.Term, m.Next, m.Match)
	case raft.MsgReadIndex:
		put("id=%d", m.ReadID)
	case raft.MsgReadIndexReply:
		put("id=%d index=%d", m.ReadID, m.Index)
	}
	if m.Round > 0 {
		put("round=%d", m.Round)
	}
	for _, flag := range []struct {
		on   bool
		name string
	}{{m.Transfer, "transfer"}, {m.Done, "done"}, {m.Reject, "reject"}} {
		if flag.on {
			put("%s", flag.name)
		}
	}
	return b.String()
}

// describeEntries returns "2..4/1,5/2": indexes by term.
func describeEntries(entries []raft.Entry) string {
	var parts []string
	for i := 0; i < len(entries); {
		j := i
		for j+1 < len(entries) && entries[j+1].Term == entries[i].Term {
			j++
		}
		if i == j {
			parts = append(parts, fmt.Sprintf("%d/%d", entries[i].Index, entries[i].Term))
		} else {
			parts = append(parts, fmt.Sprintf("%d..%d/%d", entries[i].Index, entries[j].Index, entries[i].Term))
		}
		i = j + 1
	}
	return strings.Join(parts, ",")
}

func describeWrite(rd *raft.Ready) string {
	var b strings.Builder
	if rd.HardState != nil {
		fmt.Fprintf(&b, " term=%d vote=%s", rd.HardState.Term, orNone(rd.HardState.VotedFor))
	}
	if len(rd.Entries) > 0 {
		fmt.Fprintf(&b, " entries=%s", describeEntries(rd.Entries))
	}
	return b.String()
}

func orNone(id raft.ID) string {
	if id == "" {
		return "none"
	}
	return string(id)
}

func orNothing(err error) string {
	if err == nil {
		return ""
	}
	return " error=" + err.Error()
}
