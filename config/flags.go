package config

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// flagKind says what a flag's value is.
type flagKind uint8

const (
	text flagKind = iota
	number
	toggle
	many // may be given more than once
)

// flagSpec is a flag and the key that it sets.
type flagSpec struct {
	name, key string
	kind      flagKind
	help      string
}

var flagSpecs = []flagSpec{
	{"advertise", "advertise_addr", text, "Address that others are told."},
	{"advertise-wan", "advertise_addr_wan", text, "Address that other datacenters are told."},
	{"alt-domain", "alt_domain", text, "A second domain to answer DNS queries for."},
	{"bind", "bind_addr", text, "Address to listen on for gossip and server RPC."},
	{"bootstrap", "bootstrap", toggle, "Form a cluster of this server alone."},
	{"bootstrap-expect", "bootstrap_expect", number, "Form a cluster once so many servers have met."},
	{"client", "client_addr", text, "Address to listen on for HTTP and DNS."},
	{"data-dir", "data_dir", text, "Folder to keep everything in."},
	{"datacenter", "datacenter", text, "Name of the datacenter."},
	{"disable-keyring-file", "disable_keyring_file", toggle, "Do not keep gossip keys on disk: those of the configuration hold at each start."},
	{"dns-port", "ports.dns", number, "Port for DNS; -1: none."},
	{"domain", "domain", text, "Domain to answer DNS queries for."},
	{"enable-local-script-checks", "enable_local_script_checks", toggle, "Accepted, not served yet."},
	{"enable-script-checks", "enable_script_checks", toggle, "Accepted, not served yet."},
	{"disable-host-node-id", "disable_host_node_id", toggle, "Accepted: the node ID is always random."},
	{"encrypt", "encrypt", text, "Key for gossip encryption, of `node keygen`. Ignored once the data directory has a keyring."},
	{"grpc-port", "ports.grpc", number, "Accepted: gRPC is not served."},
	{"http-port", "ports.http", number, "Port for HTTP; -1: none."},
	{"https-port", "ports.https", number, "Accepted: HTTPS is not served."},
	{"join", "start_join", many, "Address of an agent to join at start. May be given more than once."},
	{"join-wan", "start_join_wan", many, "Address of a server of another datacenter to join at start. May be given more than once."},
	{"log-file", "log_file", text, "Accepted, not served yet: the log goes to standard output."},
	{"log-json", "log_json", toggle, "Log in JSON."},
	{"log-level", "log_level", text, "trace, debug, info, warn or error."},
	{"node", "node_name", text, "Name of the node; by default that of the host."},
	{"node-id", "node_id", text, "UUID of the node; by default one is made and kept."},
	{"node-meta", "node_meta", many, "key:value about the node. May be given more than once."},
	{"pid-file", "pid_file", text, "File to write the process ID to."},
	{"protocol", "protocol", number, "Accepted."},
	{"raft-protocol", "raft_protocol", number, "Accepted."},
	{"recursor", "recursors", many, "DNS server to ask for other names. May be given more than once."},
	{"rejoin", "rejoin_after_leave", toggle, "Join the members known before, even after having left."},
	{"retry-interval", "retry_interval", text, "Time between two tries to join."},
	{"retry-interval-wan", "retry_interval_wan", text, "Time between two tries to join servers of other datacenters."},
	{"retry-join", "retry_join", many, "Address of an agent to join, tried until it succeeds. May be given more than once."},
	{"retry-join-wan", "retry_join_wan", many, "Address of a server of another datacenter, tried until it succeeds. May be given more than once."},
	{"retry-max", "retry_max", number, "How often to try; 0: for ever."},
	{"retry-max-wan", "retry_max_wan", number, "How often to try to join servers of other datacenters; 0: for ever."},
	{"serf-lan-bind", "serf_lan", text, "Address to listen on for LAN gossip; by default that of -bind."},
	{"serf-lan-port", "ports.serf_lan", number, "Port for LAN gossip."},
	{"serf-wan-bind", "serf_wan", text, "Address to listen on for WAN gossip; by default that of -bind."},
	{"serf-wan-port", "ports.serf_wan", number, "Port of a server for WAN gossip; -1: none."},
	{"server", "server", toggle, "Run as a server."},
	{"server-port", "ports.server", number, "Port for server RPC."},
	{"ui", "ui", toggle, "Accepted: there is no UI."},
}

// options are what the flags say besides configuration keys.
type options struct {
	dev    bool
	files  []string
	format string
	hcl    []string
}

// list is a flag that may be given more than once.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(v string) error { *l = append(*l, v); return nil }

// flagSet returns the flags of the agent, whose values go to the returned source once they are parsed.
func flagSet(o *options) (*flag.FlagSet, func() (source, error)) {
	fs := flag.NewFlagSet("agent", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.BoolVar(&o.dev, "dev", false, "A server in memory, for development: nothing is kept.")
	fs.Var((*list)(&o.files), "config-file", "File in JSON or HCL to read. May be given more than once.")
	fs.Var((*list)(&o.files), "config-dir", "Folder whose .json and .hcl files are read. May be given more than once.")
	fs.StringVar(&o.format, "config-format", "", "Format of all files: json or hcl.")
	fs.Var((*list)(&o.hcl), "hcl", "Piece of configuration in HCL. May be given more than once.")
	repeated := map[string]*list{}
	for _, s := range flagSpecs {
		switch s.kind {
		case toggle:
			fs.Bool(s.name, false, s.help)
		case many:
			repeated[s.name] = new(list)
			fs.Var(repeated[s.name], s.name, s.help)
		default:
			fs.String(s.name, "", s.help)
		}
	}
	return fs, func() (source, error) { return collect(fs, repeated) }
}

// collect makes a source of the flags that were given.
func collect(fs *flag.FlagSet, repeated map[string]*list) (source, error) {
	out := source{"flags", map[string]any{}}
	var errs []error
	given := map[string]string{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = f.Value.String() })
	for _, s := range flagSpecs {
		v, ok := given[s.name]
		if !ok {
			continue
		}
		switch s.kind {
		case text:
			put(out.values, s.key, v)
		case toggle:
			put(out.values, s.key, v == "true")
		case number:
			n, err := strconv.Atoi(v)
			if err != nil {
				errs = append(errs, fmt.Errorf("-%s: %q is not a number", s.name, v))
			}
			put(out.values, s.key, n)
		case many:
			put(out.values, s.key, repeatedValue(s, *repeated[s.name]))
		}
	}
	return out, errors.Join(errs...)
}

func repeatedValue(s flagSpec, given list) any {
	if s.key == "node_meta" {
		meta := map[string]any{}
		for _, pair := range given {
			k, v, _ := strings.Cut(pair, ":")
			meta[k] = v
		}
		return meta
	}
	out := make([]any, len(given))
	for i, v := range given {
		out[i] = v
	}
	return out
}

// put sets a value under a path.
func put(values map[string]any, path string, v any) {
	if outer, inner, nested := strings.Cut(path, "."); nested {
		m, _ := values[outer].(map[string]any)
		if m == nil {
			m = map[string]any{}
			values[outer] = m
		}
		put(m, inner, v)
		return
	}
	values[path] = v
}

// FlagHelp describes the agent's flags, a line each.
func FlagHelp() string {
	fs, _ := flagSet(&options{})
	var b strings.Builder
	fs.VisitAll(func(f *flag.Flag) { fmt.Fprintf(&b, "  -%s\n     %s\n", f.Name, f.Usage) })
	return b.String()
}
