package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl"
)

// source is one file, or the flags.
type source struct {
	name   string
	values map[string]any
}

// parse reads a file's text. format is "json", "hcl", or empty: by the file's name.
func parse(name string, text []byte, format string) (source, error) {
	if format == "" {
		switch filepath.Ext(name) {
		case ".json":
			format = "json"
		case ".hcl":
			format = "hcl"
		default:
			return source{}, fmt.Errorf("%s: the format is not known from the name: name it .json or .hcl, or say -config-format", name)
		}
	}
	values := map[string]any{}
	var err error
	if format == "json" {
		err = json.Unmarshal(text, &values)
	} else {
		err = hcl.Decode(&values, string(text))
	}
	if err != nil {
		return source{}, fmt.Errorf("%s: not valid %s: %w", name, strings.ToUpper(format), err)
	}
	return source{name, normal(values)}, nil
}

// lists are the keys whose value is a list of objects even where HCL shows but one.
var lists = set("services checks service check watches")

// normal undoes how HCL shows objects, as lists of one, and gathers service and check into the lists.
func normal(values map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range values {
		out[k] = flatten(k, v)
	}
	for one, many := range map[string]string{"service": "services", "check": "checks"} {
		v, ok := out[one]
		if !ok {
			continue
		}
		delete(out, one)
		list, isList := v.([]any)
		if !isList {
			list = []any{v}
		}
		have, _ := out[many].([]any)
		out[many] = append(list, have...)
	}
	return out
}

func flatten(key string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, inner := range v {
			out[k] = flatten(k, inner)
		}
		return out
	case []map[string]any:
		if !lists[key] && len(v) > 0 {
			merged := map[string]any{}
			for _, m := range v {
				maps.Copy(merged, m)
			}
			return flatten(key, merged)
		}
		out := make([]any, len(v))
		for i, m := range v {
			out[i] = flatten("", m)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, inner := range v {
			out[i] = flatten("", inner)
		}
		return out
	}
	return v
}

// readPath reads a file, or every .json and .hcl file in a folder in order of their names.
func readPath(path, format string) ([]source, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	if !info.IsDir() {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("configuration: %w", err)
		}
		s, err := parse(path, text, format)
		return []source{s}, err
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	var out []source
	var errs []error
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		if e.IsDir() || ext != ".json" && ext != ".hcl" {
			continue
		}
		found, err := readPath(filepath.Join(path, e.Name()), format)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out = append(out, found...)
	}
	return out, errors.Join(errs...)
}

// check tells which keys of a source are unknown or refused, and which are not served.
func (s source) check() (warnings []string, errs []error) {
	s.walk("", s.values, func(path string, v any) bool {
		switch {
		case refused[path] && isSet(v):
			errs = append(errs, fmt.Errorf("%s: %q is not supported yet: Concord has no TLS; remove it only if the network is trusted", s.name, path))
		case strings.HasPrefix(path, "serf_allowed_cidrs_") && isSet(v):
			errs = append(errs, fmt.Errorf("%s: %q is not supported yet: remove it if gossip is encrypted or a firewall guards its ports", s.name, path))
		case path == "acl" && enabled(v):
			errs = append(errs, fmt.Errorf("%s: %q is not supported yet: Concord has no ACLs; remove it only if the network is trusted", s.name, path))
		case harmless[path] || refused[path]:
		case unserved[path]:
			warnings = append(warnings, fmt.Sprintf("%s: %q is accepted but not served yet", s.name, path))
		case served[path]:
			return true
		default:
			errs = append(errs, fmt.Errorf("%s: invalid config key %s", s.name, path))
		}
		return false
	})
	return warnings, errs
}

// isSet tells whether a value is one that asks for something.
func isSet(v any) bool {
	switch v := v.(type) {
	case bool:
		return v
	case string:
		return v != ""
	case nil:
		return false
	}
	return true
}

func enabled(v any) bool {
	m, ok := v.(map[string]any)
	return ok && isSet(m["enabled"])
}

// opaque are keys below which names are the operator's own.
var opaque = set("node_meta services checks dns_config.service_ttl http_config.response_headers")

// walk visits the keys of a source in order; visit tells whether to look below.
func (s source) walk(prefix string, values map[string]any, visit func(path string, v any) bool) {
	for _, k := range slices.Sorted(maps.Keys(values)) {
		path, v := prefix+k, values[k]
		if !visit(path, v) || opaque[path] {
			continue
		}
		if m, ok := v.(map[string]any); ok {
			s.walk(path+".", m, visit)
		}
	}
}

// merge adds b to a: later values win, lists grow, objects are merged.
func merge(a, b map[string]any) map[string]any {
	out := maps.Clone(a)
	for k, v := range b {
		switch old := out[k].(type) {
		case map[string]any:
			if m, ok := v.(map[string]any); ok {
				out[k] = merge(old, m)
				continue
			}
		case []any:
			if l, ok := v.([]any); ok {
				out[k] = append(slices.Clone(old), l...)
				continue
			}
		}
		out[k] = v
	}
	return out
}
