package catalog

import (
	"strings"
)

// reader reads records from a view. It keeps the first error and from then on finds nothing, so that
// whoever uses it needs to look at err only once, at the end.
type reader struct {
	view View
	err  error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *reader) get(key []byte) ([]byte, bool) {
	if r.err != nil {
		return nil, false
	}
	value, ok, err := r.view.Get(key)
	if err != nil {
		r.fail(err)
		return nil, false
	}
	return value, ok
}

// scan calls fn for each key that begins with prefix until fn returns false or an error is met. The
// arguments of fn are only valid during the call.
func (r *reader) scan(prefix []byte, fn func(key, value []byte) bool) {
	r.scanRange(prefix, prefixEnd(prefix), fn)
}

func (r *reader) scanRange(lo, hi []byte, fn func(key, value []byte) bool) {
	if r.err != nil {
		return
	}
	err := r.view.Scan(lo, hi, func(key, value []byte) bool { return fn(key, value) && r.err == nil })
	if err != nil {
		r.fail(err)
	}
}

func (r *reader) last(lo, hi []byte) (key, value []byte, ok bool) {
	if r.err != nil {
		return nil, nil, false
	}
	key, value, ok, err := r.view.Last(lo, hi)
	if err != nil {
		r.fail(err)
		return nil, nil, false
	}
	return key, value, ok
}

// exists tells whether any key begins with prefix.
func (r *reader) exists(prefix []byte) bool {
	found := false
	r.scan(prefix, func(_, _ []byte) bool {
		found = true
		return false
	})
	return found
}

// values returns copies of the values of all keys that begin with prefix.
func (r *reader) values(prefix []byte) [][]byte {
	var list [][]byte
	r.scan(prefix, func(_, value []byte) bool {
		list = append(list, append([]byte(nil), value...))
		return true
	})
	return list
}

// decoded returns the record if it could be decoded, and zero otherwise.
func decoded[T any](r *reader, record []byte, decode func([]byte) (T, error)) (v T) {
	v, err := decode(record)
	if err != nil {
		r.fail(err)
		var zero T
		return zero
	}
	return v
}

// lookup returns the record of key, zero if there is none.
func lookup[T any](r *reader, key []byte, decode func([]byte) (T, error)) (v T) {
	if record, ok := r.get(key); ok {
		return decoded(r, record, decode)
	}
	return v
}

// node returns the node of that name as a part, nil if there is none.
func (r *reader) node(node string) *Node {
	return lookup(r, key(tableNodes, node), decodeNode)
}

// nodeByID returns the node that has an ID, nil if there is none.
func (r *reader) nodeByID(id string) *Node {
	node, ok := r.get(key(tableNodeIDs, strings.ToLower(id)))
	if !ok {
		return nil
	}
	return r.node(string(node))
}

// service returns an instance and its key, nil if there is none.
func (r *reader) service(node, id string) (*NodeService, []byte) {
	primary, ok := r.get(key(tableNodeServices, node, id))
	if !ok {
		return nil, nil
	}
	return lookup(r, primary, decodeService), primary
}

// check returns a check and its key, nil if there is none.
func (r *reader) check(node, id string) (*HealthCheck, []byte) {
	primary, ok := r.get(key(tableNodeChecks, node, id))
	if !ok {
		return nil, nil
	}
	return lookup(r, primary, decodeCheck), primary
}

// nodeServices returns the instances on a node by ID.
func (r *reader) nodeServices(node string) []*NodeService {
	list := []*NodeService{}
	for _, primary := range r.values(key(tableNodeServices, node)) {
		if s := lookup(r, primary, decodeService); s != nil {
			list = append(list, s)
		}
	}
	return list
}

// checks returns the checks whose keys begin with prefix.
func (r *reader) checks(prefix []byte) []*HealthCheck {
	list := []*HealthCheck{}
	r.scan(prefix, func(_, record []byte) bool {
		if c := decoded(r, record, decodeCheck); c != nil {
			list = append(list, c)
		}
		return true
	})
	return list
}

// checksBy returns the checks that the index entries that begin with prefix point to.
func (r *reader) checksBy(prefix []byte) []*HealthCheck {
	list := []*HealthCheck{}
	for _, primary := range r.values(prefix) {
		if c := lookup(r, primary, decodeCheck); c != nil {
			list = append(list, c)
		}
	}
	return list
}
