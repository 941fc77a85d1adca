package config

import (
	"net/netip"
	"strings"
	"time"

	"concord/swim"
	"concord/transport/seal"
)

// rawGossip is how a gossip pool is tuned. Consul has only some of it; the other names are Serf's.
type rawGossip struct {
	// Preset names the timing that the other keys change: lan, wan, or fast for members of one rack.
	Preset *string `mapstructure:"preset"`
	// Label keeps pools apart; it is memberlist's, which Consul does not let one set.
	Label            *string `mapstructure:"label"`
	GossipNodes      *int    `mapstructure:"gossip_nodes"`
	GossipInterval   *string `mapstructure:"gossip_interval"`
	GossipToTheDead  *string `mapstructure:"gossip_to_the_dead_time"`
	ProbeInterval    *string `mapstructure:"probe_interval"`
	ProbeTimeout     *string `mapstructure:"probe_timeout"`
	IndirectChecks   *int    `mapstructure:"indirect_checks"`
	SuspicionMult    *int    `mapstructure:"suspicion_mult"`
	SuspicionMaxMult *int    `mapstructure:"suspicion_max_timeout_mult"`
	AwarenessMax     *int    `mapstructure:"awareness_max_multiplier"`
	RetransmitMult   *int    `mapstructure:"retransmit_mult"`
	PushPull         *string `mapstructure:"push_pull_interval"`
	Reconnect        *string `mapstructure:"reconnect_interval"`
}

var gossipPresets = map[string]func() swim.Config{"lan": swim.LAN, "wan": swim.WAN, "fast": swim.Fast}

// gossip is the timing of a pool: a preset, changed by what is written.
func (b *builder) gossip(section string, g rawGossip, preset string) swim.Config {
	name := or(g.Preset, preset)
	timing, ok := gossipPresets[name]
	if !ok {
		b.fail("%s.preset: %q is none: choose lan, wan or fast", section, name)
		timing = gossipPresets[preset]
	}
	c := timing()
	for _, f := range []struct {
		key string
		raw *string
		to  *time.Duration
	}{
		{"gossip_interval", g.GossipInterval, &c.GossipInterval}, {"gossip_to_the_dead_time", g.GossipToTheDead, &c.GossipToTheDead},
		{"probe_interval", g.ProbeInterval, &c.ProbeInterval}, {"probe_timeout", g.ProbeTimeout, &c.ProbeTimeout},
		{"push_pull_interval", g.PushPull, &c.PushPullInterval}, {"reconnect_interval", g.Reconnect, &c.ReconnectInterval},
	} {
		*f.to = b.duration(section+"."+f.key, f.raw, *f.to)
	}
	for _, f := range []struct {
		key string
		raw *int
		to  *int
	}{
		{"gossip_nodes", g.GossipNodes, &c.GossipNodes}, {"indirect_checks", g.IndirectChecks, &c.IndirectChecks},
		{"suspicion_mult", g.SuspicionMult, &c.SuspicionMult}, {"suspicion_max_timeout_mult", g.SuspicionMaxMult, &c.SuspicionMaxMult},
		{"awareness_max_multiplier", g.AwarenessMax, &c.AwarenessMax}, {"retransmit_mult", g.RetransmitMult, &c.RetransmitMult},
	} {
		*f.to = or(f.raw, *f.to)
	}
	named := c
	named.Name, named.Addr = "n", netip.MustParseAddrPort("127.0.0.1:1")
	if err := named.Validate(); err != nil {
		for _, line := range strings.Split(err.Error(), "\n") {
			b.fail("%s: %s", section, line)
		}
	}
	return c
}

// Encryption says how gossip is encrypted.
type Encryption struct {
	// Key is in base64; empty: gossip is encrypted only if there is a keyring in the data directory.
	Key string
	// VerifyIncoming refuses, VerifyOutgoing avoids what is not encrypted. Both are switched off, and on one after the
	// other, to encrypt a pool that runs.
	VerifyIncoming, VerifyOutgoing bool
	// DisableFile: keys are not kept on disk.
	DisableFile bool
	// LabelLAN and LabelWAN keep the pools apart from others.
	LabelLAN, LabelWAN string
}

