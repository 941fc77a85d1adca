package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
)

// ErrKeySize is returned by NewKey, in memberlist's words.
var ErrKeySize = errors.New("key size must be 16, 24 or 32 bytes")

// Key is a secret for AES-128, AES-192 or AES-256. Printed, it shows its fingerprint, never the secret.
type Key struct {
	secret []byte
	aead   cipher.AEAD
	sum    [sha256.Size]byte
}

// NewKey returns the key of 16, 24 or 32 bytes; any other length is ErrKeySize.
func NewKey(secret []byte) (*Key, error) {
	if n := len(secret); n != 16 && n != 24 && n != 32 {
		return nil, ErrKeySize
	}
	k := &Key{secret: append([]byte(nil), secret...)}
	block, err := aes.NewCipher(k.secret)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	if k.aead, err = cipher.NewGCM(block); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	// The hash is one-way and the secret random: what the fingerprint gives away is which of its keys a pool uses.
	k.sum = sha256.Sum256(append([]byte("concord gossip key fingerprint\x00"), k.secret...))
	return k, nil
}

// ParseKey returns the key that is written in base64, as `node keygen` writes it.
func ParseKey(text string) (*Key, error) {
	secret, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("the key is not base64; make one with `node keygen`: %w", err)
	}
	return NewKey(secret)
}

// Base64 is the secret as it is written in configurations and keyring files.
func (k *Key) Base64() string { return base64.StdEncoding.EncodeToString(k.secret) }

// Secret is the key itself. It must not be changed, and not be logged.
func (k *Key) Secret() []byte { return k.secret }

// Sum identifies the key without giving it away.
func (k *Key) Sum() [sha256.Size]byte { return k.sum }

// String is the key's fingerprint.
func (k *Key) String() string { return "key " + hex.EncodeToString(k.sum[:FingerprintSize]) }

// GoString is the same for %#v.
func (k *Key) GoString() string { return k.String() }
