package node

import (
	"errors"
	"fmt"
	"time"

	"concord/gossip"
	"concord/transport/seal"
	"concord/wire"
)

// ManageKeys carries out an operation on the keys of all members of the LAN pool or, with wan, of the WAN pool. done is
// called once with what came of it.
func (n *Node) ManageKeys(wan bool, req gossip.KeyRequest, done func(gossip.KeyResponse)) {
	n.begin()
	p := n.lan
	if wan {
		p = n.wan
	}
	if p == nil {
		done(gossip.KeyResponse{Err: ErrNoWAN})
		return
	}
	id, err := p.ManageKeys(n.now, req)
	if err != nil {
		done(gossip.KeyResponse{Err: err})
		return
	}
	p.keyOps[id] = done
}

// Encrypted tells whether what is sent in each pool is encrypted.
func (n *Node) Encrypted() (lan, wan bool) {
	return n.lan.Encrypted(), n.wan != nil && n.wan.Encrypted()
}

// LANKeys are the keys of the LAN pool that are in force, the primary one first; nil if it is not encrypted. They are secret.
func (n *Node) LANKeys() []string {
	if n.lan.Keyring() == nil {
		return nil
	}
	return n.lan.Keyring().List()
}

// OnKeyringSaved tells what came of a KeyringTask.
func (n *Node) OnKeyringSaved(t KeyringTask, err error) {
	n.begin()
	for _, p := range n.pools {
		if p.keyring == t.Name {
			p.KeyringSaved(n.now, t.Seq, err)
		}
	}
}

// drainKeys carries out what a pool wants done about its keys.
func (n *Node) drainKeys(p *pool, out *gossip.Output) {
	for _, s := range out.SaveKeyrings {
		n.env.SaveKeyring(KeyringTask{Name: p.keyring, Seq: s.Seq, Data: s.Data})
	}
	for _, r := range out.KeyResults {
		done := p.keyOps[r.ID]
		delete(p.keyOps, r.ID)
		if done != nil {
			done(r.KeyResponse)
		}
	}
}

// dropWarning is how often a line of the log may warn of messages that were dropped.
const dropWarning = 10 * time.Second

// dropped logs that a message was dropped. Strangers can cause that, so it is told once in a while; and a datagram that
// the network doubled is nothing to be told.
func (n *Node) dropped(p *pool, from string, err error) {
	level := Debug
	if n.now >= p.warnAt && !errors.Is(err, seal.ErrReplayed) {
		level, p.warnAt = Warn, n.now+dropWarning
	}
	n.log(level, p.component, "dropped a message", "from", from, "error", err)
}

// KeyringRequest is a request for a key operation in the LAN pool of another datacenter. Requests cross the network as they
// are, so it is sealed with the key of the WAN pool, which all servers have.
func (n *Node) KeyringRequest(datacenter string, req gossip.KeyRequest) (*wire.Request, error) {
	if n.wan == nil {
		return nil, ErrNoWAN
	}
	sealed, err := n.wan.SealSecret(wire.AppendKeyringRequest(nil, &wire.KeyringRequest{Op: uint8(req.Op), Key: req.Key, Relay: int64(req.Relay)}))
	if err != nil {
		return nil, fmt.Errorf("keys are not sent to other datacenters, for the WAN pool is not encrypted: %w", err)
	}
	return &wire.Request{Datacenter: datacenter, Timeout: KeyringTimeout, Operator: &wire.Operator{Kind: wire.Keyring, Keyring: sealed}}, nil
}

// KeyringTimeout is how long a key operation in another datacenter may take: a rehearsal and the operation, asked thrice.
const KeyringTimeout = time.Minute

// KeyringAnswer is what the answer to a KeyringRequest says.
func (n *Node) KeyringAnswer(resp *wire.Response) gossip.KeyResponse {
	if resp.Code != wire.OK || resp.Operator == nil || n.wan == nil {
		return gossip.KeyResponse{Err: errors.New(resp.Err)}
	}
	data, err := n.wan.OpenSecret(resp.Operator.Keyring)
	if err != nil {
		return gossip.KeyResponse{Err: err}
	}
	a, err := wire.DecodeKeyringAnswer(data)
	if err != nil {
		return gossip.KeyResponse{Err: err}
	}
	out := gossip.KeyResponse{Messages: a.Messages, NumNodes: int(a.Nodes), NumResp: int(a.Resp), NumErr: int(a.Errs),
		Keys: counts[int](a.Keys), PrimaryKeys: counts[int](a.PrimaryKeys)}
	if a.Err != "" {
		out.Err = errors.New(a.Err)
	}
	return out
}

func counts[To, From int | int64](m map[string]From) map[string]To {
	out := make(map[string]To, len(m))
	for k, v := range m {
		out[k] = To(v)
	}
	return out
}

// serveKeyring carries out a key operation for a server of another datacenter.
func (s *server) serveKeyring(c *call) {
	refuse := func(err error) { s.n.answer(c, &wire.Response{Code: wire.Refused, Err: err.Error()}) }
	if s.n.wan == nil {
		refuse(ErrNoWAN)
		return
	}
	data, err := s.n.wan.OpenSecret(c.req.Operator.Keyring)
	if err != nil {
		refuse(fmt.Errorf("key operation: %w", err))
		return
	}
	req, err := wire.DecodeKeyringRequest(data)
	if err != nil {
		refuse(fmt.Errorf("key operation: %w", err))
		return
	}
	s.n.ManageKeys(false, gossip.KeyRequest{Op: gossip.KeyOp(req.Op), Key: req.Key, Relay: int(req.Relay)}, func(r gossip.KeyResponse) {
		a := wire.KeyringAnswer{Messages: r.Messages, Nodes: int64(r.NumNodes), Resp: int64(r.NumResp), Errs: int64(r.NumErr),
			Keys: counts[int64](r.Keys), PrimaryKeys: counts[int64](r.PrimaryKeys)}
		if r.Err != nil {
			a.Err = r.Err.Error()
		}
		sealed, err := s.n.wan.SealSecret(wire.AppendKeyringAnswer(nil, &a))
		if err != nil {
			refuse(err)
			return
		}
		s.n.answer(c, &wire.Response{Operator: &wire.OperatorReply{Keyring: sealed}})
	})
}
