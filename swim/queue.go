package swim

// queue holds the updates to piggyback: at most one for each member, as a newer claim takes the
// place of the older one.
//
// "We prefer elements that have been gossiped fewer times" (SWIM section 4.1): there is a list for
// each number of transmissions, and each list is in order of arrival.
type queue struct {
	byName map[string]*entry
	rounds []round
	picked []*entry // scratch of take
}

type entry struct {
	update     *Update
	size       int
	sent       int
	prev, next *entry
}

// round is a doubly linked list of entries that were sent equally often.
type round struct{ head, tail *entry }

// maxSkips bounds how many updates that do not fit are passed over to fill the rest of a packet.
const maxSkips = 16

func newQueue() queue { return queue{byName: make(map[string]*entry)} }

func (q *queue) len() int { return len(q.byName) }

// put queues the claim instead of any older one about the same member.
func (q *queue) put(u *Update) {
	q.drop(u.Name)
	e := &entry{update: u, size: u.Size()}
	q.byName[u.Name] = e
	q.link(e)
}

// drop forgets the claim about the named member.
func (q *queue) drop(name string) {
	if e := q.byName[name]; e != nil {
		q.unlink(e)
		q.remove(name)
	}
}

// remove also gives back what the map grew to in a burst of news.
func (q *queue) remove(name string) {
	if delete(q.byName, name); len(q.byName) == 0 {
		q.byName = make(map[string]*entry)
	}
}

// has tells whether a claim about the named member is still to be sent.
func (q *queue) has(name string) bool { return q.byName[name] != nil }

// heard notes that another member told a claim that may wait here: as it is known elsewhere, it counts as sent once more.
func (q *queue) heard(u *Update, limit int) {
	e := q.byName[u.Name]
	if e == nil || e.update != u && (e.update.State != u.State || e.update.Incarnation != u.Incarnation ||
		e.update.ID != u.ID || e.update.From != u.From) {
		return
	}
	q.count(e, limit)
}

// count notes a transmission of e. After limit of them it is forgotten.
func (q *queue) count(e *entry, limit int) {
	q.unlink(e)
	if e.sent++; e.sent >= limit {
		q.remove(e.update.Name)
		return
	}
	q.link(e)
}

// clear forgets everything.
func (q *queue) clear() {
	*q = newQueue()
}

// take appends to dst the least sent updates that fit into budget bytes, but none about the member
// named skip. One that was then sent limit times is forgotten.
func (q *queue) take(dst []*Update, budget, limit int, skip string) []*Update {
	if len(q.byName) == 0 {
		return dst
	}
	q.picked = q.pick(q.picked[:0], budget, skip)
	for _, e := range q.picked {
		dst = append(dst, e.update)
		q.count(e, limit)
	}
	clear(q.picked)
	return dst
}

func (q *queue) pick(picked []*entry, budget int, skip string) []*entry {
	skipped := 0
	for i := range q.rounds {
		for e := q.rounds[i].head; e != nil; e = e.next {
			if e.size > budget || e.update.Name == skip {
				if skipped++; skipped > maxSkips {
					return picked
				}
				continue
			}
			budget -= e.size
			picked = append(picked, e)
		}
	}
	return picked
}

func (q *queue) link(e *entry) {
	for len(q.rounds) <= e.sent {
		q.rounds = append(q.rounds, round{})
	}
	r := &q.rounds[e.sent]
	e.prev, e.next = r.tail, nil
	if r.tail == nil {
		r.head = e
	} else {
		r.tail.next = e
	}
	r.tail = e
}

func (q *queue) unlink(e *entry) {
	r := &q.rounds[e.sent]
	if e.prev == nil {
		r.head = e.next
	} else {
		e.prev.next = e.next
	}
	if e.next == nil {
		r.tail = e.prev
	} else {
		e.next.prev = e.prev
	}
	e.prev, e.next = nil, nil
}

// transmitLimit is how often each update is sent: "lambda log(N+1) times" (SWIM section 4.1), the
// logarithm being to base 10 and rounded up.
func transmitLimit(mult, n int) int {
	digits := 0
	for p := 1; p < n+1; p *= 10 {
		digits++
	}
	return mult * digits
}
