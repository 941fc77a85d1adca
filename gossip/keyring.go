package gossip

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"concord/transport/seal"
)

// same tells whether both have the same keys in the same order.
func (r *Keyring) same(o *Keyring) bool { return slices.Equal(r.keys, o.keys) }

// MaxKeys bounds a keyring. A rotation needs two.
const MaxKeys = 32

// Errors of a keyring, in memberlist's words.
var (
	// ErrNoSuchKey is returned by Use.
	ErrNoSuchKey = errors.New("Requested key is not in the keyring")
	// ErrPrimaryKey is returned by Remove.
	ErrPrimaryKey = errors.New("Removing the primary key is not allowed")
	// ErrKeyringFull is returned by Install.
	ErrKeyringFull = fmt.Errorf("the keyring has %d keys, the most there may be; remove those that are no longer used", MaxKeys)
	// ErrNoKeys is returned for an empty keyring.
	ErrNoKeys = errors.New("no keys present in keyring")
)

// Keyring has the keys of a pool: the primary one, which seals, and others that open as well. Printed, it shows
// fingerprints. It is not safe for concurrent use.
type Keyring struct{ keys []*seal.Key } // the primary key first

// NewKeyring returns a keyring of keys in base64, the primary one first. What is wrong with them is in the error.
func NewKeyring(keys ...string) (*Keyring, error) {
	r := &Keyring{}
	for i, text := range keys {
		k, err := seal.ParseKey(text)
		if err == nil {
			err = r.Install(k)
		}
		if err != nil {
			return nil, fmt.Errorf("key %d of the keyring: %w", i+1, err)
		}
	}
	if len(r.keys) == 0 {
		return nil, ErrNoKeys
	}
	return r, nil
}

// ParseKeyring reads a keyring file: a JSON list of keys in base64, the primary one first, as Consul and Serf keep it.
func ParseKeyring(data []byte) (*Keyring, error) {
	var keys []string
	if err := json.Unmarshal(data, &keys); err != nil {
		return nil, fmt.Errorf("a keyring is a JSON list of keys in base64: %w", err)
	}
	return NewKeyring(keys...)
}

// Marshal is the keyring as a file has it.
func (r *Keyring) Marshal() []byte {
	data, _ := json.Marshal(r.List()) // strings always encode
	return append(data, '\n')
}

// List are the keys in base64, the primary one first.
func (r *Keyring) List() []string {
	out := make([]string, len(r.keys))
	for i, k := range r.keys {
		out[i] = k.Base64()
	}
	return out
}

// Clone returns a copy that changes on its own.
func (r *Keyring) Clone() *Keyring { return &Keyring{slices.Clone(r.keys)} }

// Primary is the key that seals.
func (r *Keyring) Primary() *seal.Key { return r.keys[0] }

func (r *Keyring) index(sum KeySum) int {
	return slices.IndexFunc(r.keys, func(k *seal.Key) bool { return k.Sum() == sum })
}

// KeySum names a key without giving it away.
type KeySum = [32]byte

// Has tells whether a key is in the keyring.
func (r *Keyring) Has(sum KeySum) bool { return r.index(sum) >= 0 }

// Install adds a key that opens; one that is there already changes nothing. It fails with ErrKeyringFull.
func (r *Keyring) Install(k *seal.Key) error {
	switch {
	case r.Has(k.Sum()):
		return nil
	case len(r.keys) >= MaxKeys:
		return ErrKeyringFull
	}
	r.keys = append(r.keys, k)
	return nil
}

// Use makes a key that is installed the primary one. It fails with ErrNoSuchKey.
func (r *Keyring) Use(sum KeySum) error {
	i := r.index(sum)
	if i < 0 {
		return ErrNoSuchKey
	}
	k := r.keys[i]
	r.keys = slices.Insert(slices.Delete(r.keys, i, i+1), 0, k)
	return nil
}

// Remove takes a key away; one that is not there changes nothing. It fails with ErrPrimaryKey.
func (r *Keyring) Remove(sum KeySum) error {
	switch i := r.index(sum); {
	case i == 0:
		return ErrPrimaryKey
	case i > 0:
		r.keys = slices.Delete(r.keys, i, i+1)
	}
	return nil
}

// String shows the fingerprints of the keys.
func (r *Keyring) String() string { return fmt.Sprint(r.keys) }

// GoString is the same for %#v.
func (r *Keyring) GoString() string { return r.String() }
