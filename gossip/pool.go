// Package gossip is a pool of members as a machine takes part in it: the pure core of package swim with the codec and
// the encryption in front of it. The LAN and the WAN pool of a node, the gossip-only agent and the simulators all
// use it, so that all of them speak the same bytes.
package gossip

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"concord/internal/prng"
	"concord/swim"
	"concord/transport/seal"
	"concord/wire"
)

// Config is what a Pool is made from.
type Config struct {
	Swim swim.Config
	// Claims, if not nil, are shared by the pools of a process that are driven by one goroutine: equal claims are then
	// held in memory once.
	Claims *wire.Claims

	// Keyring encrypts the pool; nil: it is not encrypted. The pool changes it when the cluster's keys are.
	Keyring *Keyring
	// Label keeps pools apart that could reach one another: a message with another label is refused. With a keyring
	// it is authenticated with each message.
	Label string
	// AcceptPlaintext takes in messages that are not encrypted although there is a keyring: encrypt_verify_incoming = false.
	AcceptPlaintext bool
	// SendPlaintext does not encrypt although there is a keyring: encrypt_verify_outgoing = false.
	SendPlaintext bool
	// KeepKeyring has changes of the keyring kept by the driver (Output.SaveKeyrings) before they come into force.
	KeepKeyring bool
	// Random is where the numbers of sessions come from: crypto/rand's Reader in the product. Only needed with a Keyring.
	Random io.Reader
}

// Reasons for which Receive drops a message, besides those of package seal and of the codec.
var (
	// ErrPlaintext: it is not encrypted, and has to be.
	ErrPlaintext = errors.New("gossip: message is not encrypted, but encryption is configured; " +
		"give its sender the key, or set encrypt_verify_incoming = false while encryption is rolled in")
	// ErrNoKeyring: it is encrypted, and there is no key.
	ErrNoKeyring = errors.New("gossip: message is encrypted, but no key is configured; start this agent with the pool's key (encrypt)")
	// ErrForm: it is of a release that this one does not understand.
	ErrForm = errors.New("gossip: message in an unknown form; was it sent by a newer release?")
)

// Pool is one member's part in a pool. Like the core it embeds it is a state machine: inputs take the time, and Output
// has what is to be done. Only messages come in and go out as bytes.
type Pool struct {
	*swim.Node
	cfg     Config
	sealer  *seal.Sealer
	dropped Dropped
	now     time.Duration // of the last input that the pool itself saw
	keys    keyState
	notices []swim.Notice
}

// Send is a message to be sent.
type Send struct {
	To      netip.AddrPort
	Stream  bool // over a connection; failure is told by StreamFailed
	Payload []byte
}

// Output is what a Pool wants done. Of the embedded core's output Packets and Streams are empty: they are in Sends.
type Output struct {
	swim.Output
	Sends []Send
	// SaveKeyrings are to be kept, in order, and reported by KeyringSaved.
	SaveKeyrings []SaveKeyring
	// KeyResults are what came of this member's ManageKeys.
	KeyResults []KeyResult
}

// Stats counts what a Pool saw and did since it was made.
type Stats struct {
	swim.Stats
	Dropped Dropped
}

// Dropped counts the messages that were refused, by reason.
type Dropped struct {
	Plaintext uint64 // not encrypted, though encryption is on
	NoKeyring uint64 // encrypted, though encryption is off
	WrongKey  uint64 // sealed with a key that is not in the keyring
	WrongPool uint64 // with another label
	Forged    uint64 // tampered with, or damaged
	Replayed  uint64 // received before, or too late to tell
	Truncated uint64
	Malformed uint64 // not of this protocol, or of a version that is not understood
}

