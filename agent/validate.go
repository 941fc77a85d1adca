package agent

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"concord/catalog"
)

// Kinds of checks, as Consul shows them in a check's Type.
const (
	KindTTL         = "ttl"
	KindHTTP        = "http"
	KindTCP         = "tcp"
	KindAlias       = "alias"
	KindMaintenance = "maintenance"
)

// Check IDs of maintenance mode.
const (
	NodeMaintenance          = "_node_maintenance"
	ServiceMaintenancePrefix = "_service_maintenance:"
)

const (
	defaultCheckTimeout  = 10 * time.Second
	defaultOutputMaxSize = 4096
)

// Kind returns what kind of check this is, or "" if the definition does not say.
func (d *CheckDefinition) Kind() string {
	switch {
	case isMaintenance(d.ID):
		return KindMaintenance
	case d.HTTP != "":
		return KindHTTP
	case d.TCP != "":
		return KindTCP
	case d.AliasNode != "" || d.AliasService != "":
		return KindAlias
	case d.TTL > 0:
		return KindTTL
	}
	return ""
}

func isMaintenance(id string) bool {
	return id == NodeMaintenance || strings.HasPrefix(id, ServiceMaintenancePrefix)
}

// ValidStatus tells whether a check can be in this state.
func ValidStatus(status string) bool {
	return status == catalog.HealthPassing || status == catalog.HealthWarning || status == catalog.HealthCritical
}

// Validate tells what is wrong with the definition, in Consul's words.
func (d *CheckDefinition) Validate() error {
	if d.Status != "" && !ValidStatus(d.Status) {
		return invalid("Bad check status")
	}
	if d.Kind() == KindMaintenance {
		return nil
	}
	runs := d.HTTP != "" || d.TCP != ""
	alias := d.AliasNode != "" || d.AliasService != ""
	switch {
	case d.Interval > 0 && d.TTL > 0:
		return invalid("Interval and TTL cannot both be specified")
	case d.HTTP != "" && d.TCP != "":
		return invalid("HTTP and TCP cannot both be specified")
	case runs && d.Interval <= 0:
		return invalid("Interval must be > 0 for HTTP or TCP checks")
	case alias && d.Interval > 0:
		return invalid("Interval cannot be set for Alias checks")
	case alias && d.TTL > 0:
		return invalid("TTL must be not be set for Alias checks")
	case !runs && !alias && d.TTL <= 0:
		return invalid("TTL must be > 0 for TTL checks")
	case d.OutputMaxSize < 0:
		return invalid("MaxOutputMaxSize must be positive")
	case d.Timeout < 0 || d.DeregisterCriticalServiceAfter < 0:
		return invalid("Timeout and DeregisterCriticalServiceAfter must not be negative")
	case d.SuccessBeforePassing < 0 || d.FailuresBeforeWarning < 0 || d.FailuresBeforeCritical < 0:
		return invalid("SuccessBeforePassing, FailuresBeforeWarning and FailuresBeforeCritical must not be negative")
	case d.FailuresBeforeWarning > d.FailuresBeforeCritical:
		return invalid("FailuresBeforeWarning can't be higher than FailuresBeforeCritical")
	}
	return validateURL(d.HTTP)
}

func validateURL(raw string) error {
	if raw == "" {
		return nil
	}
	u, err := url.Parse(raw)
	if err != nil {
		return invalid("HTTP is not a URL: %v", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return invalid("HTTP is %q: it must be a URL such as http://localhost:8080/health", raw)
	}
	return nil
}

// normalize fills in the defaults of a valid check and raises what is below the minima.
func (d CheckDefinition) normalize(cfg Config) CheckDefinition {
	fallback(&d.ID, d.Name)
	fallback(&d.Status, catalog.HealthCritical)
	fallback(&d.OutputMaxSize, defaultOutputMaxSize)
	fallback(&d.FailuresBeforeWarning, d.FailuresBeforeCritical)
	if d.HTTP != "" || d.TCP != "" {
		fallback(&d.Timeout, defaultCheckTimeout)
		d.Interval = max(d.Interval, cfg.CheckIntervalMin)
	}
	if d.DeregisterCriticalServiceAfter > 0 {
		d.DeregisterCriticalServiceAfter = max(d.DeregisterCriticalServiceAfter, cfg.DeregisterMin)
	}
	return d
}

// Validate tells what is wrong with the definition, its checks included, in Consul's words.
func (d *ServiceDefinition) Validate() error {
	if d.Name == "" {
		return invalid("Missing service name")
	}
	if d.Port < 0 || d.Port > 65535 {
		return invalid("Invalid service port %d: it must be between 0 and 65535", d.Port)
	}
	if addr, err := netip.ParseAddr(d.Address); err == nil && addr.IsUnspecified() {
		return invalid("Invalid service address")
	}
	if err := validateWeights(d.Weights); err != nil {
		return err
	}
	for i := range d.Checks {
		check := &d.Checks[i]
		if err := check.Validate(); err != nil {
			return invalid("Invalid check: %v", err)
		}
		if isMaintenance(check.ID) || check.ID == catalog.SerfCheckID {
			return invalid("Invalid check: CheckID %q is reserved", check.ID)
		}
	}
	return nil
}

func validateWeights(w *catalog.Weights) error {
	switch {
	case w == nil:
		return nil
	case w.Passing < 1:
		return invalid("Invalid Weights: Passing must be greater than 0")
	case w.Warning < 0:
		return invalid("Invalid Weights: Warning must be greater or equal than 0")
	case w.Passing > 65535 || w.Warning > 65535:
		return invalid("Invalid Weights: DNS Weight must be between 0 and 65535")
	}
	return nil
}

// normalize fills in the defaults of a valid service and names its checks as Consul does.
func (d ServiceDefinition) normalize(cfg Config) (ServiceDefinition, error) {
	fallback(&d.ID, d.Name)
	if d.Weights == nil {
		d.Weights = &catalog.Weights{Passing: 1, Warning: 1}
	}
	checks := slices.Clone(d.Checks)
	seen := map[key]bool{}
	for i := range checks {
		c := &checks[i]
		if c.ID == "" {
			c.ID = "service:" + d.ID
			if len(checks) > 1 {
				c.ID += fmt.Sprintf(":%d", i+1)
			}
		}
		if c.Name == "" {
			c.Name = fmt.Sprintf("Service '%s' check", d.Name)
		}
		if seen[keyOf(c.ID)] {
			return d, invalid("Invalid check: CheckID %q is given twice", c.ID)
		}
		seen[keyOf(c.ID)] = true
		c.ServiceID = d.ID
		*c = c.normalize(cfg)
	}
	d.Checks = checks
	return d, nil
}
