package gossip

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"concord/swim"
	"concord/transport/seal"
	"concord/wire"
)

// The answering side of key operations: an internal query comes in, the keyring changes, is kept, and only then the
// answer leaves. keymanager.go has the asking side.

// InternalPrefix begins the names of queries by which the members of a pool talk among themselves. Users must not ask them.
const InternalPrefix = "_serf_"

// KeyOp is what is done with keys.
type KeyOp uint8

const (
	ListKeys KeyOp = iota + 1
	InstallKey
	UseKey
	RemoveKey
)

var keyQueries = map[KeyOp]string{ListKeys: "list-keys", InstallKey: "install-key", UseKey: "use-key", RemoveKey: "remove-key"}

// String is Serf's name of the query for it.
func (o KeyOp) String() string { return keyQueries[o] }

func keyOpOf(query string) (KeyOp, bool) {
	for op, name := range keyQueries {
		if query == InternalPrefix+name {
			return op, true
		}
	}
	return 0, false
}

// Why a member does not touch its keys. The first two are Serf's words.
var (
	ErrNotEncrypted = errors.New("No keyring to modify (encryption not enabled)")
	errNothingToSee = errors.New("Keyring is empty (encryption not enabled)")
	// ErrOpen: whoever can send it a packet could change the keys of a member that believes plaintext; and one that sends it
	// would tell keys to everybody.
	ErrOpen = errors.New("keys cannot be managed while unencrypted gossip is accepted or sent: " +
		"set encrypt_verify_incoming and encrypt_verify_outgoing to true first")
	errBusyKeys = errors.New("too many key changes are under way; try again")
	errKeyQuery = errors.New("malformed key query")
)

// maxKeyChanges bounds the changes that wait for the disk.
const maxKeyChanges = 16

// keyReplyOverhead is what an answer takes besides its keys.
const keyReplyOverhead = 96

// keyChange is a change that a member was asked for.
type keyChange struct {
	op     KeyOp
	id     swim.QueryID
	query  wire.KeyQuery
	next   *Keyring // what the keyring becomes once it is kept
	saving bool
}

// keyReservation is how long a member that said in a rehearsal that it could refuses the changes of others. Otherwise one
// operator may remove a key that another one makes the primary one, and each may be the first at some of the members.
const keyReservation = 30 * time.Second

type reservation struct {
	by    swim.QueryID // the rehearsal
	until time.Duration
}

func (p *Pool) reservedFor(name string) error {
	if r := p.keys.reserved; r.by.From == "" || r.by.From == name || p.now >= r.until {
		return nil
	}
	return fmt.Errorf("a key operation begun at %s is under way; try again in %v, or there", p.keys.reserved.by.From, keyReservation)
}

// release ends the reservation of an operator whose rehearsal failed elsewhere; one that the same operator has made since stays.
func (p *Pool) release(q swim.QueryID) {
	if r := p.keys.reserved; r.by.From == q.From && r.by.LTime < q.LTime {
		p.keys.reserved = reservation{}
	}
}

// keyState is what a pool has under way with its keys.
type keyState struct {
	changes []keyChange // to be made here, in order
	saveSeq uint64
	saves   []SaveKeyring

	reserved reservation

	tasks    []*keyTask // of this member's own, in order
	lastTask uint64
	asks     map[swim.QueryID]keyAsk
	results  []KeyResult
}

// SaveKeyring asks the driver to keep a keyring durably and then to call KeyringSaved.
type SaveKeyring struct {
	Seq  uint64
	Data []byte // secret: it must not be logged
}

// handlesQuestion takes a question that the pool answers itself.
func (p *Pool) handlesQuestion(q *swim.Question) bool {
	if !strings.HasPrefix(q.Name, InternalPrefix) {
		return false
	}
	if op, ok := keyOpOf(q.Name); ok {
		p.onKeyQuery(op, q)
	} else if q.Name == conflictQuery {
		p.onNameQuery(q)
	}
	return true // another internal one needs no more than the core's acknowledgement, or is not known to this release
}

