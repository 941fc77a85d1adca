package process

import (
	"crypto/rand"
	"fmt"
	"path/filepath"

	"concord/gossip"
	"concord/node"
)

// keyrings fills in what encrypts each pool. As with Consul the key of the configuration only makes a keyring where the data
// directory has none; after that the keyring counts, for keys are changed in the cluster and not in configurations.
func (p *Process) keyrings(cfg *node.Config) error {
	cfg.LAN.Random, cfg.WAN.Random = rand.Reader, rand.Reader
	keep := p.files != nil && !p.cfg.DisableKeyringFile
	cfg.LAN.KeepKeyring, cfg.WAN.KeepKeyring = keep, keep
	var err error
	cfg.LAN.Keyring, err = p.keyring(cfg, "LAN", node.SavedKeyring, nil)
	p.encrypted = cfg.LAN.Keyring != nil && !cfg.LAN.SendPlaintext
	if err != nil || !p.hasWAN() {
		return err
	}
	cfg.WAN.Keyring, err = p.keyring(cfg, "WAN", node.SavedRemoteKeyring, cfg.LAN.Keyring)
	return err
}

// Encrypted tells whether gossip is encrypted.
func (p *Process) Encrypted() bool { return p.encrypted }

// keyring is that of a pool, nil if it is not encrypted. like is what a server begins with that has only the other one: an
// agent that becomes a server must not talk in the clear to the others.
func (p *Process) keyring(cfg *node.Config, pool, name string, like *gossip.Keyring) (*gossip.Keyring, error) {
	var given *gossip.Keyring
	var err error
	if p.cfg.EncryptKey != "" {
		if given, err = gossip.NewKeyring(p.cfg.EncryptKey); err != nil {
			return nil, fmt.Errorf("encrypt: %w", err)
		}
	}
	if !cfg.LAN.KeepKeyring {
		return given, nil
	}
	text, err := p.files.Read(name)
	if err != nil {
		return nil, fmt.Errorf("%s keyring: %w", pool, err)
	}
	if text == nil {
		if given == nil && like != nil {
			given = like.Clone()
		}
		if given == nil {
			return nil, nil
		}
		return given, p.files.WriteSecret(name, given.Marshal())
	}
	ring, err := gossip.ParseKeyring(text)
	if err != nil {
		return nil, fmt.Errorf("%s keyring %s: %w: mend it, or remove it to begin again with the key of -encrypt", pool, filepath.Join(p.cfg.DataDir, "serf", name), err)
	}
	if given != nil && !ring.Has(given.Primary().Sum()) {
		p.log.Warn("agent: " + pool + " keyring exists but -encrypt given, using keyring")
	}
	return ring, nil
}
