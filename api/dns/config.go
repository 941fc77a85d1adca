// Package dnsapi is the DNS front door: it answers for Consul's domain
// (https://developer.hashicorp.com/consul/docs/services/discovery/dns-overview) from the catalog and passes
// everything else to recursors.
package dnsapi

import (
	"context"
	"time"

	"concord/wire"
)

// Backend is what the front door needs of a node.
type Backend interface {
	// Do answers a read, here or wherever it must be answered.
	Do(ctx context.Context, req *wire.Request) *wire.Response
}

// Config is how the front door answers. Durations are whole seconds where DNS counts in seconds.
type Config struct {
	Domain     string // "consul."
	AltDomain  string // a second name of it, or empty
	Datacenter string
	NodeName   string // of this agent
	NodeTTL    time.Duration
	// ServiceTTL by service name; "*" is the default, and "web*" a prefix.
	ServiceTTL map[string]time.Duration
	// OnlyPassing leaves out instances with a warning, too.
	OnlyPassing bool
	// AllowStale lets any server answer.
	AllowStale bool
	// UDPAnswerLimit is the most records in an answer over UDP; 0: as many as fit.
	UDPAnswerLimit int
	// ARecordLimit is the most A or AAAA records in any answer; 0: no limit.
	ARecordLimit int
	// EnableTruncate sets the TC bit when records were left out.
	EnableTruncate bool
	// Recursors are asked for other names, "host:port", in order.
	Recursors       []string
	RecursorTimeout time.Duration
	// QueryTimeout bounds a read from the catalog.
	QueryTimeout time.Duration
	SOA          SOA
	// Seed of the order of answers.
	Seed uint64
}

// SOA are the numbers of the SOA record, in seconds.
type SOA struct{ Refresh, Retry, Expire, MinTTL uint32 }

// WithDefaults returns a copy in which what was zero has Consul's default.
func (c Config) WithDefaults() Config {
	if c.Domain == "" {
		c.Domain = "consul."
	}
	if c.UDPAnswerLimit == 0 {
		c.UDPAnswerLimit = 3
	}
	if c.RecursorTimeout == 0 {
		c.RecursorTimeout = 2 * time.Second
	}
	if c.QueryTimeout == 0 {
		c.QueryTimeout = 10 * time.Second
	}
	if c.SOA == (SOA{}) {
		c.SOA = SOA{Refresh: 3600, Retry: 600, Expire: 86400}
	}
	return c
}
