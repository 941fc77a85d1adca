package agent

import (
	"errors"
	"fmt"
	"strings"

	"concord/catalog"
)

// Unsupported names the keys of a definition that Consul knows, Concord does not serve and the
// definition sets, as paths such as "Checks[0].Namespace". They have no effect.
type Unsupported []string

// UnsupportedCheckError tells that a definition asks for a kind of check that Concord cannot
// make. It is refused, because a service without its check would pass for healthy.
type UnsupportedCheckError struct{ Key string }

// Error tells which kinds there are instead.
func (e *UnsupportedCheckError) Error() string {
	return e.Key + ": checks of this kind are not supported; use TTL, HTTP, TCP or an alias"
}

// DecodeService reads the definition of a service as the HTTP API and configuration files have
// it, once JSON or HCL is parsed. Keys may be written in any of Consul's ways (CheckID,
// check_id). The error names every key that is unknown or has a wrong value; what the values
// mean is for Validate.
func DecodeService(m map[string]any) (ServiceDefinition, Unsupported, error) {
	var d decoder
	def := d.service("", m)
	return def, d.unsupported, errors.Join(d.errs...)
}

// DecodeCheck reads the definition of a check, as DecodeService does.
func DecodeCheck(m map[string]any) (CheckDefinition, Unsupported, error) {
	var d decoder
	def := d.check("", m)
	return def, d.unsupported, errors.Join(d.errs...)
}

// decoder collects what goes wrong.
type decoder struct {
	unsupported Unsupported
	errs        []error
}

func (d *decoder) fail(path, format string, args ...any) {
	d.errs = append(d.errs, fmt.Errorf("%s: %s", path, fmt.Sprintf(format, args...)))
}

// canonical makes one of EnableTagOverride and enable_tag_override.
func canonical(key string) string { return strings.ToLower(strings.ReplaceAll(key, "_", "")) }

