package gossip

import (
	"time"

	"concord/swim"
)

// conflictQuery asks whom members believe to have a name, as Serf's query for it does.
const conflictQuery = InternalPrefix + "conflict"

// AskName asks all members at which address they believe this member's name to be. Each reply has an address as text.
func (p *Pool) AskName(now time.Duration) (swim.QueryID, error) {
	p.now = max(p.now, now)
	return p.Node.Ask(now, swim.Query{Name: conflictQuery, Payload: []byte(p.Local().Name)})
}

func (p *Pool) onNameQuery(q *swim.Question) {
	m, known := p.Member(string(q.Payload))
	if !known {
		return
	}
	if err := p.Node.Respond(p.now, q.ID, []byte(m.Addr.String())); err != nil {
		p.notice(swim.Debug, "failed to answer a question of %s about a name: %v", q.ID.From, err)
	}
}
