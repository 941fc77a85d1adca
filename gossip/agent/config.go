package agent

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"concord/gossip/agent/logs"
	"concord/gossip/agent/script"
	"concord/swim"
)

const (
	// DefaultPort is where members meet unless they are told otherwise.
	DefaultPort = 7946
	// DefaultRPCAddr is where an agent listens for its command line.
	DefaultRPCAddr = "127.0.0.1:7373"
	// protocolVersion is the version of Serf's protocol whose RPC this is. Among each other agents speak Concord's own.
	protocolVersion = 5
)

// Config is how an agent is configured: Serf's keys, with Serf's meaning. The zero value of a field means its default.
type Config struct {
	NodeName           string            `json:"node_name"`
	Role               string            `json:"role"`
	Tags               map[string]string `json:"tags"`
	TagsFile           string            `json:"tags_file"`
	Bind               string            `json:"bind"`
	Interface          string            `json:"interface"`
	Advertise          string            `json:"advertise"`
	EncryptKey         string            `json:"encrypt_key"`
	KeyringFile        string            `json:"keyring_file"`
	LogLevel           string            `json:"log_level"`
	RPCAddr            string            `json:"rpc_addr"`
	RPCAuth            string            `json:"rpc_auth"`
	Protocol           int               `json:"protocol"`
	ReplayOnJoin       bool              `json:"replay_on_join"`
	QueryResponseSize  int               `json:"query_response_size_limit"`
	QuerySize          int               `json:"query_size_limit"`
	UserEventSize      int               `json:"user_event_size_limit"`
	StartJoin          []string          `json:"start_join"`
	EventHandlers      []string          `json:"event_handlers"`
	Profile            string            `json:"profile"`
	SnapshotPath       string            `json:"snapshot_path"`
	LeaveOnTerm        bool              `json:"leave_on_terminate"`
	SkipLeaveOnInt     bool              `json:"skip_leave_on_interrupt"`
	ReconnectInterval  Duration          `json:"reconnect_interval"`
	ReconnectTimeout   Duration          `json:"reconnect_timeout"`
	TombstoneTimeout   Duration          `json:"tombstone_timeout"`
	BroadcastTimeout   Duration          `json:"broadcast_timeout"`
	DisableResolution  bool              `json:"disable_name_resolution"`
	DisableCoordinates bool              `json:"disable_coordinates"`
	RetryJoin          []string          `json:"retry_join"`
	RetryMax           int               `json:"retry_max_attempts"`
	RetryInterval      Duration          `json:"retry_interval"`
	RejoinAfterLeave   bool              `json:"rejoin_after_leave"`
	EnableCompression  bool              `json:"enable_compression"` // messages are small already: it changes nothing
	ValidateNodeNames  bool              `json:"validate_node_names"`
	PidFile            string            `json:"pid_file"`                    // not Serf's
	UseNewTimeFormat   bool              `json:"msgpack_use_new_time_format"` // no message has a time: it changes nothing
	unserved
}

// unserved are Serf's keys of what an agent does not do. They are refused rather than ignored.
type unserved struct {
	Discover       string `json:"discover"`
	MDNS           any    `json:"mdns"`
	EnableSyslog   bool   `json:"enable_syslog"`
	SyslogFacility string `json:"syslog_facility"`
	StatsiteAddr   string `json:"statsite_addr"`
	StatsdAddr     string `json:"statsd_addr"`
}

// Duration is a time.Duration that is written like "30s".
type Duration time.Duration

// UnmarshalText reads a duration.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = Duration(v)
	return err
}

// MarshalText writes a duration.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String writes a duration.
func (d Duration) String() string { return time.Duration(d).String() }

const (
	defaultRetryInterval    = Duration(30 * time.Second)
	minRetryInterval        = Duration(time.Second)
	defaultBroadcastTimeout = Duration(5 * time.Second)
	minBroadcastTimeout     = Duration(time.Second)
)

