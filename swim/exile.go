package swim

import "net/netip"

// Exiles are failed members that were forgotten after Config.ReconnectTimeout. A partition may last longer than that:
// then each side has forgotten the other, and nobody would ever try to reach it again. So some of their addresses are
// kept, and now and then one is asked.

type exile struct {
	name string
	addr netip.AddrPort
}

// maxExiles bounds the exiles that are remembered. Which ones is random, so that the members of a large pool together
// remember many.
const maxExiles = 32

// banish remembers a failed member that is about to be forgotten.
func (n *Node) banish(c *Update) {
	e := exile{c.Name, c.Addr}
	n.pardon(c.Name)
	if len(n.exiles) < maxExiles {
		n.exiles = append(n.exiles, e)
		return
	}
	n.exiles[n.rng.IntN(maxExiles)] = e
}

// pardon forgets the exile of that name, for it is back.
func (n *Node) pardon(name string) {
	for i := range n.exiles {
		if n.exiles[i].name == name {
			last := len(n.exiles) - 1
			n.exiles[i] = n.exiles[last]
			n.exiles = n.exiles[:last]
			return
		}
	}
}

// wakeCalls is how many exiles are asked at once after a long sleep.
const wakeCalls = 3

// beginAnew forgets everybody, after a sleep that was so long that the pool has forgotten members that died meanwhile: what
// this one remembers would bring them back to life. Some are asked who is there now.
func (n *Node) beginAnew() {
	for list := lists; list > live; {
		list--
		for len(n.table.lists[list]) > 0 {
			m := n.table.at(0, list)
			if list == live {
				n.banish(m.claim)
			}
			n.reap(m)
		}
	}
	n.rng.Shuffle(len(n.exiles), func(i, j int) { n.exiles[i], n.exiles[j] = n.exiles[j], n.exiles[i] })
	if n.leaving() {
		return
	}
	for _, e := range n.exiles[:min(wakeCalls, len(n.exiles))] {
		n.exchange(e.addr, e.name)
	}
}

// reconnect tries to reach a failed member, and an exile: all members together each failed one about once in each
// interval, and one exile, however large the pool. It is what reunites the parts after a partition.
func (n *Node) reconnect() {
	if n.failed+len(n.exiles) == 0 || n.leaving() {
		return
	}
	n.timers.Set(timerReconnect, n.now+n.cfg.ReconnectInterval)
	if m := n.anyFailed(); m != nil {
		n.exchange(m.claim.Addr, m.claim.Name)
	}
	if k := len(n.exiles); k > 0 && n.rng.Chance(1, uint64(n.NumAlive())) {
		e := n.exiles[n.rng.IntN(k)]
		n.exchange(e.addr, e.name)
	}
}

// anyFailed returns a random failed member, or nil if it is for others to ask one this time.
func (n *Node) anyFailed() *member {
	if n.failed == 0 || !n.rng.Chance(uint64(n.failed), uint64(n.NumAlive())) {
		return nil
	}
	total := len(n.table.lists[recent]) + len(n.table.lists[gone])
	start := n.rng.IntN(total)
	for i := range total {
		if m := n.table.at((start+i)%total, recent); m.claim.State == StateDead {
			return m
		}
	}
	return nil
}
