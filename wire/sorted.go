package wire

import (
	"bytes"
	"maps"
	"reflect"
	"slices"

	"github.com/vmihailenco/msgpack/v5"

	"concord/catalog"
)

// The library sorts the keys of only a few types of maps. The others that messages contain are sorted here,
// since the same message must always be the same bytes: the simulator hashes them.
func init() {
	sortMap[[]string]()
	sortMap[catalog.ServiceAddress]()
	sortMap[*catalog.NodeService]()
}

func sortMap[V any]() {
	encode := func(e *msgpack.Encoder, v reflect.Value) error {
		m := v.Interface().(map[string]V)
		if m == nil {
			return e.EncodeNil()
		}
		if err := e.EncodeMapLen(len(m)); err != nil {
			return err
		}
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if err := e.EncodeString(k); err != nil {
				return err
			}
			if err := e.Encode(m[k]); err != nil {
				return err
			}
		}
		return nil
	}
	msgpack.Register(map[string]V(nil), encode, nil)
}

// marshal is msgpack.Marshal with sorted keys.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := msgpack.NewEncoder(&b)
	e.SetSortMapKeys(true)
	err := e.Encode(v)
	return b.Bytes(), err
}
