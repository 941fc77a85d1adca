package node

import (
	"errors"
	"time"

	"concord/gossip"
	"concord/transport/seal"
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

// OnKeyringSaved tells what came of a KeyringTask.
func (n *Node) OnKeyringSaved(t KeyringTask, err error) {
	n.begin()
	for _, p := range n.pools() {
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