func (p *Pool) onKeyQuery(op KeyOp, q *swim.Question) {
	query, err := wire.DecodeKeyQuery(q.Payload)
	if err != nil {
		err = errKeyQuery
	}
	if refused := p.keysClosed(op); refused != nil {
		err = refused
	}
	switch {
	case err != nil:
		p.answerKeys(q.ID, err)
	case op == ListKeys:
		p.respondKeys(q.ID, p.keyList(q.ID))
	case op != InstallKey && query.Release():
		p.release(q.ID)
	case op != InstallKey && p.reservedFor(q.ID.From) != nil:
		p.answerKeys(q.ID, p.reservedFor(q.ID.From))
	case query.Rehearse:
		err := op.apply(p.cfg.Keyring.Clone(), &query)
		if err == nil {
			p.keys.reserved = reservation{by: q.ID, until: p.now + keyReservation}
		}
		p.answerKeys(q.ID, err)
	case len(p.keys.changes) >= maxKeyChanges:
		p.answerKeys(q.ID, errBusyKeys)
	default:
		p.keys.changes = append(p.keys.changes, keyChange{op: op, id: q.ID, query: query})
		p.changeKeys()
	}
}

// keysClosed is why this member does not take part in key operations.
func (p *Pool) keysClosed(op KeyOp) error {
	switch {
	case p.cfg.Keyring == nil && op == ListKeys:
		return errNothingToSee
	case p.cfg.Keyring == nil:
		return ErrNotEncrypted
	case p.cfg.AcceptPlaintext || p.cfg.SendPlaintext:
		return ErrOpen
	}
	return nil
}

// apply carries out an operation.
func (o KeyOp) apply(r *Keyring, q *wire.KeyQuery) error {
	if o == InstallKey {
		k, err := seal.NewKey(q.Secret)
		if err != nil {
			return err
		}
		return r.Install(k)
	}
	if len(q.Sum) != len(KeySum{}) {
		return errKeyQuery
	}
	if o == UseKey {
		return r.Use(KeySum(q.Sum))
	}
	return r.Remove(KeySum(q.Sum))
}

// changeKeys goes on with the changes, one after the other, until one has to be kept first.
func (p *Pool) changeKeys() {
	for len(p.keys.changes) > 0 && !p.keys.changes[0].saving {
		c := &p.keys.changes[0]
		c.next = p.cfg.Keyring.Clone()
		if err := c.op.apply(c.next, &c.query); err != nil || !p.cfg.KeepKeyring || c.next.same(p.cfg.Keyring) {
			p.changed(err)
			continue
		}
		c.saving = true
		p.keys.saveSeq++
		p.keys.saves = append(p.keys.saves, SaveKeyring{Seq: p.keys.saveSeq, Data: c.next.Marshal()})
	}
}

// changed ends the first change. Only what is on disk comes into force, so that a crash cannot undo what was answered.
func (p *Pool) changed(err error) {
	c := p.keys.changes[0]
	p.keys.changes = p.keys.changes[1:]
	if err != nil {
		p.notice(swim.Error, "%s failed: %v", c.op, err)
	} else {
		p.cfg.Keyring = c.next
		if c.op != InstallKey && p.keys.reserved.by.From == c.id.From {
			p.keys.reserved = reservation{}
		}
		p.notice(swim.Info, "%s: the keyring is now %s", c.op, c.next)
	}
	p.answerKeys(c.id, err)
}

// KeyringSaved tells that what Output.SaveKeyrings asked for under that number is on disk, or why it is not.
func (p *Pool) KeyringSaved(now time.Duration, seq uint64, err error) {
	p.now = max(p.now, now)
	if len(p.keys.changes) == 0 || !p.keys.changes[0].saving || seq != p.keys.saveSeq {
		return
	}
	p.changed(err)
	p.changeKeys()
}

func (p *Pool) answerKeys(id swim.QueryID, err error) {
	a := wire.KeyReply{OK: err == nil}
	if err != nil {
		a.Message = err.Error()
	}
	p.respondKeys(id, &a)
}

// respondKeys sends an answer. One that comes too late is refused by the core; the asker asks again.
func (p *Pool) respondKeys(id swim.QueryID, a *wire.KeyReply) {
	if err := p.Node.Respond(p.now, id, wire.AppendKeyReply(nil, a)); err != nil {
		p.notice(swim.Debug, "failed to answer a key query of %s: %v", id.From, err)
	}
}

// keyList are the keys, as many as fit into the answer to a query.
func (p *Pool) keyList(id swim.QueryID) *wire.KeyReply {
	a := &wire.KeyReply{OK: true}
	all := p.cfg.Keyring.keys
	answer := swim.Message{Target: id.From, From: p.cfg.Swim.Name, Answer: &swim.Answer{}}
	size := answer.Size() + keyReplyOverhead
	for i, k := range all {
		if size += len(k.Secret()) + 2; size > p.cfg.Swim.MaxResponse {
			a.Message = fmt.Sprintf("truncated key list response, showing first %d of %d keys", i, len(all))
			break
		}
		a.Keys = append(a.Keys, k.Secret())
	}
	return a
}
