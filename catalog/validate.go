package catalog

import (
	"encoding/hex"
	"errors"
	"fmt"
)

// MaxKeySize is how many bytes a key of the KV store may have. Consul has no bound of its own
// but URLs do; a key that nobody can name is of no use.
const MaxKeySize = 8 << 10

// Errors of Validate. The texts are Consul's; clients show and match them.
var (
	ErrNoCommand      = errors.New("Unknown command: this version of the server does not know it")
	ErrNoNode         = errors.New("Must provide node")
	ErrNoAddress      = errors.New("Must provide address if SkipNodeUpdate is not set")
	ErrNoServiceName  = errors.New("Must provide service name with ID")
	ErrServiceAddress = errors.New("Invalid service address")
	ErrNoCheckID      = errors.New("Must provide check name or ID")
	ErrNoKey          = errors.New("Must provide key")
	ErrKeySize        = fmt.Errorf("Key is too long: the limit is %d bytes", MaxKeySize)
	ErrKVOp           = errors.New("Unknown KV operation: this version of the server does not know it")
	ErrNoSession      = errors.New("missing session")
	ErrSessionID      = errors.New("failed session lookup: index error: UUID must be 36 characters")
)

// Validate tells why a command would be refused whatever the state, nil if it would not. Whoever
// proposes commands calls it first, to spare the log.
func Validate(cmd Command) error {
	switch c := cmd.(type) {
	case *KVWrite:
		return validateKV(c)
	case *Register:
		return validateRegister(c)
	case *Deregister:
		if c.Node == "" {
			return ErrNoNode
		}
	case *TxnWrite:
		return validateTxn(c.Ops)
	case *UpdateCoordinates:
		return validateCoordinates(c)
	case *SetAutopilot:
	default:
		return ErrNoCommand
	}
	return nil
}

func validateKV(c *KVWrite) error {
	if c.Op < KVSet || c.Op > KVUnlock {
		return ErrKVOp
	}
	if c.Key == "" && c.Op != KVDeleteTree {
		return ErrNoKey
	}
	if len(c.Key) > MaxKeySize {
		return ErrKeySize
	}
	if c.Op == KVLock || c.Op == KVUnlock {
		if c.Session == "" {
			return ErrNoSession
		}
		if c.Op == KVLock && len(c.Session) != uuidSize {
			return ErrSessionID
		}
	}
	return nil
}

func validateRegister(c *Register) error {
	if c.Node == "" {
		return ErrNoNode
	}
	if c.Address == "" && !c.SkipNodeUpdate {
		return ErrNoAddress
	}
	if err := validateNodeID(c.ID); err != nil {
		return err
	}
	if c.Service != nil {
		if err := validateService(c.Service); err != nil {
			return err
		}
	}
	for _, check := range c.checks() {
		if check.CheckID == "" && check.Name == "" {
			return ErrNoCheckID
		}
		if check.Node != "" && check.Node != c.Node {
			return fmt.Errorf("check node %q does not match node %q", check.Node, c.Node)
		}
	}
	return nil
}

func validateNodeID(id string) error {
	if id == "" {
		return nil
	}
	if err := validateUUID(id); err != nil {
		return fmt.Errorf("Bad node ID: %w", err)
	}
	return nil
}

func validateService(s *NodeService) error {
	if s.Service == "" {
		return ErrNoServiceName
	}
	switch s.Address {
	case "0.0.0.0", "::", "[::]":
		return ErrServiceAddress
	}
	return nil
}

// checks returns all checks of c that are there.
func (c *Register) checks() []*HealthCheck {
	var list []*HealthCheck
	for _, check := range c.Checks {
		if check != nil {
			list = append(list, check)
		}
	}
	if c.Check != nil {
		list = append(list, c.Check)
	}
	return list
}

// uuidSize is the length of a UUID as text.
const uuidSize = 36

func validateUUID(id string) error {
	if len(id) != uuidSize {
		return errors.New("uuid string is wrong length")
	}
	if id[8] != '-' || id[13] != '-' || id[18] != '-' || id[23] != '-' {
		return errors.New("uuid is improperly formatted")
	}
	_, err := hex.DecodeString(id[0:8] + id[9:13] + id[14:18] + id[19:23] + id[24:36])
	return err
}
