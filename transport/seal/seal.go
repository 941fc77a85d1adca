// Package seal encrypts and authenticates gossip with AES-GCM, and tells replays from news. It does no I/O and is not
// safe for concurrent use. docs/adr/0010-gossip-encryption.md says why it is as it is.
//
// A sealed message:
//
//	0   1  form: 0xe1
//	1   4  fingerprint of the key
//	5   4  fingerprint of the pool's label
//	9   8  the sender's session: random, new at every start
//	17  4  counter within the session, from 1, big-endian
//	21  n  ciphertext
//	.. 16  tag
//
// Session and counter are GCM's nonce. Form, fingerprints, the kind of message and the label itself are authenticated with
// the ciphertext.
package seal

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// Form is how a message is packed. It is known from the first byte; the plain codec's own versions are below 0x80.
type Form byte

const (
	// Plain is neither sealed nor labelled.
	Plain Form = 0
	// Labelled has the fingerprint of a label before the plain message. It keeps pools apart that are not encrypted;
	// it proves nothing.
	Labelled Form = 0xe0
	// Sealed is encrypted and authenticated.
	Sealed Form = 0xe1
	// Unknown is of a release that this one does not understand.
	Unknown Form = 0xff
)

// FormOf returns the form of a message.
func FormOf(data []byte) Form {
	switch {
	case len(data) == 0 || data[0] < 0x80:
		return Plain
	case Form(data[0]) == Labelled || Form(data[0]) == Sealed:
		return Form(data[0])
	}
	return Unknown
}

// Kind is what a message is sent as. A recorded datagram is no good as a stream, nor the other way round.
type Kind byte

const (
	Datagram Kind = iota + 1
	Stream
	// Secret is what members of a pool tell one another by other ways than gossip, and nobody else may see.
	Secret
)

const (
	// FingerprintSize is how many bytes name a key, and how many a label.
	FingerprintSize = 4
	labelledHeader  = 1 + FingerprintSize
	sessionAt       = 1 + 2*FingerprintSize
	header          = sessionAt + 8 + 4
	tagSize         = 16
	// Overhead is by how many bytes a sealed message is longer.
	Overhead = header + tagSize
	// MaxLabel is the longest label in bytes.
	MaxLabel = 255
)

var (
	// ErrTruncated is returned for what is too short to be a message of its form.
	ErrTruncated = errors.New("seal: truncated message")
	// ErrLabel is returned for a message of another pool.
	ErrLabel = errors.New("seal: message of a pool with another label")
	// ErrUnknownKey is returned for a message sealed with a key that is not in the keyring.
	ErrUnknownKey = errors.New("seal: sealed with a key that is not in the keyring")
	// ErrForged is returned for a message that was changed on its way, or was never sealed with the key.
	ErrForged = errors.New("seal: forged or damaged message")
	// ErrReplayed is returned for a message that was received before, or that is too old to tell.
	ErrReplayed = errors.New("seal: replayed or very late message")
	// ErrConfig is wrapped by what New refuses.
	ErrConfig = errors.New("seal: bad configuration")
)

// Config is what a Sealer is made from.
type Config struct {
	// Label names the pool: a message of a pool with another label is refused, even with the same key. At most MaxLabel bytes.
	Label string
	// Random gives session numbers. In the product it is crypto/rand's Reader.
	Random io.Reader
	// MaxSessions bounds the senders whose windows are remembered. Each life of a member has two: one for datagrams, one
	// for streams.
	MaxSessions int
}

// Sealer seals what a member sends and opens what it receives.
type Sealer struct {
	label  string
	mark   [FingerprintSize]byte // of the label
	random io.Reader
	heard  sessions
	own    [Secret + 1]counter
}

// counter numbers what this member sends.
type counter struct {
	session uint64
	last    uint32
}

// New returns a Sealer. It fails with ErrConfig, or with what Random failed with.
func New(cfg Config) (*Sealer, error) {
	switch {
	case len(cfg.Label) > MaxLabel:
		return nil, fmt.Errorf("%w: the label has %d bytes, at most %d are allowed", ErrConfig, len(cfg.Label), MaxLabel)
	case cfg.Random == nil:
		return nil, fmt.Errorf("%w: no source of randomness", ErrConfig)
	case cfg.MaxSessions < 1:
		return nil, fmt.Errorf("%w: %d sessions, there must be room for one", ErrConfig, cfg.MaxSessions)
	}
	s := &Sealer{label: cfg.Label, mark: fingerprint(cfg.Label), random: cfg.Random, heard: newSessions(cfg.MaxSessions)}
	if err := s.Renew(); err != nil {
		return nil, err
	}
	return s, nil
}

