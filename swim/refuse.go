package swim

import (
	"maps"
	"time"
)

// refuses tells whether a claim is about somebody who cannot be in this pool. Only who tells its tags can be judged; a member is never
// met for the first time without them, unless it failed.
func (n *Node) refuses(u *Update) bool {
	if n.cfg.Refuse == nil || !tellsTags(u) {
		return false
	}
	err := n.cfg.Refuse(u)
	if err == nil {
		return false
	}
	n.stats.StrangersRefused++
	if n.mayReport(u.Name) {
		n.notice(Warn, u.Name, "%v; it is not let in", err)
	}
	return true
}

// mayReport tells whether something about a name, which strangers can bring about as often as they like and for as many names,
// may be reported: once every conflictEvery, and for maxConflicts names in that time beside this member's own.
func (n *Node) mayReport(name string) bool {
	last, known := n.conflicts[name]
	if known && n.now-last < conflictEvery {
		return false
	}
	if !known && len(n.conflicts) >= maxConflicts {
		maps.DeleteFunc(n.conflicts, func(_ string, at time.Duration) bool { return n.now-at >= conflictEvery })
		if len(n.conflicts) >= maxConflicts && name != n.cfg.Name {
			return false
		}
	}
	n.conflicts[name] = n.now
	return true
}

// foreign tells why a full state is not one of this pool, judged by whom it is of; nil if it may be one.
func (n *Node) foreign(m *Message) error {
	for _, u := range m.Members {
		if u.Name == m.From && n.refuses(u) {
			return n.cfg.Refuse(u)
		}
	}
	return nil
}

// onForeign answers who cannot be in this pool with no more than who this member is, so that a join ends on both sides with the reason, and
// nothing of one pool gets into the other.
func (n *Node) onForeign(p *Packet, why error) {
	m := &p.Message
	switch m.Type {
	case MsgPushPull:
		n.sendStream(p.Addr, Message{Type: MsgPushPullReply, Seq: m.Seq, From: n.cfg.Name, Join: m.Join, Members: []*Update{n.self.claim}}, nil)
	case MsgPushPullReply:
		n.joined(m.Seq, why)
	}
}
