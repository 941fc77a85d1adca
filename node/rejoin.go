package node

import (
	"net/netip"
	"slices"
	"time"
)

// seeds are the addresses that this node was told to join. Gossip brings the parts of a pool together that have known each
// other; parts that never met in this life of their members, for they were all started during a partition, only meet
// because the seeds are asked again.
type seeds struct {
	addrs []netip.AddrPort
	at    time.Duration // of the next try
	next  int
}

const (
	// maxSeeds bounds what is remembered.
	maxSeeds = 256
	// rejoinInterval is how often one of the seeds is looked at that is not known as a member.
	rejoinInterval = 15 * time.Second
)

func (s *seeds) remember(now time.Duration, addrs []netip.AddrPort) {
	for _, a := range addrs {
		if len(s.addrs) < maxSeeds && !slices.Contains(s.addrs, a) {
			s.addrs = append(s.addrs, a)
		}
	}
	if len(s.addrs) > 0 && s.at == never {
		s.at = now + rejoinInterval
	}
}

// rejoinTick asks one seed of a pool that is not a member.
func (n *Node) rejoinTick(p *pool) {
	s := &p.seeds
	if s.at > n.now {
		return
	}
	s.at = n.now + n.rng.Duration(rejoinInterval/2, rejoinInterval*3/2)
	if n.leave.phase != staying {
		s.at = never
		return
	}
	members := map[netip.AddrPort]bool{}
	for _, m := range p.Members() {
		members[m.Addr] = true
	}
	for range s.addrs {
		a := s.addrs[s.next%len(s.addrs)]
		s.next++
		if !members[a] {
			p.Join(n.now, []netip.AddrPort{a})
			return
		}
	}
}