// WithDefaults returns a copy in which everything has a value that has a default. The name is the machine's.
func (c Config) WithDefaults() (Config, error) {
	for _, f := range []struct {
		p *string
		d string
	}{{&c.Bind, "0.0.0.0"}, {&c.LogLevel, "INFO"}, {&c.RPCAddr, DefaultRPCAddr}, {&c.Profile, "lan"}} {
		if *f.p == "" {
			*f.p = f.d
		}
	}
	if c.Protocol == 0 {
		c.Protocol = protocolVersion
	}
	if c.RetryInterval == 0 {
		c.RetryInterval = defaultRetryInterval
	}
	if c.BroadcastTimeout == 0 {
		c.BroadcastTimeout = defaultBroadcastTimeout
	}
	if c.NodeName == "" {
		name, err := os.Hostname()
		if err != nil {
			return c, fmt.Errorf("Error determining hostname: %w: set one with -node", err)
		}
		c.NodeName = name
	}
	if c.Role != "" {
		tags := map[string]string{"role": c.Role}
		for k, v := range c.Tags {
			tags[k] = v
		}
		c.Tags = tags
	}
	return c, nil
}

var validName = regexp.MustCompile(`^[a-zA-Z0-9\-\.]{1,128}$`)

// Validate reports every problem at once.
func (c *Config) Validate() error {
	var errs []error
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(c.Discover != "" || c.MDNS != nil, "-discover: finding peers by multicast is not served: name some with -join or -retry-join")
	bad(c.EnableSyslog || c.SyslogFacility != "", "-syslog: the log only goes to the standard output: let the service manager collect it")
	bad(c.StatsiteAddr != "" || c.StatsdAddr != "", "statsite_addr, statsd_addr: telemetry is not sent: ask for it with 'node gossip info'")
	bad(c.Protocol != protocolVersion, "-protocol: only %d is served, not %d", protocolVersion, c.Protocol)
	bad(c.EncryptKey != "" && c.KeyringFile != "", "Encryption key not allowed while using a keyring")
	bad(len(c.Tags) > 0 && c.TagsFile != "", "Tags config not allowed while using tag files")
	bad(c.ValidateNodeNames && !validName.MatchString(c.NodeName), "Node name %q must have 1 to 128 letters, digits, dashes and dots", c.NodeName)
	bad(c.RetryMax < 0, "-retry-max must not be negative, but is %d", c.RetryMax)
	for _, f := range []struct {
		name string
		d    Duration
	}{{"reconnect_interval", c.ReconnectInterval}, {"reconnect_timeout", c.ReconnectTimeout}, {"tombstone_timeout", c.TombstoneTimeout}, {"broadcast_timeout", c.BroadcastTimeout}} {
		bad(f.d < 0, "%s must be positive, not %v", f.name, f.d)
	}
	_, known := profiles[c.Profile]
	bad(!known, "Unknown profile: %s", c.Profile)
	if _, err := logs.ParseLevel(c.LogLevel); err != nil {
		errs = append(errs, err)
	}
	if _, err := c.scripts(); err != nil {
		errs = append(errs, err)
	}
	if _, err := c.bindAddr(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// profiles are the timings for where the members are.
var profiles = map[string]func() swim.Config{"lan": swim.LAN, "wan": swim.WAN, "local": swim.Fast}

// swim is the pool's configuration, but for who this member is.
func (c *Config) swim() swim.Config {
	s := profiles[c.Profile]()
	for _, f := range []struct {
		p *time.Duration
		d Duration
	}{{&s.ReconnectInterval, c.ReconnectInterval}, {&s.ReconnectTimeout, c.ReconnectTimeout}, {&s.TombstoneTimeout, c.TombstoneTimeout}, {&s.LeaveTimeout, c.BroadcastTimeout}} {
		if f.d != 0 {
			*f.p = time.Duration(f.d)
		}
	}
	s.MaxEvent, s.MaxQuery, s.MaxResponse = c.UserEventSize, c.QuerySize, c.QueryResponseSize
	s.Coordinates = !c.DisableCoordinates
	return s
}

// Encrypted tells whether the pool is encrypted.
func (c *Config) Encrypted() bool { return c.EncryptKey != "" || c.KeyringFile != "" }

// scripts are the event handlers.
func (c *Config) scripts() ([]script.Script, error) {
	var out []script.Script
	for _, h := range c.EventHandlers {
		s, err := script.Parse(h)
		if err != nil {
			return nil, err
		}
		out = append(out, s...)
	}
	return out, nil
}

// bindAddr is where to listen for members.
func (c *Config) bindAddr() (netip.AddrPort, error) {
	addr, err := parseAddr(c.Bind)
	if err != nil {
		return addr, fmt.Errorf("Invalid bind address: %w", err)
	}
	if c.Interface == "" {
		return addr, nil
	}
	found, err := interfaceAddrs(c.Interface)
	if err != nil {
		return addr, err
	}
	if addr.Addr().IsUnspecified() {
		return netip.AddrPortFrom(found[0], addr.Port()), nil
	}
	for _, ip := range found {
		if ip == addr.Addr() {
			return addr, nil
		}
	}
	return addr, fmt.Errorf("Interface '%s' has no '%s' address", c.Interface, addr.Addr())
}

// advertised is the address to tell to others, for an agent that listens at bind.
func (c *Config) advertised(bind netip.AddrPort) (netip.AddrPort, error) {
	if c.Advertise != "" {
		addr, err := parseAddr(c.Advertise)
		if err != nil {
			return addr, fmt.Errorf("Invalid advertise address: %w", err)
		}
		if !strings.HasSuffix(c.Advertise, ":"+strconv.Itoa(int(addr.Port()))) {
			addr = netip.AddrPortFrom(addr.Addr(), bind.Port())
		}
		return addr, nil
	}
	if !bind.Addr().IsUnspecified() {
		return bind, nil
	}
	ip, err := ownAddr(bind.Addr().Is6())
	return netip.AddrPortFrom(ip, bind.Port()), err
}

// parseAddr reads an IP with or without a port.
func parseAddr(s string) (netip.AddrPort, error) {
	if addr, err := netip.ParseAddrPort(s); err == nil {
		return addr, nil
	}
	ip, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%q must be an IP or IP:port", s)
	}
	return netip.AddrPortFrom(ip, DefaultPort), nil
}

// interfaceAddrs are the addresses of a network interface, those of IPv4 first.
func interfaceAddrs(name string) ([]netip.Addr, error) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("Invalid network interface: %w", err)
	}
	addrs, err := i.Addrs()
	if err != nil {
		return nil, fmt.Errorf("Failed to get interface addresses: %w", err)
	}
	v4, v6 := usable(addrs)
	if len(v4)+len(v6) == 0 {
		return nil, fmt.Errorf("Interface '%s' has no addresses", name)
	}
	return append(v4, v6...), nil
}

// usable are the IPs that others could reach.
func usable(addrs []net.Addr) (v4, v6 []netip.Addr) {
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		ip, ok := netip.AddrFromSlice(n.IP)
		switch ip = ip.Unmap(); {
		case !ok || ip.IsLinkLocalUnicast():
		case ip.Is4():
			v4 = append(v4, ip)
		default:
			v6 = append(v6, ip)
		}
	}
	return v4, v6
}

// ownAddr is the machine's address to tell others: a private one if there is, else any, else the loopback's.
func ownAddr(six bool) (netip.Addr, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return netip.Addr{}, fmt.Errorf("Failed to get interface addresses: %w", err)
	}
	ips, v6 := usable(addrs)
	if six && len(ips) == 0 {
		ips = v6
	}
	best, rank := netip.Addr{}, -1
	for _, ip := range ips {
		r := 1
		switch {
		case ip.IsLoopback():
			r = 0
		case ip.IsPrivate():
			r = 2
		}
		if r > rank {
			best, rank = ip, r
		}
	}
	if rank < 0 {
		return best, errors.New("the machine has no address to tell others: set one with -advertise")
	}
	return best, nil
}
