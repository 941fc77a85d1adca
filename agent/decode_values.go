package agent

import (
	"encoding/json"
	"math"
	"reflect"
	"time"
)

func (d *decoder) string(to *string, path string, v any) {
	s, ok := v.(string)
	if !ok {
		d.fail(path, "must be a string, not %v", v)
	}
	*to = s
}

func (d *decoder) bool(to *bool, path string, v any) {
	b, ok := v.(bool)
	if !ok {
		d.fail(path, "must be true or false, not %v", v)
	}
	*to = b
}

func (d *decoder) int(to *int, path string, v any) {
	n, ok := integer(v)
	if !ok || n > math.MaxInt32 || n < math.MinInt32 {
		d.fail(path, "must be a whole number, not %v", v)
		return
	}
	*to = int(n)
}

// integer returns the number that JSON and HCL parsers give in several types.
func integer(v any) (int64, bool) {
	switch n := v.(type) {
	case int:
		return int64(n), true
	case int64:
		return n, true
	case float64:
		return int64(n), n == math.Trunc(n) && math.Abs(n) < 1<<53
	case json.Number:
		i, err := n.Int64()
		return i, err == nil
	}
	return 0, false
}

// duration takes "10s", or a number of nanoseconds as Consul does.
func (d *decoder) duration(to *time.Duration, path string, v any) {
	if n, ok := integer(v); ok {
		*to = time.Duration(n)
		return
	}
	s, ok := v.(string)
	if !ok {
		d.fail(path, `must be a duration such as "10s", not %v`, v)
		return
	}
	if s == "" {
		return
	}
	parsed, err := time.ParseDuration(s)
	if err != nil {
		d.fail(path, `must be a duration such as "10s", not %q`, s)
		return
	}
	*to = parsed
}

func (d *decoder) strings(to *[]string, path string, v any) {
	switch list := v.(type) {
	case []string:
		*to = list
	case []any:
		for _, item := range list {
			var s string
			d.string(&s, path, item)
			*to = append(*to, s)
		}
	default:
		d.fail(path, "must be a list of strings, not %v", v)
	}
}

func (d *decoder) stringMap(to *map[string]string, path string, v any) {
	all := map[string]string{}
	for _, m := range d.objects(path, v) {
		for _, k := range sortedKeys(m) {
			var s string
			d.string(&s, join(path, k), m[k])
			all[k] = s
		}
	}
	if len(all) > 0 {
		*to = all
	}
}

func (d *decoder) header(to *map[string][]string, path string, v any) {
	all := map[string][]string{}
	for _, m := range d.objects(path, v) {
		for _, k := range sortedKeys(m) {
			var values []string
			d.strings(&values, join(path, k), m[k])
			all[k] = values
		}
	}
	if len(all) > 0 {
		*to = all
	}
}

// objects takes an object or a list of them: an HCL parser gives a list for each block.
func (d *decoder) objects(path string, v any) []map[string]any {
	switch o := v.(type) {
	case map[string]any:
		return []map[string]any{o}
	case map[string]string:
		m := map[string]any{}
		for k, s := range o {
			m[k] = s
		}
		return []map[string]any{m}
	case []map[string]any:
		return o
	case []any:
		var all []map[string]any
		for _, item := range o {
			m, ok := item.(map[string]any)
			if !ok {
				d.fail(path, "must be an object or a list of objects, not %v", v)
				return nil
			}
			all = append(all, m)
		}
		return all
	}
	d.fail(path, "must be an object or a list of objects, not %v", v)
	return nil
}

// zero tells whether a value says nothing: clients send such for all that they know.
func zero(v any) bool {
	r := reflect.ValueOf(v)
	switch r.Kind() {
	case reflect.Map, reflect.Slice:
		return r.Len() == 0
	}
	return r.IsZero()
}
