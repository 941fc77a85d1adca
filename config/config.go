package config

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/mitchellh/mapstructure"

	"concord/agent"
	dnsapi "concord/api/dns"
	"concord/catalog"
	"concord/node"
	"concord/swim"
)

// Runtime is the configuration of an agent, complete and valid.
type Runtime struct {
	Dev        bool
	Server     bool
	Bootstrap  bool
	Expect     int // -bootstrap-expect; 0: not given
	NodeName   string
	NodeID     string // UUID, empty: made and kept
	NodeMeta   map[string]string
	Datacenter string
	DataDir    string // empty with -dev

	Bind, Advertise                   netip.Addr
	BindLAN, BindWAN                  netip.Addr // of gossip
	AdvertiseWAN                      netip.Addr
	ServerPort, SerfPort, SerfWANPort int      // SerfWANPort is -1: no WAN pool
	HTTP, DNS                         []string // "host:port"; empty: not served
	DNSConfig                         dnsapi.Config
	MaxHTTPConns                      int
	ResponseHeaders                   map[string]string

	JoinLAN, JoinWAN Joining
	Rejoin           bool

	LeaveOnTerminate, SkipLeaveOnInterrupt bool
	// DisableRemoteExec: commands sent by exec are not run.
	DisableRemoteExec bool

	RaftMultiplier int
	LeaveTimeout   time.Duration
	HoldTimeout    time.Duration
	Autopilot      catalog.AutopilotConfig
	LAN, WAN       swim.Config
	Encryption     Encryption
	Coordinates    node.CoordinateConfig
	// CheckUpdateInterval is by how long changes of a check's output alone are put off.
	CheckUpdateInterval time.Duration

	Services []agent.ServiceDefinition
	Checks   []agent.CheckDefinition

	LogLevel string
	LogJSON  bool
	PidFile  string

	// Written is the merged configuration as it was written, for /v1/agent/self.
	Written map[string]any
}

// Joining says whom to join in a pool: Start at once, or end; Retry until it succeeds, every RetryInterval, at most
// RetryMax times (0: for ever).
type Joining struct {
	Start, Retry  []string
	RetryInterval time.Duration
	RetryMax      int
}

// ErrHelp is returned by Load when the arguments ask for help.
var ErrHelp = flag.ErrHelp

// Load reads the agent's arguments and the files they name. The error names every problem, a line each.
func Load(args []string) (Runtime, []string, error) {
	var o options
	fs, flags := flagSet(&o)
	if err := fs.Parse(args); err != nil {
		return Runtime{}, nil, err
	}
	if fs.NArg() > 0 {
		return Runtime{}, nil, fmt.Errorf("unexpected argument %q: flags begin with a dash", fs.Arg(0))
	}
	if o.format != "" && o.format != "json" && o.format != "hcl" {
		return Runtime{}, nil, fmt.Errorf("-config-format: %q is neither json nor hcl", o.format)
	}
	sources, errs := o.sources()
	given, err := flags()
	errs = append(errs, err)
	return build(o.dev, append(sources, given), errs)
}

// Validate reads files and folders as Load does with -config-file.
func Validate(paths []string, format string) (warnings []string, err error) {
	o := options{files: paths, format: format}
	sources, errs := o.sources()
	_, warnings, err = build(false, sources, errs)
	return warnings, err
}

func (o *options) sources() (out []source, errs []error) {
	for _, path := range o.files {
		found, err := readPath(path, o.format)
		out, errs = append(out, found...), append(errs, err)
	}
	for _, piece := range o.hcl {
		s, err := parse("-hcl", []byte(piece), "hcl")
		out, errs = append(out, s), append(errs, err)
	}
	return out, errs
}

// build merges sources and makes the runtime configuration of them.
func build(dev bool, sources []source, errs []error) (Runtime, []string, error) {
	merged := map[string]any{}
	var warnings []string
	for _, s := range sources {
		w, problems := s.check()
		warnings, errs = append(warnings, w...), append(errs, problems...)
		merged = merge(merged, s.values)
	}
	var r raw
	d, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{Result: &r, WeaklyTypedInput: true})
	if err == nil {
		err = d.Decode(merged)
	}
	if err != nil {
		errs = append(errs, typeErrors(err)...)
		return Runtime{}, warnings, problems(errs)
	}
	b := builder{raw: &r, dev: dev, warnings: warnings, errs: errs}
	b.out.Written = shown(merged)
	b.build()
	return b.out, b.warnings, problems(b.errs)
}

// typeErrors takes the library's error apart into lines.
func typeErrors(err error) []error {
	var m *mapstructure.Error
	if !errors.As(err, &m) {
		return []error{err}
	}
	var out []error
	for _, text := range m.Errors {
		out = append(out, errors.New(text))
	}
	return out
}

// problems joins errors, each once; nil if there are none.
func problems(errs []error) error {
	var lines []string
	for _, err := range errs {
		if err == nil {
			continue
		}
		for _, line := range strings.Split(err.Error(), "\n") {
			if !slices.Contains(lines, line) {
				lines = append(lines, line)
			}
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return errors.New(strings.Join(lines, "\n"))
}

// shown is the configuration without what must not be told.
func shown(values map[string]any) map[string]any {
	out := maps.Clone(values)
	maps.DeleteFunc(out, func(k string, _ any) bool {
		return strings.Contains(k, "token") || strings.Contains(k, "encrypt") || strings.Contains(k, "key")
	})
	return out
}