// fields calls field for each key that has a value, in order.
func (d *decoder) fields(path string, m map[string]any, field func(name, path string, v any)) {
	seen := map[string]string{}
	for _, k := range sortedKeys(m) {
		name, at := canonical(k), join(path, k)
		if other, ok := seen[name]; ok {
			d.fail(at, "it is also given as %s: keep one of them", other)
			continue
		}
		seen[name] = k
		if m[k] != nil {
			field(name, at, m[k])
		}
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func (d *decoder) service(path string, m map[string]any) ServiceDefinition {
	var def ServiceDefinition
	var more []CheckDefinition
	d.fields(path, m, func(name, at string, v any) {
		switch name {
		case "kind":
			d.string(&def.Kind, at, v)
		case "id":
			d.string(&def.ID, at, v)
		case "name":
			d.string(&def.Name, at, v)
		case "tags":
			d.strings(&def.Tags, at, v)
		case "address":
			d.string(&def.Address, at, v)
		case "taggedaddresses":
			d.taggedAddresses(&def.TaggedAddresses, at, v)
		case "meta":
			d.stringMap(&def.Meta, at, v)
		case "port":
			d.int(&def.Port, at, v)
		case "weights":
			d.weights(&def.Weights, at, v)
		case "enabletagoverride":
			d.bool(&def.EnableTagOverride, at, v)
		case "check":
			def.Checks = d.checks(at, v)
		case "checks":
			more = d.checks(at, v)
		case "connect", "proxy", "token", "namespace", "partition", "locality", "socketpath", "ports":
			d.ignore(at, v)
		default:
			d.fail(at, "unknown key of a service")
		}
	})
	def.Checks = append(def.Checks, more...)
	return def
}

func (d *decoder) checks(path string, v any) []CheckDefinition {
	var checks []CheckDefinition
	for i, m := range d.objects(path, v) {
		at := path
		if _, single := v.(map[string]any); !single {
			at = fmt.Sprintf("%s[%d]", path, i)
		}
		checks = append(checks, d.check(at, m))
	}
	return checks
}

func (d *decoder) check(path string, m map[string]any) CheckDefinition {
	var def CheckDefinition
	d.fields(path, m, func(name, at string, v any) {
		if d.checkIdentity(&def, name, at, v) || d.checkKind(&def, name, at, v) {
			return
		}
		switch name {
		case "interval":
			d.duration(&def.Interval, at, v)
		case "timeout":
			d.duration(&def.Timeout, at, v)
		case "outputmaxsize":
			d.int(&def.OutputMaxSize, at, v)
		case "successbeforepassing":
			d.int(&def.SuccessBeforePassing, at, v)
		case "failuresbeforewarning":
			d.int(&def.FailuresBeforeWarning, at, v)
		case "failuresbeforecritical":
			d.int(&def.FailuresBeforeCritical, at, v)
		case "deregistercriticalserviceafter":
			d.duration(&def.DeregisterCriticalServiceAfter, at, v)
		case "args", "scriptargs", "script", "dockercontainerid", "grpc", "udp", "h2ping", "osservice":
			if !zero(v) {
				d.errs = append(d.errs, &UnsupportedCheckError{at})
			}
		case "shell", "grpcusetls", "h2pingusetls", "token", "namespace", "partition", "exposedport":
			d.ignore(at, v)
		default:
			d.fail(at, "unknown key of a check")
		}
	})
	return def
}

func (d *decoder) checkIdentity(def *CheckDefinition, name, at string, v any) bool {
	switch name {
	case "id", "checkid":
		other := def.ID
		if d.string(&def.ID, at, v); other != "" && def.ID != other {
			d.fail(at, "it is %q, but the check's ID is also given as %q: keep one of them", def.ID, other)
		}
	case "name":
		d.string(&def.Name, at, v)
	case "notes":
		d.string(&def.Notes, at, v)
	case "serviceid":
		d.string(&def.ServiceID, at, v)
	case "status":
		d.string(&def.Status, at, v)
	default:
		return false
	}
	return true
}

func (d *decoder) checkKind(def *CheckDefinition, name, at string, v any) bool {
	switch name {
	case "ttl":
		d.duration(&def.TTL, at, v)
	case "http":
		d.string(&def.HTTP, at, v)
	case "method":
		d.string(&def.Method, at, v)
	case "header":
		d.header(&def.Header, at, v)
	case "body":
		d.string(&def.Body, at, v)
	case "tlsservername":
		d.string(&def.TLSServerName, at, v)
	case "tlsskipverify":
		d.bool(&def.TLSSkipVerify, at, v)
	case "disableredirects":
		d.bool(&def.DisableRedirects, at, v)
	case "tcp":
		d.string(&def.TCP, at, v)
	case "tcpusetls":
		d.bool(&def.TCPUseTLS, at, v)
	case "aliasnode":
		d.string(&def.AliasNode, at, v)
	case "aliasservice":
		d.string(&def.AliasService, at, v)
	default:
		return false
	}
	return true
}

// ignore notes a key that has no effect, if it says anything.
func (d *decoder) ignore(path string, v any) {
	if !zero(v) {
		d.unsupported = append(d.unsupported, path)
	}
}

func (d *decoder) weights(to **catalog.Weights, path string, v any) {
	for _, m := range d.objects(path, v) {
		w := catalog.Weights{Passing: 1, Warning: 1}
		d.fields(path, m, func(name, at string, v any) {
			switch name {
			case "passing":
				d.int(&w.Passing, at, v)
			case "warning":
				d.int(&w.Warning, at, v)
			default:
				d.fail(at, "unknown key of weights")
			}
		})
		*to = &w
	}
}

func (d *decoder) taggedAddresses(to *map[string]catalog.ServiceAddress, path string, v any) {
	all := map[string]catalog.ServiceAddress{}
	for _, m := range d.objects(path, v) {
		for _, tag := range sortedKeys(m) {
			for _, fields := range d.objects(join(path, tag), m[tag]) {
				var a catalog.ServiceAddress
				d.fields(join(path, tag), fields, func(name, at string, v any) {
					switch name {
					case "address":
						d.string(&a.Address, at, v)
					case "port":
						d.int(&a.Port, at, v)
					default:
						d.fail(at, "unknown key of an address")
					}
				})
				all[tag] = a
			}
		}
	}
	if len(all) > 0 {
		*to = all
	}
}
