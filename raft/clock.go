package raft

import "time"

// ClockJumped tells that the driver's clock can't have shown how much time has passed since the last inputs. A leader's lease
// begins anew, with answers to what it sends from now on; a follower's promise to its leader does, too, since nobody
// knows how much of it is left (thesis section 6.4.1 rests on bounded drift).
func (n *Node) ClockJumped(now time.Duration) {
	n.advance(now)
	if n.lead != nil {
		n.lead.leaseAfter = n.now
	}
	if n.promise.made && n.role != Leader {
		n.promise.until = max(n.promise.until, n.now+n.cfg.LeaseTimeout)
		n.timers.Set(timerElection, max(n.timers.At(timerElection), n.promise.until))
	}
	n.checkInvariants()
}