// New returns a pool in which only this member is known. An error wraps swim.ErrConfig or seal.ErrConfig.
func New(cfg Config, rng *prng.Rand, now time.Duration) (*Pool, error) {
	cfg.Swim = cfg.Swim.WithDefaults()
	n, err := swim.New(cfg.Swim, rng, now)
	if err != nil {
		return nil, err
	}
	p := &Pool{Node: n, cfg: cfg, now: now, keys: keyState{asks: map[swim.QueryID]keyAsk{}}}
	if cfg.Keyring == nil && cfg.Random == nil {
		cfg.Random = rng.Fork("seal") // without a key it seals nothing
	}
	// Two sessions for each member, and as many again for former lives.
	p.sealer, err = seal.New(seal.Config{Label: cfg.Label, Random: cfg.Random, MaxSessions: 4 * cfg.Swim.MaxMembers})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Keyring are the pool's keys, nil if it is not encrypted.
func (p *Pool) Keyring() *Keyring { return p.cfg.Keyring }

// Encrypted tells whether what is sent is encrypted.
func (p *Pool) Encrypted() bool { return p.cfg.Keyring != nil && !p.cfg.SendPlaintext }

// Stats returns the counters and gauges for metrics.
func (p *Pool) Stats() Stats { return Stats{p.Node.Stats(), p.dropped} }

// Tick does what is due.
func (p *Pool) Tick(now time.Duration) {
	p.now = max(p.now, now)
	p.Node.Tick(now)
}

// Ask puts a user's question to the pool, as the core does. Names of internal queries are refused with swim.ErrQuery.
func (p *Pool) Ask(now time.Duration, q swim.Query) (swim.QueryID, error) {
	if strings.HasPrefix(q.Name, InternalPrefix) {
		return swim.QueryID{}, fmt.Errorf("%w: Queries cannot contain the '%s' prefix", swim.ErrQuery, InternalPrefix)
	}
	return p.Node.Ask(now, q)
}

// Receive takes in a message from an address. The error says why it was dropped.
func (p *Pool) Receive(now time.Duration, from netip.AddrPort, stream bool, data []byte) error {
	p.now = max(p.now, now)
	packet, err := p.open(stream, data)
	if err != nil {
		p.dropped.count(err)
		return err
	}
	packet.Addr = from
	if stream {
		p.HandleStream(now, packet)
	} else {
		p.HandlePacket(now, packet)
	}
	return nil
}

func (p *Pool) open(stream bool, data []byte) (swim.Packet, error) {
	payload, err := p.unpack(stream, data)
	if err != nil {
		return swim.Packet{}, err
	}
	packet, err := wire.DecodePacketSharing(payload, p.cfg.Claims)
	if err != nil {
		return packet, fmt.Errorf("gossip: %w", err)
	}
	return packet, nil
}

// unpack undoes what pack of the sender did, if its message is acceptable.
func (p *Pool) unpack(stream bool, data []byte) ([]byte, error) {
	switch seal.FormOf(data) {
	case seal.Sealed:
		if p.cfg.Keyring == nil {
			return nil, ErrNoKeyring
		}
		return p.sealer.Open(p.cfg.Keyring.keys, kindOf(stream), data)
	case seal.Plain, seal.Labelled:
		if p.cfg.Keyring != nil && !p.cfg.AcceptPlaintext {
			return nil, ErrPlaintext
		}
		return p.sealer.CheckLabel(data)
	}
	return nil, ErrForm
}

func kindOf(stream bool) seal.Kind {
	if stream {
		return seal.Stream
	}
	return seal.Datagram
}

// SealSecret seals what is to be told to another member by other ways than gossip. It fails with ErrNotEncrypted.
func (p *Pool) SealSecret(data []byte) ([]byte, error) {
	if p.cfg.Keyring == nil {
		return nil, ErrNotEncrypted
	}
	return p.sealer.Seal(nil, p.cfg.Keyring.Primary(), seal.Secret, data)
}

// OpenSecret opens what a member sealed with SealSecret; once.
func (p *Pool) OpenSecret(data []byte) ([]byte, error) {
	if p.cfg.Keyring == nil {
		return nil, ErrNotEncrypted
	}
	return p.sealer.Open(p.cfg.Keyring.keys, seal.Secret, data)
}

// NewSessions has what is sent numbered anew. To be called when this machine may have been set back to an earlier
// state of its memory: messages with numbers that were used before are refused, and sealing with them would give the key
// away.
func (p *Pool) NewSessions() error {
	if p.cfg.Keyring == nil {
		return nil
	}
	return p.sealer.Renew()
}

func (d *Dropped) count(err error) {
	reason := &d.Malformed
	for _, r := range []struct {
		err     error
		counter *uint64
	}{
		{ErrPlaintext, &d.Plaintext}, {ErrNoKeyring, &d.NoKeyring}, {seal.ErrUnknownKey, &d.WrongKey}, {seal.ErrLabel, &d.WrongPool},
		{seal.ErrForged, &d.Forged}, {seal.ErrReplayed, &d.Replayed}, {seal.ErrTruncated, &d.Truncated},
	} {
		if errors.Is(err, r.err) {
			reason = r.counter
		}
	}
	*reason++
}

// ByReason are the counters by names for metrics.
func (d Dropped) ByReason() map[string]uint64 {
	return map[string]uint64{"plaintext": d.Plaintext, "no_keyring": d.NoKeyring, "wrong_key": d.WrongKey, "wrong_label": d.WrongPool,
		"forged": d.Forged, "replayed": d.Replayed, "truncated": d.Truncated, "malformed": d.Malformed}
}

// Total is how many messages were refused.
func (d Dropped) Total() (sum uint64) {
	for _, n := range d.ByReason() {
		sum += n
	}
	return sum
}

// HasOutput tells whether Output has anything.
func (p *Pool) HasOutput() bool {
	return len(p.keys.saves) > 0 || len(p.keys.results) > 0 || len(p.notices) > 0 || p.Node.HasOutput()
}

// Output returns what is to be done since the last call, and forgets it. What the pool does about keys because of it is
// in the next one: call it as long as HasOutput tells so.
func (p *Pool) Output() Output {
	out := Output{Output: p.Node.Output()}
	out.Questions = slices.DeleteFunc(out.Questions, func(q swim.Question) bool { return p.handlesQuestion(&q) })
	out.Replies = slices.DeleteFunc(out.Replies, func(r swim.Reply) bool { return p.handlesReply(&r) })
	out.SaveKeyrings, out.KeyResults = p.keys.saves, p.keys.results
	out.Notices = append(out.Notices, p.notices...)
	p.keys.saves, p.keys.results, p.notices = nil, nil, nil
	out.Sends = make([]Send, 0, len(out.Packets)+len(out.Streams))
	for i := range out.Packets {
		out.Sends = p.pack(out.Sends, &out.Packets[i], false)
	}
	for i := range out.Streams {
		out.Sends = p.pack(out.Sends, &out.Streams[i], true)
	}
	out.Packets, out.Streams = nil, nil
	return out
}

func (p *Pool) notice(level swim.NoticeLevel, format string, args ...any) {
	p.notices = append(p.notices, swim.Notice{Level: level, Text: fmt.Sprintf(format, args...)})
}

// pack adds a message to those to be sent. Without randomness for a session it is not: nothing that should be sealed
// leaves open.
func (p *Pool) pack(sends []Send, packet *swim.Packet, stream bool) []Send {
	s := Send{To: packet.Addr, Stream: stream}
	plain := wire.AppendPacket(nil, packet)
	switch {
	case p.Encrypted():
		sealed, err := p.sealer.Seal(nil, p.cfg.Keyring.Primary(), kindOf(stream), plain)
		if err != nil {
			return sends
		}
		s.Payload = sealed
	case p.cfg.Label != "":
		s.Payload = p.sealer.AppendLabel(nil, plain)
	default:
		s.Payload = plain
	}
	return append(sends, s)
}
