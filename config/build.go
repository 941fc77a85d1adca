package config

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"concord/agent"
	"concord/config/logging"
	"concord/raft/autopilot"
	"concord/swim"
)

// builder turns what is written into a runtime configuration and collects every problem on the way.
type builder struct {
	raw      *raw
	dev      bool
	out      Runtime
	warnings []string
	errs     []error
}

func (b *builder) fail(format string, args ...any) {
	b.errs = append(b.errs, fmt.Errorf(format, args...))
}

func (b *builder) warn(format string, args ...any) {
	b.warnings = append(b.warnings, fmt.Sprintf(format, args...))
}

// or returns what is written, or the default.
func or[T any](v *T, def T) T {
	if v == nil {
		return def
	}
	return *v
}

func (b *builder) duration(key string, v *string, def time.Duration) time.Duration {
	if v == nil {
		return def
	}
	d, err := time.ParseDuration(*v)
	if err != nil || d < 0 {
		b.fail("%s: %q is not a duration: write it like 10s or 1m30s", key, *v)
		return def
	}
	return d
}

func (b *builder) build() {
	r, o := b.raw, &b.out
	o.Dev, o.Server = b.dev, or(r.Server, b.dev)
	o.Datacenter = strings.ToLower(or(r.Datacenter, "dc1"))
	if !regexp.MustCompile(`^[a-z0-9_-]+$`).MatchString(o.Datacenter) {
		b.fail("datacenter: %q must be letters, digits, - and _ only", o.Datacenter)
	}
	b.identity()
	b.role()
	b.network()
	b.wan()
	b.joining()
	b.timing()
	b.pools()
	b.encryption()
	b.coordinates()
	b.dns()
	b.definitions()
	o.LogLevel, o.LogJSON, o.PidFile = or(r.LogLevel, map[bool]string{true: "debug", false: "info"}[b.dev]), or(r.LogJSON, false), or(r.PidFile, "")
	if _, err := logging.ParseLevel(o.LogLevel); err != nil {
		b.fail("log_level: %w", err)
	}
	o.MaxHTTPConns = or(r.Limits.HTTPMaxConnsPerClient, 200)
	o.ResponseHeaders = r.HTTPConfig.ResponseHeaders
	// Clients leave when told to end, servers only if told to: a server that comes back keeps its place.
	o.LeaveOnTerminate = or(r.LeaveOnTerminate, !o.Server)
	o.SkipLeaveOnInterrupt = or(r.SkipLeaveOnInterrupt, o.Server)
	o.DisableRemoteExec = or(r.DisableRemoteExec, true)
}

func (b *builder) identity() {
	r, o := b.raw, &b.out
	host, err := os.Hostname()
	if err != nil && r.NodeName == nil {
		b.fail("node_name: the host has no name (%v): give the node one with -node", err)
	}
	o.NodeName = strings.TrimSpace(or(r.NodeName, host))
	switch {
	case o.NodeName == "":
		b.fail("node_name: cannot be empty")
	case len(o.NodeName) > swim.MaxName:
		b.fail("node_name: %d bytes are too many, at most %d", len(o.NodeName), swim.MaxName)
	case !regexp.MustCompile(`^[A-Za-z0-9-]+$`).MatchString(o.NodeName):
		b.warn("Node name %q will not be discoverable via DNS due to invalid characters. Valid characters include all alpha-numerics and dashes.", o.NodeName)
	case len(o.NodeName) > 63:
		b.warn("Node name %q will not be discoverable via DNS due to it being too long. Valid lengths are between 1 and 63 bytes.", o.NodeName)
	}
	if o.NodeID = strings.ToLower(or(r.NodeID, "")); o.NodeID != "" {
		if _, err := uuid.Parse(o.NodeID); err != nil {
			b.fail("node_id: %q is not a UUID", o.NodeID)
		}
	}
	// The empty segment is part of every node's metadata in Consul.
	o.NodeMeta = map[string]string{"consul-network-segment": ""}
	maps.Copy(o.NodeMeta, r.NodeMeta)
	for k, v := range o.NodeMeta {
		if k == "" || len(k) > 128 || len(v) > 512 || !regexp.MustCompile(`^[a-zA-Z0-9_-]+$`).MatchString(k) {
			b.fail("node_meta: %q: a key has up to 128 letters, digits, - and _, a value up to 512 bytes", k)
		}
	}
	if len(o.NodeMeta) > 64 {
		b.fail("node_meta: %d pairs are too many, at most 64", len(o.NodeMeta))
	}
	o.DataDir = or(r.DataDir, "")
	switch {
	case b.dev:
		o.DataDir = ""
	case o.DataDir == "":
		b.fail("data_dir cannot be empty: say where to keep data with -data-dir, or use -dev")
	}
}

