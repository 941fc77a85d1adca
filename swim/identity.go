package swim

import (
	"fmt"
	"net/netip"
)

// SameIDError is in a JoinResult when a live member of another name has this member's ID: the data directory was
// copied, or the node was renamed and its former name has not failed yet. The text is Consul's.
type SameIDError struct{ Name, ID string }

// Error names the member.
func (e *SameIDError) Error() string {
	return fmt.Sprintf("Member '%s' has conflicting node ID '%s' with this agent's ID: "+
		"if this agent's data directory is a copy, remove it; if it was renamed, wait until the former name has failed", e.Name, e.ID)
}

func isLive(u *Update) bool { return u.State == StateAlive || u.State == StateSuspect }

// sameID tells whether two live claims are those of different nodes with one ID.
func sameID(a, b *Update) bool {
	return a.ID != "" && a.ID == b.ID && a.Name != b.Name && isLive(a) && isLive(b)
}

// twinIn finds in another's full state a live member with this one's ID.
func (n *Node) twinIn(state []*Update) *SameIDError {
	for _, u := range state {
		if sameID(u, n.self.claim) {
			return &SameIDError{Name: u.Name, ID: u.ID}
		}
	}
	return nil
}

// admits tells whether who asks to join may be learned of: not while another live member has its ID. Both would be
// one server to Raft, with two logs and two votes.
func (n *Node) admits(m *Message) bool {
	for _, u := range m.Members {
		if !m.Join || u.Name != m.From {
			continue
		}
		if twin := n.twinOf(u); twin != "" {
			if !n.mayReport(u.Name) {
				return false
			}
			n.notice(Error, u.Name, "Member '%s' has conflicting node ID '%s' with member '%s'; it is not let in", u.Name, u.ID, twin)
			return false
		}
	}
	return true
}

// twinOf is the name of the live member that has the same ID, empty if there is none.
func (n *Node) twinOf(u *Update) string {
	if sameID(u, n.self.claim) {
		return n.cfg.Name
	}
	for i := range n.table.lists[live] {
		m := n.table.at(i, live)
		if sameID(u, m.claim) {
			return m.claim.Name
		}
	}
	return ""
}

// challenge asks a live node of this member's name whether it is there at all. It may be this member's former self, whose
// process ended a moment ago and whose data is gone: the pool believes in it until it has failed, which takes a while.
func (n *Node) challenge(rival *Update) {
	if n.leaving() {
		return
	}
	n.rival = rival
	n.seq++
	n.sendStream(rival.Addr, Message{Type: MsgPing, Seq: n.seq, Target: n.cfg.Name, From: n.cfg.Name}, nil)
}

// takeOver takes this member's name over from the rival at the address, where no process listens.
func (n *Node) takeOver(addr netip.AddrPort) {
	rival := n.rival
	if rival == nil || rival.Addr != addr || n.leaving() || rival.Incarnation >= maxIncarnation {
		return
	}
	n.rival = nil
	n.raise(rival.Incarnation, StateAlive)
	n.notice(Info, n.cfg.Name, "nobody listens at %v any more: the name %s is this member's alone", addr, n.cfg.Name)
}
