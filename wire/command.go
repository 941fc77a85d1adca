package wire

import (
	"fmt"
	"slices"

	"concord/catalog"
)

// Kinds of commands. They are in the log, so a number is never given another meaning.
const (
	kindRegister     = 1
	kindDeregister   = 2
	kindKVWrite      = 3
	kindSetAutopilot = 4
	kindRestore      = 5 // restore.go
	kindTxn          = 6
	kindCoordinates  = 7
)

// AppendCommand appends an encoded command to dst.
func AppendCommand(dst []byte, c catalog.Command) []byte {
	switch c := c.(type) {
	case *catalog.KVWrite:
		return appendKVWrite(dst, c)
	case *catalog.Register:
		return appendRegister(dst, c)
	case *catalog.Deregister:
		p := append(appendArray(append(dst, Version), 5), kindDeregister)
		return appendString(appendString(appendString(appendString(p, c.Datacenter), c.Node), c.ServiceID), c.CheckID)
	case *catalog.SetAutopilot:
		p := append(appendArray(append(dst, Version), 3), kindSetAutopilot)
		return appendBool(appendAutopilot(p, &c.Config), c.CAS)
	case *catalog.UpdateCoordinates:
		return appendCoordinates(append(appendArray(append(dst, Version), 2), kindCoordinates), c.Updates)
	case *catalog.TxnWrite:
		return appendTxnOps(append(appendArray(append(dst, Version), 2), kindTxn), c.Ops)
	}
	panic(fmt.Sprintf("wire: %T is no command", c))
}

func appendKVWrite(dst []byte, c *catalog.KVWrite) []byte {
	dst = slices.Grow(dst, 48+len(c.Key)+len(c.Value)+len(c.Session))
	p := append(appendArray(append(dst, Version), 7), kindKVWrite)
	p = appendUint(p, uint64(c.Op))
	p = appendString(p, c.Key)
	p = appendBytes(p, c.Value)
	p = appendUint(p, c.Flags)
	p = appendUint(p, c.Index)
	return appendString(p, c.Session)
}

func appendRegister(dst []byte, c *catalog.Register) []byte {
	p := append(appendArray(append(dst, Version), 11), kindRegister)
	p = appendString(p, c.ID)
	p = appendString(p, c.Node)
	p = appendString(p, c.Address)
	p = appendString(p, c.Datacenter)
	p = appendStringMap(p, c.TaggedAddresses)
	p = appendStringMap(p, c.NodeMeta)
	p = appendOptional(p, c.Service, appendService)
	p = appendOptional(p, c.Check, appendCheck)
	p = appendList(p, c.Checks, appendOptionalCheck)
	return appendBool(p, c.SkipNodeUpdate)
}

// appendOptionalCheck writes a check of a command, where a caller may have put a null.
func appendOptionalCheck(p []byte, c *catalog.HealthCheck) []byte {
	return appendOptional(p, c, appendCheck)
}

func (r *reader) optionalCheck() *catalog.HealthCheck { return readOptional(r, (*reader).check) }

// DecodeCommand decodes what AppendCommand wrote. The values of KV entries alias p.
func DecodeCommand(p []byte) (catalog.Command, error) {
	r := begin(p)
	more := r.fields(1)
	known, c := 0, catalog.Command(nil)
	switch kind := r.small(); kind {
	case kindKVWrite:
		known, c = 6, &catalog.KVWrite{Op: catalog.KVOp(r.small()), Key: r.string(), Value: r.bytes(), Flags: r.uint(), Index: r.uint(),
			Session: r.string()}
	case kindRegister:
		known, c = 10, r.register()
	case kindDeregister:
		known, c = 4, &catalog.Deregister{Datacenter: r.string(), Node: r.string(), ServiceID: r.string(), CheckID: r.string()}
	case kindSetAutopilot:
		known, c = 2, &catalog.SetAutopilot{Config: *r.autopilot(), CAS: r.bool()}
	case kindCoordinates:
		known, c = 1, &catalog.UpdateCoordinates{Updates: r.coordinates()}
	case kindTxn:
		known, c = 1, &catalog.TxnWrite{Ops: r.txnOps()}
	default:
		r.fail(fmt.Sprintf("command of unknown kind %d", kind))
	}
	r.rest(more - known)
	if err := r.end(); err != nil {
		return nil, err
	}
	return c, nil
}

func (r *reader) register() *catalog.Register {
	return &catalog.Register{ID: r.string(), Node: r.string(), Address: r.string(), Datacenter: r.string(), TaggedAddresses: r.stringMap(),
		NodeMeta: r.stringMap(), Service: readOptional(r, (*reader).service), Check: r.optionalCheck(),
		Checks: readList(r, 1, (*reader).optionalCheck), SkipNodeUpdate: r.bool()}
}