// role looks at how a cluster is to come about.
func (b *builder) role() {
	r, o := b.raw, &b.out
	o.Bootstrap, o.Expect = or(r.Bootstrap, false), or(r.BootstrapExpect, 0)
	if b.dev {
		o.Bootstrap, o.Expect = o.Server, 0
		if r.BootstrapExpect != nil && *r.BootstrapExpect > 0 {
			b.fail("'bootstrap_expect' not allowed in dev mode")
		}
	}
	switch {
	case o.Expect < 0:
		b.fail("bootstrap_expect cannot be %d. Must be greater than or equal to zero", o.Expect)
	case o.Expect > 0 && !o.Server:
		b.fail("'bootstrap_expect > 0' requires 'server = true'")
	case o.Expect > 0 && o.Bootstrap:
		b.fail("'bootstrap_expect > 0' and 'bootstrap = true' are mutually exclusive")
	case o.Bootstrap && !o.Server:
		b.fail("'bootstrap = true' requires 'server = true'")
	case o.Bootstrap && !b.dev:
		b.warn("bootstrap = true: do not enable unless necessary")
	case o.Expect == 1:
		b.warn("BootstrapExpect is set to 1; this is the same as Bootstrap mode.")
	case o.Expect == 2:
		b.warn("bootstrap_expect = 2: A cluster with 2 servers will provide no failure tolerance.")
	case o.Expect > 2 && o.Expect%2 == 0:
		b.warn("bootstrap_expect is even number: A cluster with an even number of servers does not achieve optimum fault tolerance.")
	}
}

func (b *builder) port(name string, v *int, def int, mayBeOff bool) int {
	p := or(v, def)
	if p > 65535 || p < 1 && !(mayBeOff && p == -1) {
		off := ""
		if mayBeOff {
			off = ", or -1 for none"
		}
		b.fail("ports.%s: %d is no port: it must be between 1 and 65535%s", name, p, off)
		return def
	}
	return p
}

func (b *builder) ip(key, text string) netip.Addr {
	ip, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		hint := ""
		if strings.Contains(text, "{{") {
			hint = " (templates are not supported yet)"
		}
		b.fail("%s: %q is not an IP address%s", key, text, hint)
	}
	return ip.Unmap()
}

func (b *builder) network() {
	r, o := b.raw, &b.out
	bind := "0.0.0.0"
	if b.dev {
		bind = "127.0.0.1"
	}
	o.Bind = b.ip("bind_addr", or(r.BindAddr, bind))
	switch {
	case r.AdvertiseAddr != nil:
		o.Advertise = b.ip("advertise_addr", *r.AdvertiseAddr)
		if o.Advertise.IsUnspecified() {
			b.fail("advertise_addr: cannot be %s: others could not reach the agent", o.Advertise)
		}
	case o.Bind.IsValid() && o.Bind.IsUnspecified():
		ip, err := privateAddress(o.Bind.Is6())
		if err != nil {
			b.fail("bind_addr: %s listens everywhere, and %w: say which address others reach this agent at with -advertise", o.Bind, err)
		}
		o.Advertise = ip
	default:
		o.Advertise = o.Bind
	}
	p := r.Ports
	http, dnsPort := b.port("http", p.HTTP, 8500, true), b.port("dns", p.DNS, 8600, true)
	o.ServerPort, o.SerfPort = b.port("server", p.Server, 8300, false), b.port("serf_lan", p.SerfLAN, 8301, false)
	o.SerfWANPort = b.port("serf_wan", p.SerfWAN, 8302, true)
	seen := map[int]string{}
	for _, u := range []struct {
		name string
		port int
	}{{"http", http}, {"dns", dnsPort}, {"server", o.ServerPort}, {"serf_lan", o.SerfPort}, {"serf_wan", o.SerfWANPort}} {
		if other, taken := seen[u.port]; taken && u.port > 0 {
			b.fail("ports.%s and ports.%s are both %d: choose different ones", other, u.name, u.port)
		}
		seen[u.port] = u.name
	}
	client := or(r.ClientAddr, "127.0.0.1")
	o.HTTP = b.listen("addresses.http", or(r.Addresses.HTTP, client), http)
	o.DNS = b.listen("addresses.dns", or(r.Addresses.DNS, client), dnsPort)
}

// listen is a list of addresses with a port, empty where the port is off.
func (b *builder) listen(key, addrs string, port int) []string {
	if port < 0 {
		return nil
	}
	var out []string
	for _, a := range strings.Fields(addrs) {
		if ip := b.ip(key, a); ip.IsValid() {
			out = append(out, net.JoinHostPort(ip.String(), strconv.Itoa(port)))
		}
	}
	return out
}

