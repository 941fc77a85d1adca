package sim

import (
	"errors"
	"time"

	"concord/swim"
)

// Detection runs n client agents, kills one, and tells how long after that the first of the others, and all of
// them, took it for failed, in virtual time.
func Detection(seed uint64, n int) (first, all time.Duration, err error) {
	o := Options{Seed: seed, Agents: n}
	o.Faults.Latency, o.Faults.FsyncTime = time.Millisecond, time.Millisecond
	w := newWorld(o, nil)
	defer w.close()
	w.boot()
	w.runUntil(time.Duration(30+seed%7) * time.Second) // the probe that meets the dead one is at any point of its period
	dead := w.hosts[n-1]
	dead.crash("killed")
	killed := w.now
	for w.failure == nil && w.now < killed+5*time.Minute {
		w.runUntil(w.now + 20*time.Millisecond)
		know := 0
		for _, h := range w.hosts[:n-1] {
			if m, ok := h.node.Member(dead.name); ok && m.State == swim.StateDead {
				know++
			}
		}
		if know > 0 && first == 0 {
			first = w.now - killed
		}
		if know == n-1 {
			return first, w.now - killed, nil
		}
	}
	if w.failure != nil {
		return 0, 0, w.failure
	}
	return 0, 0, errors.New("the others never agreed that it failed")
}
