// Package agent is a node's local truth: its services and health checks as they were registered with it,
// and the anti-entropy that keeps the catalog in step with them. It is pure: I/O is the business of
// agent/checks, agent/definitions and the driver.
package agent

import (
	"time"

	"concord/catalog"
)

// ServiceDefinition is a service as it is registered with an agent
// (https://developer.hashicorp.com/consul/api-docs/agent/service#json-request-body-schema).
type ServiceDefinition struct {
	Kind              string
	ID                string // default: Name
	Name              string
	Tags              []string
	Address           string
	TaggedAddresses   map[string]catalog.ServiceAddress
	Meta              map[string]string
	Port              int
	Weights           *catalog.Weights
	EnableTagOverride bool
	Checks            []CheckDefinition // the body's Check is the first of them
}

// CheckDefinition is a check as it is registered with an agent
// (https://developer.hashicorp.com/consul/api-docs/agent/check#json-request-body-schema).
// Exactly one of TTL, HTTP, TCP and AliasNode/AliasService says what kind it is.
type CheckDefinition struct {
	ID        string // default: Name, or "service:ID" for the checks of a service
	Name      string
	Notes     string
	ServiceID string
	Status    string // at first; default critical

	TTL           time.Duration
	HTTP          string
	Method        string // default GET
	Header        map[string][]string
	Body          string
	TLSServerName string
	TLSSkipVerify bool
	// DisableRedirects takes a redirect as the answer instead of following it.
	DisableRedirects bool
	TCP              string
	TCPUseTLS        bool
	AliasNode        string
	AliasService     string

	Interval time.Duration
	Timeout  time.Duration // default 10 s

	OutputMaxSize                  int // bytes kept of the output; default 4096
	SuccessBeforePassing           int
	FailuresBeforeWarning          int // default FailuresBeforeCritical
	FailuresBeforeCritical         int
	DeregisterCriticalServiceAfter time.Duration
}
