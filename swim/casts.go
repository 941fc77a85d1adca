package swim

import (
	"slices"
	"time"
)

// casts are the user events and queries to piggyback beside the updates, least sent first and, of those sent equally
// often, oldest first. When there are too many, the oldest of those sent most often go.
type casts struct {
	rounds [][]*cast // by number of transmissions
	count  int
}

// cast is a user event or a query that is being told.
type cast struct {
	event *heardEvent // one of the two
	query *heardQuery
	size  int
}

// maxCasts bounds the events and queries that wait to be told.
const maxCasts = 1024

func (q *casts) len() int { return q.count }

// counts returns the numbers of events and queries.
func (q *casts) counts() (events, queries int) {
	for _, round := range q.rounds {
		for _, c := range round {
			if c.event != nil {
				events++
			}
		}
	}
	return events, q.count - events
}

func (q *casts) clear() { *q = casts{} }

// put queues c and tells whether another had to go for it.
func (q *casts) put(c *cast) (dropped bool) {
	if q.count >= maxCasts {
		last := len(q.rounds) - 1
		for len(q.rounds[last]) == 0 {
			last--
		}
		q.rounds[last] = slices.Delete(q.rounds[last], 0, 1)
		q.count--
		dropped = true
	}
	q.add(c, 0)
	return dropped
}

func (q *casts) add(c *cast, sent int) {
	for len(q.rounds) <= sent {
		q.rounds = append(q.rounds, nil)
	}
	q.rounds[sent] = append(q.rounds[sent], c)
	q.count++
}

// take loads what fits into budget bytes of the packet and returns what is left of the budget. What was then sent limit
// times, and queries whose time is over, are forgotten.
func (q *casts) take(p *Packet, budget, limit int, now time.Duration) int {
	if q.count == 0 {
		return budget
	}
	skipped := 0
	var again [][]*cast // by number of transmissions
	for sent := range q.rounds {
		again = append(again, nil)
		for i := 0; i < len(q.rounds[sent]) && skipped <= maxSkips; {
			c := q.rounds[sent][i]
			over := c.query != nil && c.query.deadline <= now
			if !over && c.size > budget {
				skipped++
				i++
				continue
			}
			q.rounds[sent] = slices.Delete(q.rounds[sent], i, i+1)
			q.count--
			if over {
				continue
			}
			budget -= c.size
			c.load(p, now)
			if sent+1 < limit {
				again[sent] = append(again[sent], c)
			}
		}
	}
	for sent, list := range again {
		for _, c := range list {
			q.add(c, sent+1)
		}
	}
	return budget
}

// load writes it into the packet as of now: receivers learn how old an event is and how much time a query still has.
func (c *cast) load(p *Packet, now time.Duration) {
	if c.event != nil {
		p.Events = append(p.Events, c.event.told(now))
		return
	}
	q := c.query.QueryCast
	q.Timeout = c.query.deadline - now
	p.Queries = append(p.Queries, q)
}
