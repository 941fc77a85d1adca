package agent

import (
	"errors"
	"fmt"
	"time"
)

// Config is who this node is and how it keeps the catalog in step with itself.
type Config struct {
	// Node is the name under which the catalog knows this node; NodeID is its UUID.
	Node   string
	NodeID string
	// Address, Datacenter, TaggedAddresses and Meta are registered with the node.
	Address         string
	Datacenter      string
	TaggedAddresses map[string]string
	Meta            map[string]string
	// Server is true on servers: the leader then owns this node's "consul" service.
	Server bool

	// SyncInterval is the time between full syncs, before the stagger (default 1 min).
	SyncInterval time.Duration
	// RetryInterval and RetryIntervalMax bound the wait after a failed sync, which doubles
	// with each failure in a row (defaults 500 ms and 15 s).
	RetryInterval    time.Duration
	RetryIntervalMax time.Duration
	// CheckUpdateInterval is by how long a change of nothing but a check's output is deferred,
	// give or take a half; 0 means the default of 5 min, negative means not at all.
	CheckUpdateInterval time.Duration
	// AliasInterval is how often an alias of another node asks for its state (default 10 s).
	AliasInterval time.Duration
	// ReapInterval is how often critical services are looked at for removal (default 30 s).
	ReapInterval time.Duration
	// DeregisterMin is the shortest DeregisterCriticalServiceAfter (default 1 min).
	DeregisterMin time.Duration
	// CheckIntervalMin is the shortest Interval of a check (default 1 s).
	CheckIntervalMin time.Duration
	// MaxInFlight bounds the requests to the servers that are under way at once (default 4).
	MaxInFlight int
}

// WithDefaults returns a copy in which unset values have their defaults.
func (c Config) WithDefaults() Config {
	fallback(&c.SyncInterval, time.Minute)
	fallback(&c.RetryInterval, 500*time.Millisecond)
	fallback(&c.RetryIntervalMax, 15*time.Second)
	fallback(&c.CheckUpdateInterval, 5*time.Minute)
	fallback(&c.AliasInterval, 10*time.Second)
	fallback(&c.ReapInterval, 30*time.Second)
	fallback(&c.DeregisterMin, time.Minute)
	fallback(&c.CheckIntervalMin, time.Second)
	fallback(&c.MaxInFlight, 4)
	return c
}

func fallback[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// Validate reports every problem of the configuration at once.
func (c Config) Validate() error {
	var errs []error
	if c.Node == "" {
		errs = append(errs, errors.New("agent: Node is missing: give the node a name"))
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"SyncInterval", c.SyncInterval}, {"RetryInterval", c.RetryInterval},
		{"AliasInterval", c.AliasInterval}, {"ReapInterval", c.ReapInterval},
		{"DeregisterMin", c.DeregisterMin}, {"CheckIntervalMin", c.CheckIntervalMin},
	} {
		if d.value <= 0 {
			errs = append(errs, fmt.Errorf("agent: %s is %v: it must be positive", d.name, d.value))
		}
	}
	if c.RetryIntervalMax < c.RetryInterval {
		errs = append(errs, fmt.Errorf("agent: RetryIntervalMax is %v: it must be at least RetryInterval, %v",
			c.RetryIntervalMax, c.RetryInterval))
	}
	if c.MaxInFlight < 1 {
		errs = append(errs, fmt.Errorf("agent: MaxInFlight is %d: it must be at least 1", c.MaxInFlight))
	}
	return errors.Join(errs...)
}
