package wire

import (
	"fmt"

	"concord/catalog"
)

// Kinds of commands. They are in the log, so a number is never given another meaning.
const (
	kindRegister     = 1
	kindDeregister   = 2
	kindKVWrite      = 3
	kindSetAutopilot = 4
)

// AppendCommand appends an encoded command to dst.
func AppendCommand(dst []byte, c catalog.Command) []byte {
	if kv, ok := c.(*catalog.KVWrite); ok {
		return appendKVWrite(dst, kv)
	}
	p := appendArray(append(dst, Version), 2)
	switch c := c.(type) {
	case *catalog.Register:
		return pack(append(p, kindRegister), c)
	case *catalog.Deregister:
		return pack(append(p, kindDeregister), c)
	case *catalog.SetAutopilot:
		return pack(append(p, kindSetAutopilot), c)
	}
	panic(fmt.Sprintf("wire: %T is no command", c))
}

func appendKVWrite(dst []byte, c *catalog.KVWrite) []byte {
	if dst == nil {
		dst = make([]byte, 0, 48+len(c.Key)+len(c.Value)+len(c.Session))
	}
	p := appendArray(append(dst, Version), 7)
	p = append(p, kindKVWrite, byte(c.Op))
	p = appendString(p, c.Key)
	p = appendBytes(p, c.Value)
	p = appendUint(p, c.Flags)
	p = appendUint(p, c.Index)
	return appendString(p, c.Session)
}

// DecodeCommand decodes what AppendCommand wrote. A KVWrite's value aliases p.
func DecodeCommand(p []byte) (catalog.Command, error) {
	r := begin(p)
	n := r.array()
	kind := r.small()
	var c catalog.Command
	known := 2
	switch kind {
	case kindKVWrite:
		known = 7
		c = &catalog.KVWrite{Op: catalog.KVOp(r.small()), Key: r.string(), Value: r.bytes(), Flags: r.uint(), Index: r.uint(), Session: r.string()}
	case kindRegister:
		c = unpackInto(r, &catalog.Register{})
	case kindDeregister:
		c = unpackInto(r, &catalog.Deregister{})
	case kindSetAutopilot:
		c = unpackInto(r, &catalog.SetAutopilot{})
	default:
		r.fail(fmt.Sprintf("unknown command %d", kind))
	}
	if n < known {
		r.fail("a field is missing")
	}
	r.skip(n - known)
	if err := r.end(); err != nil {
		return nil, err
	}
	return c, nil
}

func unpackInto[T any](r *reader, v T) T {
	r.unpack(v)
	return v
}
