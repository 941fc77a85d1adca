package gossip

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"concord/swim"
	"concord/transport/seal"
	"concord/wire"
)

// The asking side of key operations (Serf's key manager). A change that could cut members off is rehearsed first: only if
// every member alive says that it could, all are asked to.

// KeyRequest is an operation on the keys of all members.
type KeyRequest struct {
	Op    KeyOp
	Key   string // in base64; empty for ListKeys
	Relay int    // see swim.Query
}

// KeyResponse is what came of a KeyRequest.
type KeyResponse struct {
	// Messages are of members that refused, or have something to say, by name.
	Messages map[string]string
	// NumNodes is how many members there are that are not failed, NumResp how many answered, NumErr how many refused.
	NumNodes, NumResp, NumErr int
	// Keys is how many members have each key, in base64; PrimaryKeys how many use it. Both only for ListKeys.
	Keys, PrimaryKeys map[string]int
	// Err says why it failed; nil: every member did it.
	Err error
}

// KeyResult ends the request of that number.
type KeyResult struct {
	ID uint64
	KeyResponse
}

const (
	// maxKeyTasks bounds the requests that wait.
	maxKeyTasks = 16
	// keyRounds is how often those are asked that do not answer.
	keyRounds = 3
	// maxNamesAsked is how many bytes of names a question may have; else everybody is asked again.
	maxNamesAsked = 512
)

// keyTask is a request under way.
type keyTask struct {
	id      uint64
	req     KeyRequest
	query   wire.KeyQuery
	phase   int // 0: not begun
	rounds  int // of asking, in this phase
	current swim.QueryID
	answers map[string]wire.KeyReply // in this phase
}

// keyAsk is a query of a task's phase. Its answers may still come when another has been asked.
type keyAsk struct {
	task  *keyTask
	phase int
}

// ManageKeys begins an operation on the keys of all members, this one included. What comes of it is in Output.KeyResults
// under the number returned. It fails if the key is none
// or if this member does not manage keys.
func (p *Pool) ManageKeys(now time.Duration, req KeyRequest) (uint64, error) {
	p.now = max(p.now, now)
	if err := p.keysClosed(req.Op); err != nil {
		return 0, err
	}
	if keyQueries[req.Op] == "" {
		return 0, errKeyQuery
	}
	t := &keyTask{req: req}
	if req.Op != ListKeys {
		k, err := seal.ParseKey(req.Key)
		if err != nil {
			return 0, err
		}
		if req.Op == InstallKey {
			t.query.Secret = k.Secret()
		} else {
			// A key that is installed need not cross the network again.
			sum := k.Sum()
			t.query.Sum = sum[:]
		}
	}
	if len(p.keys.tasks) >= maxKeyTasks {
		return 0, errBusyKeys
	}
	p.keys.lastTask++
	t.id = p.keys.lastTask
	p.keys.tasks = append(p.keys.tasks, t)
	p.nextKeyTask()
	return t.id, nil
}

// nextKeyTask begins the first request that waits: one at a time, for two might undo each other half.
func (p *Pool) nextKeyTask() {
	for len(p.keys.tasks) > 0 && p.keys.tasks[0].phase == 0 {
		t := p.keys.tasks[0]
		t.query.Rehearse = t.req.Op == UseKey || t.req.Op == RemoveKey
		p.beginKeyPhase(t)
	}
}

func (p *Pool) beginKeyPhase(t *keyTask) {
	t.phase++
	t.rounds, t.answers = 0, map[string]wire.KeyReply{}
	p.askKeys(t, nil)
}

// askKeys asks all members, or those that have not answered.
func (p *Pool) askKeys(t *keyTask, missing []string) {
	t.rounds++
	q := swim.Query{Name: InternalPrefix + t.req.Op.String(), Payload: wire.AppendKeyQuery(nil, &t.query), Relay: t.req.Relay}
	if len(strings.Join(missing, " ")) <= maxNamesAsked {
		q.Nodes = missing
	}
	var err error
	if t.current, err = p.Node.Ask(p.now, q); err != nil {
		p.endKeyTask(t, err)
		return
	}
	p.keys.asks[t.current] = keyAsk{t, t.phase}
}

// unanswered are the members that should answer and have not, by name.
func (p *Pool) unanswered(t *keyTask) []string {
	var out []string
	for _, m := range p.Members() {
		if _, ok := t.answers[m.Name]; !ok && (m.State == swim.StateAlive || m.State == swim.StateSuspect) {
			out = append(out, m.Name)
		}
	}
	return out
}

