package sim

import (
	"encoding/base64"
	"strconv"
	"time"

	"concord/gossip"
	"concord/internal/prng"
	"concord/node"
	"concord/swim"
)

// keyKeeper is the operator of an encrypted pool. It changes the pool's key step by step, as it is told to (a fault of the kind
// rotate-key is a step): it installs a new one until all hosts have it, lets it be used until all do, and removes the
// old one. A host that is down meanwhile holds it up. New hosts get the keys that the operator knows.
type keyKeeper struct {
	w       *World
	rng     *prng.Rand
	count   int
	primary string // what new hosts begin with
	next    string // the key to come; once all use that, the one to go; "" between two rotations
	retired []string
	phase   keyPhase
	host    *Host // that carries out the step under way; nil: none
	life    int   // of the host
}

type keyPhase uint8

const (
	keyIdle keyPhase = iota
	keyInstall
	keyInstalled // asks whether all have it
	keyUse
	keyUsed // asks whether all use it
	keyRemove
	keyRemoved  // asks whether nobody has the old one
	keyUseAgain // for a host that came with the old one in use after all were asked
)

func newKeyKeeper(w *World) *keyKeeper {
	k := &keyKeeper{w: w, rng: w.rng.Fork("keys")}
	k.primary = k.make()
	return k
}

// make returns a new key of any of the sizes.
func (k *keyKeeper) make() string {
	r := k.w.rng.Fork("key-" + strconv.Itoa(k.count))
	k.count++
	secret := make([]byte, 16+8*r.IntN(3))
	r.Read(secret)
	return base64.StdEncoding.EncodeToString(secret)
}

// encrypt has a node's pools encrypted, with the keys on its disk.
func (h *Host) encrypt(c *node.Config) {
	if !h.w.Options.Encrypted {
		return
	}
	life := strconv.Itoa(h.epoch)
	c.LAN.Label, c.WAN.Label = "sim-"+h.w.Datacenter, "sim-wan"
	c.LAN.KeepKeyring, c.WAN.KeepKeyring = true, true
	c.LAN.Random, c.WAN.Random = h.rng.Fork("seal-"+life), h.rng.Fork("seal-wan-"+life)
	c.LAN.Keyring = h.keyring(node.SavedKeyring, h.w.keys.known()...)
	c.WAN.Keyring = h.keyring(node.SavedRemoteKeyring, base64.StdEncoding.EncodeToString([]byte("sixteen bytes...")))
}

// keyring is the one on the disk or, where there is none, a new one.
func (h *Host) keyring(name string, initial ...string) *gossip.Keyring {
	ring, err := gossip.NewKeyring(initial...)
	if data := h.disk.files[name]; data != nil {
		ring, err = gossip.ParseKeyring(data)
	}
	if err != nil {
		h.w.fail("recovery", "%s: %v", h.name, err)
		return nil
	}
	h.disk.files[name] = ring.Marshal()
	return ring
}

// known are the keys that the operator gives to a new host.
func (k *keyKeeper) known() []string {
	if k.next == "" {
		return []string{k.primary}
	}
	return []string{k.primary, k.next}
}

// rotateKey takes the next step of a rotation, or tries what must be refused.
func (n *nemesis) rotateKey(r *prng.Rand) string {
	k, h := n.w.keys, n.any(r)
	if !n.w.Options.Encrypted || h.state != hostUp || k.busy() {
		return ""
	}
	if k.phase == keyIdle && r.Chance(1, 3) {
		return k.mischief(h, r)
	}
	return k.step(h)
}

// busy tells whether a step is under way. One whose host has crashed meanwhile is over, and what came of it unknown: it is
// taken again.
func (k *keyKeeper) busy() bool { return k.host != nil && k.host.epoch == k.life }

// mischief tries to remove the key that all use, or to use one that nobody has.
func (k *keyKeeper) mischief(h *Host, r *prng.Rand) string {
	req, what := gossip.KeyRequest{Op: gossip.RemoveKey, Key: k.primary}, "removal of the primary key"
	if r.Chance(1, 2) {
		req, what = gossip.KeyRequest{Op: gossip.UseKey, Key: k.make()}, "use of an unknown key"
	}
	k.ask(h, req, func(resp gossip.KeyResponse) {
		k.w.checks.verify("keyring", k.w.checks.keyring.Refused(what, resp.Err))
	})
	return what + " at " + h.name
}

