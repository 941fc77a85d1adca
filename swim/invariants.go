package swim

import "concord/internal/invariant"

// check asserts what must hold after every input.
func (n *Node) check() {
	own := n.self.claim
	invariant.Check(own.Incarnation >= n.believed, "own incarnation fell from %d to %d", n.believed, own.Incarnation)
	n.believed = own.Incarnation
	invariant.Check(own.State == StateAlive || own.State == StateLeft, "this member believes itself %s", own.State)
	total := len(n.table.lists[live]) + len(n.table.lists[recent]) + len(n.table.lists[gone])
	invariant.Check(total == n.table.len(), "%d members in lists, %d by name", total, n.table.len())
	absent := total - len(n.table.lists[live])
	invariant.Check(n.failed >= 0 && n.failed <= absent, "%d failed of %d members that are gone", n.failed, absent)
	invariant.Check(len(n.watch) >= absent && len(n.watch) <= total, "%d watches for %d members, %d of them gone", len(n.watch), total, absent)
	invariant.Check(total < n.cfg.MaxMembers, "%d members; at most %d are allowed", total+1, n.cfg.MaxMembers)
	invariant.Check(n.queue.len() <= total+1, "%d updates queued about %d members", n.queue.len(), total+1)
	invariant.Check(len(n.exiles) <= maxExiles, "%d exiles", len(n.exiles))
	invariant.Check(len(n.relays) <= maxRelays && len(n.joins) <= maxJoins, "%d relays, %d joins", len(n.relays), len(n.joins))
	n.checkCasts()
	if invariant.Expensive {
		n.checkMembers()
	}
}

// checkCasts asserts the bounds of what is remembered of events and queries.
func (n *Node) checkCasts() {
	e, q := &n.events, &n.queries
	invariant.Check(n.casts.len() <= maxCasts && len(e.held) <= maxHeld, "%d events and queries to be told, %d held", n.casts.len(), len(e.held))
	invariant.Check(len(q.asks) <= maxAsks && len(q.questions) <= maxQuestions, "%d queries asked, %d to answer", len(q.asks), len(q.questions))
	invariant.Check(e.recent.total <= crowd*n.cfg.EventBuffer && q.recent.total <= crowd*n.cfg.QueryBuffer,
		"%d events and %d queries remembered", e.recent.total, q.recent.total)
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
