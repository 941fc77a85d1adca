package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"concord/gossip"
	"concord/gossip/agent/ipc"
	"concord/gossip/agent/logs"
)

// keyring are the keys to begin with, nil if the pool is not encrypted.
func (c *Config) keyring() (*gossip.Keyring, error) {
	if c.EncryptKey != "" {
		k, err := gossip.NewKeyring(c.EncryptKey)
		if err != nil {
			return nil, fmt.Errorf("Invalid encryption key: %w", err)
		}
		return k, nil
	}
	if c.KeyringFile == "" {
		return nil, nil
	}
	data, err := os.ReadFile(c.KeyringFile)
	if err != nil {
		return nil, fmt.Errorf("Failed to read keyring file: %w", err)
	}
	k, err := gossip.ParseKeyring(data)
	if err != nil {
		return nil, fmt.Errorf("Failed to restore keyring: %s: %w", c.KeyringFile, err)
	}
	return k, nil
}

// saveKeyrings keeps keyrings in the file, and tells the pool.
func (a *Agent) saveKeyrings(all []gossip.SaveKeyring) {
	for _, s := range all {
		err := replaceFile(a.cfg.KeyringFile, s.Data, 0o600)
		if err != nil {
			a.log.Printf(logs.Err, "agent: Failed to write keyring file: %v", err)
		}
		err = a.call(context.Background(), func(now time.Duration, p *gossip.Pool) { p.KeyringSaved(now, s.Seq, err) })
		if err != nil {
			a.log.Printf(logs.Err, "agent: the pool was not told that its keys are kept: %v", err)
		}
	}
}

// keyOps are the operations by their names in the RPC protocol.
var keyOps = map[string]gossip.KeyOp{ipc.ListKeys: gossip.ListKeys, ipc.InstallKey: gossip.InstallKey, ipc.UseKey: gossip.UseKey, ipc.RemoveKey: gossip.RemoveKey}

// Keys implements ipc.Backend.
func (a *Agent) Keys(ctx context.Context, operation, key string) (ipc.KeyResponse, error) {
	a.log.Printf(logs.Info, "agent: Initiating key operation: %s", operation)
	result := make(chan gossip.KeyResponse, 1)
	var refused error
	err := a.call(ctx, func(now time.Duration, p *gossip.Pool) {
		var id uint64
		if id, refused = p.ManageKeys(now, gossip.KeyRequest{Op: keyOps[operation], Key: key}); refused == nil {
			a.replies.keys[id] = result
		}
	})
	if err = errors.Join(err, refused); err != nil {
		return ipc.KeyResponse{}, err
	}
	select {
	case r := <-result:
		return ipc.KeyResponse{Messages: r.Messages, Keys: r.Keys, NumNodes: r.NumNodes, NumErr: r.NumErr, NumResp: r.NumResp}, r.Err
	case <-ctx.Done():
		return ipc.KeyResponse{}, ctx.Err()
	}
}