// encryption is how both pools are encrypted.
func (b *builder) encryption() {
	r := b.raw
	e := Encryption{Key: or(r.Encrypt, ""), VerifyIncoming: or(r.EncryptIncoming, true), VerifyOutgoing: or(r.EncryptOutgoing, true),
		DisableFile: or(r.DisableKeyringFile, false) || b.dev, LabelLAN: or(r.Gossip.Label, ""), LabelWAN: or(r.GossipWAN.Label, "")}
	if e.Key != "" {
		// The key itself must not be shown, not even a wrong one: it may be a typing error away from a right one.
		if _, err := seal.ParseKey(e.Key); err != nil {
			b.fail("encrypt has invalid key: %w", err)
		}
	}
	for section, label := range map[string]string{"gossip_lan": e.LabelLAN, "gossip_wan": e.LabelWAN} {
		if len(label) > seal.MaxLabel {
			b.fail("%s.label: %d bytes are too many, at most %d", section, len(label), seal.MaxLabel)
		}
	}
	if !e.VerifyOutgoing && e.VerifyIncoming {
		b.warn("encrypt_verify_outgoing is off and encrypt_verify_incoming is not: this agent refuses what others of its kind send")
	}
	b.out.Encryption = e
}

// minReconnectTimeout is the least time after which a failed member may be forgotten; Consul's.
const minReconnectTimeout = 8 * time.Hour

// pools is how both pools are tuned.
func (b *builder) pools() {
	r, o := b.raw, &b.out
	o.LAN = b.gossip("gossip_lan", r.Gossip, "lan")
	o.WAN = b.gossip("gossip_wan", r.GossipWAN, "wan")
	o.LAN.ReconnectTimeout = b.reconnectTimeout("reconnect_timeout", r.ReconnectTimeout, o.LAN.ReconnectTimeout)
	o.WAN.ReconnectTimeout = b.reconnectTimeout("reconnect_timeout_wan", r.ReconnectTimeoutWAN, o.WAN.ReconnectTimeout)
}

func (b *builder) reconnectTimeout(key string, v *string, def time.Duration) time.Duration {
	d := b.duration(key, v, def)
	if d < minReconnectTimeout {
		b.fail("%s must be >= %v", key, minReconnectTimeout)
	}
	return d
}

// wan is where this server is in the WAN pool.
func (b *builder) wan() {
	r, o := b.raw, &b.out
	o.BindLAN, o.BindWAN, o.AdvertiseWAN = o.Bind, o.Bind, o.Advertise
	if r.SerfLAN != nil {
		o.BindLAN = b.ip("serf_lan", *r.SerfLAN)
	}
	if r.SerfWAN != nil {
		o.BindWAN = b.ip("serf_wan", *r.SerfWAN)
	}
	if r.AdvertiseAddrWAN == nil {
		return
	}
	o.AdvertiseWAN = b.ip("advertise_addr_wan", *r.AdvertiseAddrWAN)
	if o.AdvertiseWAN.IsUnspecified() {
		b.fail("advertise_addr_wan: cannot be %s: others could not reach the agent", o.AdvertiseWAN)
	}
}

// joining is whom to join in each pool.
func (b *builder) joining() {
	r, o := b.raw, &b.out
	o.JoinLAN = b.join("", r.StartJoin, r.RetryJoin, r.RetryInterval, r.RetryMax)
	o.JoinWAN = b.join("_wan", r.StartJoinWAN, r.RetryJoinWAN, r.RetryIntervalWAN, r.RetryMaxWAN)
	o.Rejoin = or(r.RejoinAfterLeave, false)
	if given := len(o.JoinWAN.Start) + len(o.JoinWAN.Retry); given > 0 && (!o.Server || o.SerfWANPort < 0) {
		b.warn("start_join_wan and retry_join_wan do nothing: only a server with ports.serf_wan is in the WAN pool")
	}
}

func (b *builder) join(suffix string, start, retry []string, interval *string, most *int) Joining {
	j := Joining{Start: start, Retry: retry, RetryMax: or(most, 0)}
	j.RetryInterval = b.duration("retry_interval"+suffix, interval, 30*time.Second)
	for _, a := range append(start, retry...) {
		if strings.HasPrefix(a, "provider=") {
			b.fail("retry_join%s: %q: cloud auto-join is not supported yet: name addresses", suffix, a)
		}
	}
	if len(start) > 0 && len(retry) > 0 {
		b.warn("both start_join%s and retry_join%s are given: the agent ends if start_join%s fails", suffix, suffix, suffix)
	}
	return j
}
