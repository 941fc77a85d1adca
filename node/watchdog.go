package node

import "time"

// watchdog notices a leader whose disk has stopped: nothing but its own writes would tell, since heartbeats
// do not wait for them.
type watchdog struct {
	at    time.Duration // when to look next
	tried time.Duration // when leadership was last offered to another
	told  bool
}

// stallTimeout is how long a write to the Raft log may take before a leader hands over: an election timeout, which
// is also what a new leader costs.
func (s *server) stallTimeout() time.Duration { return s.n.cfg.Raft.ElectionTimeout }

// watchDisk is called when a write begins or ends.
func (s *server) watchDisk() {
	w := &s.watchdog
	if len(s.log.queue) == 0 {
		if w.told {
			s.n.log(Info, "raft", "the disk of the raft log answers again")
		}
		*w = watchdog{at: never}
		return
	}
	if w.at == never {
		w.at = s.log.queue[0].begun + s.stallTimeout()
	}
}

// watchdogTick looks at the oldest write. While it is stuck, a leader offers its place to another voter, again and
// again: followers replicate and commit without this disk.
func (s *server) watchdogTick() {
	w := &s.watchdog
	if w.at > s.n.now {
		return
	}
	age := s.n.now - s.log.queue[0].begun
	if age < s.stallTimeout() {
		w.at = s.log.queue[0].begun + s.stallTimeout()
		return
	}
	w.at = s.n.now + s.stallTimeout()
	if !w.told {
		w.told = true
		s.n.log(Error, "raft", "a write to the raft log has not ended: is the disk stuck?", "for", age, "leader", s.leads())
	}
	if s.leads() && s.config.Voters() > 1 && s.n.now-w.tried >= 2*s.stallTimeout() {
		w.tried = s.n.now
		if err := s.raft.TransferLeadership(s.n.now, ""); err == nil {
			s.n.log(Warn, "raft", "handing over leadership because of the stuck disk")
		}
	}
}