// privateAddress finds the one private address of the machine.
func privateAddress(v6 bool) (netip.Addr, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return netip.Addr{}, fmt.Errorf("the machine's addresses cannot be read: %w", err)
	}
	var found []netip.Addr
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue
		}
		ip := p.Addr().Unmap()
		if v6 && ip.Is6() && ip.IsGlobalUnicast() || !v6 && ip.Is4() && ip.IsPrivate() {
			found = append(found, ip)
		}
	}
	switch len(found) {
	case 0:
		return netip.Addr{}, errors.New("the machine has no private address")
	case 1:
		return found[0], nil
	}
	return netip.Addr{}, fmt.Errorf("the machine has several private addresses (%v)", found)
}

func (b *builder) timing() {
	r, o := b.raw, &b.out
	o.RaftMultiplier = or(r.Performance.RaftMultiplier, map[bool]int{true: 1, false: 5}[b.dev])
	if o.RaftMultiplier < 1 || o.RaftMultiplier > 10 {
		b.fail("performance.raft_multiplier cannot be %d. Must be between 1 and 10", o.RaftMultiplier)
	}
	o.LeaveTimeout = b.duration("performance.leave_drain_time", r.Performance.LeaveDrainTime, 5*time.Second)
	o.HoldTimeout = b.duration("performance.rpc_hold_timeout", r.Performance.RPCHoldTimeout, 7*time.Second)
	o.CheckUpdateInterval = b.duration("check_update_interval", r.CheckUpdateInterval, 5*time.Minute)
	if o.CheckUpdateInterval == 0 {
		o.CheckUpdateInterval = -1 // "0s" is written to put nothing off
	}
	d, a := autopilot.DefaultConfig(), r.Autopilot
	o.Autopilot.CleanupDeadServers = or(a.CleanupDeadServers, d.CleanupDeadServers)
	o.Autopilot.LastContactThreshold = int64(b.duration("autopilot.last_contact_threshold", a.LastContactThreshold, d.LastContactThreshold))
	o.Autopilot.ServerStabilizationTime = int64(b.duration("autopilot.server_stabilization_time", a.ServerStabilizationTime, d.ServerStabilizationTime))
	o.Autopilot.MinQuorum = or(a.MinQuorum, d.MinQuorum)
	trailing := or(a.MaxTrailingLogs, int(d.MaxTrailingLogs))
	if trailing < 0 {
		b.fail("autopilot.max_trailing_logs: cannot be %d", trailing)
	}
	o.Autopilot.MaxTrailingLogs = uint64(max(0, trailing))
}

func (b *builder) dns() {
	r, c := b.raw, &b.out.DNSConfig
	d := r.DNS
	c.Domain, c.AltDomain = or(r.Domain, "consul."), or(r.AltDomain, "")
	c.Datacenter, c.NodeName, c.Recursors = b.out.Datacenter, b.out.NodeName, r.Recursors
	c.NodeTTL = b.duration("dns_config.node_ttl", d.NodeTTL, 0)
	c.ServiceTTL = map[string]time.Duration{}
	for name, ttl := range d.ServiceTTL {
		c.ServiceTTL[name] = b.duration("dns_config.service_ttl", &ttl, 0)
	}
	c.OnlyPassing, c.AllowStale, c.EnableTruncate = or(d.OnlyPassing, false), or(d.AllowStale, true), or(d.EnableTruncate, false)
	c.UDPAnswerLimit, c.ARecordLimit = or(d.UDPAnswerLimit, 3), or(d.ARecordLimit, 0)
	c.RecursorTimeout = b.duration("dns_config.recursor_timeout", d.RecursorTimeout, 2*time.Second)
	c.SOA.Refresh, c.SOA.Retry, c.SOA.Expire, c.SOA.MinTTL = or(d.SOA.Refresh, 3600), or(d.SOA.Retry, 600), or(d.SOA.Expire, 86400), or(d.SOA.MinTTL, 0)
	for _, addr := range r.Recursors {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			host = addr
		}
		b.ip("recursors", host)
	}
}

func (b *builder) definitions() {
	for i, m := range b.raw.Services {
		def, ignored, err := agent.DecodeService(m)
		if err != nil {
			b.fail("services[%d]: %w", i, err)
		}
		for _, key := range ignored {
			b.warn("services[%d] (%s): %q is accepted but not served yet", i, def.Name, key)
		}
		b.out.Services = append(b.out.Services, def)
	}
	for i, m := range b.raw.Checks {
		def, ignored, err := agent.DecodeCheck(m)
		if err != nil {
			b.fail("checks[%d]: %w", i, err)
		}
		for _, key := range ignored {
			b.warn("checks[%d] (%s): %q is accepted but not served yet", i, def.Name, key)
		}
		b.out.Checks = append(b.out.Checks, def)
	}
}