// handlesReply takes a reply to a query of a key task.
func (p *Pool) handlesReply(r *swim.Reply) bool {
	ask, ok := p.keys.asks[r.ID]
	if r.Done {
		delete(p.keys.asks, r.ID)
	}
	t := ask.task
	if !ok || r.Ack || len(p.keys.tasks) == 0 || p.keys.tasks[0] != t || t.phase != ask.phase || r.Done && r.ID != t.current {
		return ok
	}
	if !r.Done {
		a, err := wire.DecodeKeyReply(r.Payload)
		if err != nil {
			a = wire.KeyReply{Message: "Failed to decode key query response: " + err.Error()}
		}
		t.answers[r.From] = a
		if len(t.answers) < p.NumAlive() {
			return true // some are missing: who they are need not be looked up for each of thousands of answers
		}
	}
	switch missing := p.unanswered(t); {
	case len(missing) == 0:
		p.endKeyPhase(t, nil)
	case !r.Done:
	case t.rounds < keyRounds:
		p.askKeys(t, missing)
	default:
		p.endKeyPhase(t, missing)
	}
	return true
}

// endKeyPhase goes on from a rehearsal that went well to the operation itself, and ends the task otherwise.
func (p *Pool) endKeyPhase(t *keyTask, missing []string) {
	refused := 0
	for _, a := range t.answers {
		if !a.OK {
			refused++
		}
	}
	nodes := len(t.answers) + len(missing)
	if t.query.Rehearse && refused+len(missing) > 0 {
		p.releaseKeys(t.req.Op)
	}
	switch {
	case t.query.Rehearse && refused > 0:
		p.endKeyTask(t, fmt.Errorf("%d/%d nodes cannot %s, nothing was changed: %s", refused, nodes, t.req.Op, t.refusals()))
	case t.query.Rehearse && len(missing) > 0:
		p.endKeyTask(t, fmt.Errorf("%d/%d nodes did not say whether they can %s, nothing was changed: %s: try again, or let those leave that are gone",
			len(missing), nodes, t.req.Op, names(missing)))
	case t.query.Rehearse:
		t.query.Rehearse = false
		p.beginKeyPhase(t)
	case refused > 0:
		p.endKeyTask(t, fmt.Errorf("%d/%d nodes reported failure", refused, nodes))
	case len(missing) > 0:
		p.endKeyTask(t, fmt.Errorf("%d/%d nodes reported success", len(t.answers), nodes))
	default:
		p.endKeyTask(t, nil)
	}
}

// releaseKeys lets other operators go on, after a rehearsal that failed. Whoever does not hear of it makes them wait.
func (p *Pool) releaseKeys(op KeyOp) {
	payload := wire.AppendKeyQuery(nil, &wire.KeyQuery{Rehearse: true})
	if _, err := p.Node.Ask(p.now, swim.Query{Name: InternalPrefix + op.String(), Payload: payload}); err != nil {
		p.notice(swim.Warn, "%s: members were not told that it is over, others have to wait for %v: %v", op, keyReservation, err)
	}
}

// endKeyTask reports what came of a task, and goes on with the next one.
func (p *Pool) endKeyTask(t *keyTask, err error) {
	r := KeyResponse{Messages: map[string]string{}, Keys: map[string]int{}, PrimaryKeys: map[string]int{}, Err: err}
	r.NumResp = len(t.answers)
	r.NumNodes = r.NumResp + len(p.unanswered(t))
	for name, a := range t.answers {
		if !a.OK {
			r.NumErr++
		}
		if a.Message != "" {
			r.Messages[name] = a.Message
		}
		for i, secret := range a.Keys {
			text := base64.StdEncoding.EncodeToString(secret)
			r.Keys[text]++
			if i == 0 {
				r.PrimaryKeys[text]++
			}
		}
	}
	if failed := p.failedMembers(); t.req.Op != ListKeys && err == nil && len(failed) > 0 {
		p.notice(swim.Warn, "%s did not reach %d failed members, which cannot come back once their keys are removed: %s", t.req.Op, len(failed), names(failed))
	}
	p.keys.tasks = p.keys.tasks[1:]
	p.keys.results = append(p.keys.results, KeyResult{ID: t.id, KeyResponse: r})
	p.nextKeyTask()
}

func (p *Pool) failedMembers() []string {
	var out []string
	for _, m := range p.Members() {
		if m.State == swim.StateDead {
			out = append(out, m.Name)
		}
	}
	return out
}

// refusals are the members that refused; their reasons are in the messages.
func (t *keyTask) refusals() string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(t.answers)) {
		if !t.answers[name].OK {
			out = append(out, name)
		}
	}
	return names(out)
}

// names lists some names.
func names(all []string) string {
	const shown = 10
	if len(all) > shown {
		return fmt.Sprintf("%s and %d more", strings.Join(all[:shown], ", "), len(all)-shown)
	}
	return strings.Join(all, ", ")
}