// Renew begins new sessions. It fails with what Random failed with; those that were not renewed go on.
func (s *Sealer) Renew() error {
	for _, k := range []Kind{Datagram, Stream, Secret} {
		if err := s.renew(k); err != nil {
			return err
		}
	}
	return nil
}

func fingerprint(label string) (f [FingerprintSize]byte) {
	sum := sha256.Sum256([]byte("concord gossip label\x00" + label))
	copy(f[:], sum[:])
	return f
}

// renew begins a session. Two sessions of one key must never have the same number, for a nonce would repeat: among a
// million of them, drawn at random, that has a chance of 1 in 37 million.
func (s *Sealer) renew(kind Kind) error {
	var b [8]byte
	if _, err := io.ReadFull(s.random, b[:]); err != nil {
		return fmt.Errorf("seal: no randomness for a session: %w", err)
	}
	s.own[kind] = counter{session: binary.BigEndian.Uint64(b[:])}
	return nil
}

// Seal appends the sealed payload to dst. It fails only if a new session is needed, once in 4 billion messages, and
// Random fails.
func (s *Sealer) Seal(dst []byte, key *Key, kind Kind, payload []byte) ([]byte, error) {
	if s.own[kind].last == math.MaxUint32 {
		if err := s.renew(kind); err != nil {
			return dst, err
		}
	}
	own := &s.own[kind]
	own.last++
	dst = slices.Grow(dst, Overhead+len(payload))
	start := len(dst)
	dst = append(dst, byte(Sealed))
	dst = append(dst, key.sum[:FingerprintSize]...)
	dst = append(dst, s.mark[:]...)
	dst = binary.BigEndian.AppendUint64(dst, own.session)
	dst = binary.BigEndian.AppendUint32(dst, own.last)
	return key.aead.Seal(dst, dst[start+sessionAt:], payload, s.associated(dst[start:], kind)), nil
}

// associated is what is authenticated besides the payload: form and fingerprints, the kind, and the whole label. All before
// the label has a fixed length, so that no two differ and have the same bytes.
func (s *Sealer) associated(head []byte, kind Kind) []byte {
	a := make([]byte, 0, sessionAt+1+len(s.label))
	a = append(a, head[:sessionAt]...)
	a = append(a, byte(kind))
	return append(a, s.label...)
}

// Open returns the payload of a sealed message, in memory of its own. The error says why it must be dropped.
func (s *Sealer) Open(keys []*Key, kind Kind, data []byte) ([]byte, error) {
	if len(data) < Overhead || Form(data[0]) != Sealed {
		return nil, ErrTruncated
	}
	if [FingerprintSize]byte(data[labelledHeader:sessionAt]) != s.mark {
		return nil, ErrLabel
	}
	session, count := binary.BigEndian.Uint64(data[sessionAt:]), binary.BigEndian.Uint32(data[sessionAt+8:])
	if session == s.own[kind].session || s.heard.replayed(session, count) {
		return nil, ErrReplayed // what comes back to its own sender is a replay, too
	}
	err := ErrUnknownKey
	for _, k := range keys {
		if [FingerprintSize]byte(data[1:labelledHeader]) != [FingerprintSize]byte(k.sum[:]) {
			continue
		}
		payload, failed := k.aead.Open(nil, data[sessionAt:header], data[header:], s.associated(data, kind))
		if failed == nil {
			// Only now: a forgery must not move the window of the sender it claims to be.
			s.heard.accept(session, count)
			return payload, nil
		}
		err = ErrForged
	}
	return nil, err
}

// AppendLabel appends a plain payload with the pool's label to dst; without a label just the payload.
func (s *Sealer) AppendLabel(dst, payload []byte) []byte {
	if s.label != "" {
		dst = append(append(dst, byte(Labelled)), s.mark[:]...)
	}
	return append(dst, payload...)
}

// CheckLabel returns the payload of a message that is not sealed, if its label is the pool's. It aliases data.
func (s *Sealer) CheckLabel(data []byte) ([]byte, error) {
	labelled := FormOf(data) == Labelled
	switch {
	case labelled && len(data) < labelledHeader:
		return nil, ErrTruncated
	case labelled != (s.label != ""), labelled && [FingerprintSize]byte(data[1:labelledHeader]) != s.mark:
		return nil, ErrLabel
	case labelled:
		return data[labelledHeader:], nil
	}
	return data, nil
}