// step asks a host for what comes next.
func (k *keyKeeper) step(h *Host) string {
	if k.phase == keyIdle {
		k.next, k.phase = k.make(), keyInstall
	}
	req := gossip.KeyRequest{Op: gossip.ListKeys}
	switch k.phase {
	case keyInstall:
		req = gossip.KeyRequest{Op: gossip.InstallKey, Key: k.next}
	case keyUse:
		req = gossip.KeyRequest{Op: gossip.UseKey, Key: k.next}
	case keyRemove:
		req = gossip.KeyRequest{Op: gossip.RemoveKey, Key: k.next}
	case keyUseAgain:
		req = gossip.KeyRequest{Op: gossip.UseKey, Key: k.primary}
	}
	phase := k.phase
	k.ask(h, req, func(resp gossip.KeyResponse) {
		if resp.Err != nil {
			k.w.logf("key operation: %s: %v", req.Op, resp.Err)
			k.w.cover("key operation failed")
		}
		k.learn(phase, resp, k.seesAll(h))
		if resp.Err == nil && k.phase != keyIdle && !k.w.nemesis.over {
			k.w.after(k.rng.Duration(10*ms, 300*ms), "rotate-key", -1, k.goOn)
		}
	})
	return req.Op.String() + " at " + h.name
}

// goOn takes the next step of a rotation that has begun.
func (k *keyKeeper) goOn() {
	h := k.w.hosts[k.rng.IntN(len(k.w.hosts))]
	if k.phase != keyIdle && h.state == hostUp && !k.busy() && !k.w.nemesis.over {
		k.w.logf("%s", k.step(h))
	}
}

// seesAll tells whether a host takes all of them for alive, each under its present name: what all members did that it knows
// of, all hosts did.
func (k *keyKeeper) seesAll(h *Host) bool {
	for _, o := range k.w.hosts {
		if m, ok := h.node.Member(o.name); !ok || m.State != swim.StateAlive {
			return false
		}
	}
	return true
}

func (k *keyKeeper) ask(h *Host, req gossip.KeyRequest, done func(gossip.KeyResponse)) {
	k.host, k.life = h, h.epoch
	h.input(func() {
		h.node.ManageKeys(false, req, func(resp gossip.KeyResponse) {
			if k.host == h && k.busy() {
				k.host = nil
				done(resp)
			}
		})
	})
}

// learn goes on to the next phase if this one succeeded at all hosts.
func (k *keyKeeper) learn(phase keyPhase, resp gossip.KeyResponse, all bool) {
	switch ok := resp.Err == nil; phase {
	case keyInstall:
		if ok && all {
			k.kept()
		}
		k.phase = keyInstalled
	case keyInstalled:
		k.to(ok && all && resp.Keys[k.next] == resp.NumNodes, keyUse, keyInstall)
	case keyUse:
		k.to(ok, keyUsed, keyInstalled)
	case keyUsed:
		if k.to(ok && all && resp.PrimaryKeys[k.next] == resp.NumNodes, keyRemove, keyUse); k.phase == keyRemove {
			k.primary, k.next = k.next, k.primary
		}
	case keyRemove:
		k.phase = keyRemoved
	case keyRemoved:
		if k.to(ok && all && resp.Keys[k.primary] == resp.NumNodes && resp.Keys[k.next] == 0, keyIdle, keyUseAgain); k.phase == keyIdle {
			k.retired, k.next = append(k.retired, k.next), ""
			k.w.cover("key rotated")
		}
	case keyUseAgain:
		k.phase = keyRemove
	}
}

func (k *keyKeeper) to(ok bool, next, again keyPhase) {
	if k.phase = again; ok {
		k.phase = next
	}
}

// kept checks that what all hosts said they have installed is on their disks.
func (k *keyKeeper) kept() {
	for _, h := range k.w.hosts {
		if keys := h.savedKeys(); keys != nil {
			k.w.checks.verify("keyring", k.w.checks.keyring.Installed(h.name, k.next, keys))
		}
	}
}

// savedKeys are the keys on the host's disk.
func (h *Host) savedKeys() []string {
	data := h.disk.files[node.SavedKeyring]
	if data == nil {
		return nil
	}
	ring, err := gossip.ParseKeyring(data)
	if err != nil {
		h.w.fail("recovery", "%s: %v", h.name, err)
		return nil
	}
	return ring.List()
}

// rotate changes the key of a cluster at rest, through to the end.
func (w *World) rotate() {
	if w.failure != nil || !w.Options.Encrypted {
		return
	}
	k := w.keys
	before := len(k.retired)
	w.expect("a change of the key", 3*time.Minute, func() bool {
		if k.phase == keyIdle && len(k.retired) > before {
			return true
		}
		if !k.busy() {
			k.step(w.hosts[(int(k.phase)+k.count)%len(w.hosts)])
		}
		return false
	})
	for _, h := range w.hosts {
		if w.failure == nil {
			w.checks.verify("keyring", w.checks.keyring.AtRest(h.name, k.primary, h.node.LANKeys(), h.savedKeys()))
		}
	}
}
