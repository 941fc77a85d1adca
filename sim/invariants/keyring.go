package invariants

import (
	"fmt"
	"slices"
)

// Keyring: a key that a member said it has installed is on its disk, and what would cut members off is refused.
type Keyring struct{}

// Installed tells that all members said that they have installed a key, and what one of them has on its disk.
func (Keyring) Installed(member, key string, onDisk []string) error {
	if !slices.Contains(onDisk, key) {
		return fmt.Errorf("%s said that it has installed a key that is not on its disk", member)
	}
	return nil
}

// Refused tells what came of an operation that must not be done.
func (Keyring) Refused(what string, err error) error {
	if err == nil {
		return fmt.Errorf("%s was done", what)
	}
	return nil
}

// AtRest tells the keys of a member after a rotation to key, in memory and on disk.
func (Keyring) AtRest(member, key string, inForce, onDisk []string) error {
	if want := []string{key}; !slices.Equal(inForce, want) || !slices.Equal(onDisk, want) {
		return fmt.Errorf("after the rotation %s has %d keys in force and %d on its disk, not the one", member, len(inForce), len(onDisk))
	}
	return nil
}
