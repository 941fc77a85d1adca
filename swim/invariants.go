package swim

import "concord/internal/invariant"

// check asserts what must hold after every input. It costs nothing to speak of, memory included.
func (n *Node) check() {
	own := n.self.claim
	if own.Incarnation < n.believed {
		invariant.Check(false, "own incarnation fell from %d to %d", n.believed, own.Incarnation)
	}
	n.believed = own.Incarnation
	invariant.Check(isLive(own) || own.State == StateLeft, "this member believes that it has failed")
	living := len(n.table.lists[live])
	absent := len(n.table.lists[recent]) + len(n.table.lists[gone])
	total := n.table.len()
	atMost(living+absent, total, "members in lists, beside those by name")
	atMost(total, living+absent, "members by name, beside those in lists")
	atMost(total, n.cfg.MaxMembers-1, "other members")
	atMost(n.failed, absent, "failed members, of those that are gone")
	atMost(absent, len(n.watch), "members that are gone, beside the watches")
	atMost(len(n.watch), total, "watches")
	atMost(n.queue.len(), total+1, "updates queued")
	atMost(len(n.exiles), maxExiles, "exiles")
	atMost(len(n.relays), maxRelays, "relays")
	atMost(len(n.joins), maxJoins, "joins")
	atMost(len(n.conflicts), maxConflicts+1, "names reported")
	n.checkCasts()
	if invariant.Expensive {
		n.checkMembers()
	}
}

// checkCasts asserts the bounds of what is remembered of events and queries.
func (n *Node) checkCasts() {
	e, q := &n.events, &n.queries
	atMost(n.casts.len(), maxCasts, "events and queries to be told")
	atMost(len(e.held), maxHeld, "events held")
	atMost(len(q.asks), maxAsks, "queries asked")
	atMost(len(q.questions), maxQuestions, "queries to answer")
	atMost(e.recent.total, crowd*n.cfg.EventBuffer, "events remembered")
	atMost(q.recent.total, crowd*n.cfg.QueryBuffer, "queries remembered")
}

// atMost asserts that a number is within its bounds.
func atMost(number, most int, what string) {
	if number < 0 || number > most {
		invariant.Check(false, "%s: %d, at most %d are allowed", what, number, most)
	}
}

// checkDeath asserts that only a suspect whose timeout has passed is declared dead here.
func (n *Node) checkDeath(m *member) {
	invariant.Check(m.claim.State == StateSuspect, "%s becomes dead from %s", m.claim.Name, m.claim.State)
	s := &m.watch.suspicion
	invariant.Check(n.now >= s.start+s.min, "suspicion of %s ends %v early", m.claim.Name, s.start+s.min-n.now)
}

// checkMembers asserts that each member is where its state says.
func (n *Node) checkMembers() {
	dead, digest := 0, uint64(0)
	for _, sum := range n.buckets(minBuckets) {
		digest ^= sum
	}
	invariant.Check(digest == n.digest, "the digest kept is not that of what is known")
	for id, l := range n.table.lists {
		for i, slot := range l {
			m := n.table.member(slot)
			c := m.claim
			invariant.Check(n.table.get(c.Name) == m, "%s is in a list but not known by name", c.Name)
			invariant.Check(m.pos == int32(i) && m.list == listID(id), "%s is misplaced", c.Name)
			invariant.Check(m.isGone() == (c.State >= StateDead), "%s is %s in list %d", c.Name, c.State, id)
			invariant.Check((m.watch != nil) == (c.State != StateAlive), "%s is %s, with a watch: %t", c.Name, c.State, m.watch != nil)
			invariant.Check(m.told() <= c.Incarnation, "%s has tags of incarnation %d, above %d", c.Name, m.told(), c.Incarnation)
			if c.State == StateDead {
				dead++
			}
		}
	}
	invariant.Check(dead == n.failed, "%d failed members counted, there are %d", n.failed, dead)
}
