package process

import (
	"context"
	"errors"

	httpapi "concord/api/http"
	"concord/gossip"
	"concord/node"
	"concord/wire"
)

// errKeyringServer is Consul's.
var errKeyringServer = errors.New("keyring operations must run against a server node")

// Keyring carries out a key operation in the WAN pool and in the LAN pools of all datacenters, one after the other.
func (p *Process) Keyring(ctx context.Context, req httpapi.KeyringRequest) ([]httpapi.KeyringResponse, error) {
	if !p.cfg.Node.Server {
		return nil, errKeyringServer
	}
	var out []httpapi.KeyringResponse
	own := p.cfg.Node.Datacenter
	add := func(wan bool, dc string, r gossip.KeyResponse) {
		v := httpapi.KeyringResponse{WAN: wan, Datacenter: dc, Messages: r.Messages, Keys: r.Keys, PrimaryKeys: r.PrimaryKeys, NumNodes: r.NumNodes}
		if r.Err != nil {
			v.Error = r.Err.Error()
		}
		out = append(out, v)
	}
	if p.hasWAN() && !req.LocalOnly {
		r, err := p.manageKeys(ctx, true, req.KeyRequest)
		if err != nil {
			return nil, err
		}
		add(true, own, r)
	}
	r, err := p.manageKeys(ctx, false, req.KeyRequest)
	if err != nil {
		return nil, err
	}
	add(false, own, r)
	if req.LocalOnly {
		return out, nil
	}
	var datacenters []string
	if err := p.runner.Call(ctx, func(n *node.Node) { datacenters = n.Datacenters() }); err != nil {
		return nil, err
	}
	for _, dc := range datacenters {
		if dc == own {
			continue
		}
		r, err := p.manageKeysAbroad(ctx, dc, req.KeyRequest)
		if err != nil {
			return nil, err
		}
		add(false, dc, r)
	}
	return out, nil
}

// manageKeys carries out a key operation in one of this agent's own pools.
func (p *Process) manageKeys(ctx context.Context, wan bool, req gossip.KeyRequest) (gossip.KeyResponse, error) {
	done := make(chan gossip.KeyResponse, 1)
	if err := p.runner.Call(ctx, func(n *node.Node) { n.ManageKeys(wan, req, func(r gossip.KeyResponse) { done <- r }) }); err != nil {
		return gossip.KeyResponse{}, err
	}
	select {
	case r := <-done:
		return r, nil
	case <-p.runner.Stopped():
		return gossip.KeyResponse{}, errors.New("the agent is shutting down")
	case <-ctx.Done():
		return gossip.KeyResponse{}, ctx.Err()
	}
}

// manageKeysAbroad lets a server of another datacenter carry it out there.
func (p *Process) manageKeysAbroad(ctx context.Context, dc string, req gossip.KeyRequest) (r gossip.KeyResponse, err error) {
	var sealed *wire.Request
	var failed error
	if err := p.runner.Call(ctx, func(n *node.Node) { sealed, failed = n.KeyringRequest(dc, req) }); err != nil || failed != nil {
		return gossip.KeyResponse{Err: failed}, err
	}
	resp := p.Do(ctx, sealed)
	err = p.runner.Call(ctx, func(n *node.Node) { r = n.KeyringAnswer(resp) })
	return r, err
}
