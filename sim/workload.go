package sim

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"concord/catalog"
	"concord/internal/prng"
	lin "concord/linearizability"
	"concord/raft"
	"concord/wire"
)

// client does one operation after the other at random agents and records what it saw. KV keys are
// k0, k1, ...; service instances are s0, s1, ... of the service "web", whose value is in their metadata.
type client struct {
	w     *World // whose state it reads and changes
	at    *World // whose agents it asks
	id    int
	rng   *prng.Rand
	count int
	seen  map[string]seen // what it read last, for CAS
	over  bool
}

type seen struct {
	value string
	index uint64
}

// service is the prefix under which a history holds the instances of the service.
const service = "web/"

func newClient(w *World, id int) *client {
	return &client{w: w, at: w, id: id, rng: w.rng.Fork("client-" + strconv.Itoa(id)), seen: map[string]seen{}}
}

func (c *client) start() { c.pause(c.rng.Fork("start"), c.next) }

func (c *client) pause(r *prng.Rand, f func()) {
	c.w.after(r.Duration(time.Millisecond, c.w.Options.Think), "client", -1, f)
}

// next begins an operation. Each has a stream of randomness of its own, so that leaving one out leaves the others as
// they were.
func (c *client) next() {
	if c.over {
		return
	}
	c.count++
	label := strconv.Itoa(c.id) + "." + strconv.Itoa(c.count)
	r := c.rng.Fork(label)
	h := c.at.hosts[r.IntN(len(c.at.hosts))]
	if h.state != hostUp || !c.w.wanted(label) {
		c.pause(r, c.next)
		return
	}
	c.w.begun = append(c.w.begun, label)
	op, req := c.draw(r, h)
	if c.at != c.w {
		req.Datacenter = c.w.Datacenter
		c.w.cover("request for another datacenter")
	}
	stale := req.Read != nil && req.Read.Consistency == wire.Stale
	op.Client, op.Call, op.Node = c.id, c.w.now, h.name
	query := op.Kind.String() + " " + op.Key
	least := c.w.checks.index.Asked(query)
	h.request(req, func(resp *wire.Response) {
		op.Return = c.w.now
		if resp.Code == wire.OK && resp.Answer != nil && !stale {
			c.w.checks.verify("query index", c.w.checks.index.Answered(query, resp.Answer.Index, least))
		}
		c.finish(&op, resp, stale)
		c.pause(r, c.next)
	})
}

// wanted tells whether an operation is among those that Options.Operations asks for.
func (w *Timeline) wanted(label string) bool {
	if w.run.Operations == nil {
		return true
	}
	if w.operations == nil {
		w.operations = map[string]bool{}
		for _, o := range w.run.Operations {
			w.operations[o] = true
		}
	}
	return w.operations[label]
}

// draw decides what to do at a host.
func (c *client) draw(r *prng.Rand, h *Host) (lin.Op, *wire.Request) {
	value := fmt.Sprintf("%d.%d", c.id, c.count)
	key := "k" + strconv.Itoa(r.IntN(c.w.Options.Keys))
	instance := service + "s" + strconv.Itoa(r.IntN(3))
	switch r.IntN(14) {
	case 0:
		op, req := read(r, lin.Op{Kind: lin.Get, Key: key}, &catalog.KVGetQuery{Key: key})
		if known := c.seen[key].index; known > 0 { // wait for a change of what was read last
			req.Read.MinIndex, req.Read.Wait = known, r.Duration(100*time.Millisecond, 2*time.Second)
		}
		return op, req
	case 1, 2:
		return read(r, lin.Op{Kind: lin.Get, Key: key}, &catalog.KVGetQuery{Key: key})
	case 3:
		return read(r, lin.Op{Kind: lin.List, Key: "k"}, &catalog.KVListQuery{Prefix: "k"})
	case 4, 5, 6:
		return write(lin.Op{Kind: lin.Put, Key: key, Value: value}, &catalog.KVWrite{Op: catalog.KVSet, Key: key, Value: []byte(value)})
	case 7:
		s := c.seen[key]
		return write(lin.Op{Kind: lin.CAS, Key: key, Value: value, Expect: s.value},
			&catalog.KVWrite{Op: catalog.KVCAS, Key: key, Value: []byte(value), Index: s.index})
	case 8:
		if r.Chance(1, 4) {
			return write(lin.Op{Kind: lin.DeleteTree, Key: "k", Value: value}, deletion(catalog.KVDeleteTree, "k", value))
		}
		return write(lin.Op{Kind: lin.Delete, Key: key, Value: value}, deletion(catalog.KVDelete, key, value))
	case 9:
		return write(lin.Op{Kind: lin.Put, Key: instance, Value: value}, registration(instance, value))
	case 10:
		return write(lin.Op{Kind: lin.Delete, Key: instance, Value: value}, &catalog.Deregister{Node: "ext", ServiceID: instance, Datacenter: value})
	case 12:
		return c.txn(r, key, value)
	case 11:
		if c.at == c.w {
			h.changeService(r, value)
		}
		fallthrough // a read as the DNS server makes it: of any server, which says how old it may be
	default:
		op, req := read(r, lin.Op{Kind: lin.List, Key: service}, &catalog.HealthServiceQuery{Service: "web"})
		if r.Chance(1, 2) {
			req.Read.Consistency = wire.Stale
		}
		return op, req
	}
}

func write(op lin.Op, cmd catalog.Command) (lin.Op, *wire.Request) {
	return op, &wire.Request{Command: wire.AppendCommand(nil, cmd)}
}

func read(r *prng.Rand, op lin.Op, q catalog.Query) (lin.Op, *wire.Request) {
	level := wire.Default
	if r.Chance(1, 3) {
		level = wire.Consistent
	}
	return op, &wire.Request{Read: &wire.Read{Query: q, Consistency: level}}
}

// txn is a transaction of a check-and-set of one key and sets of others.
func (c *client) txn(r *prng.Rand, key, value string) (lin.Op, *wire.Request) {
	s := c.seen[key]
	op := lin.Op{Kind: lin.Txn, Key: key, Value: value, Expect: s.value}
	set := func(verb catalog.TxnVerb, key string, index uint64) catalog.TxnOp {
		return catalog.TxnOp{Verb: verb, KV: &catalog.DirEntry{Key: key, Value: []byte(value), RaftIndex: catalog.RaftIndex{ModifyIndex: index}}}
	}
	cmd := &catalog.TxnWrite{Ops: []catalog.TxnOp{set(catalog.TxnCAS, key, s.index)}}
	for range 1 + r.IntN(2) {
		if other := "k" + strconv.Itoa(r.IntN(c.w.Options.Keys)); other != key && !slices.Contains(op.Also, other) {
			op.Also = append(op.Also, other)
			cmd.Ops = append(cmd.Ops, set(catalog.TxnSet, other, 0))
		}
	}
	return write(op, cmd)
}

// deletion is a delete that carries its unique value, where the state machine does not look, so that
// it can be found in the log.
func deletion(op catalog.KVOp, key, value string) *catalog.KVWrite {
	return &catalog.KVWrite{Op: op, Key: key, Value: []byte(value)}
}

func registration(id, value string) *catalog.Register {
	return &catalog.Register{Node: "ext", Address: "192.0.2.1", Service: &catalog.NodeService{ID: id, Service: "web", Meta: map[string]string{"value": value}}}
}

// writtenValue is the unique value that an entry of the workload carries.
func writtenValue(e *raft.Entry) (string, bool) {
	if e.Type != raft.EntryCommand {
		return "", false
	}
	cmd, err := wire.DecodeCommand(e.Data)
	if err != nil {
		return "", false
	}
	switch cmd := cmd.(type) {
	case *catalog.KVWrite:
		return string(cmd.Value), true
	case *catalog.TxnWrite:
		return string(cmd.Ops[0].KV.Value), true
	case *catalog.Register:
		if cmd.Service != nil && cmd.Service.Meta["value"] != "" {
			return cmd.Service.Meta["value"], true
		}
	case *catalog.Deregister:
		if cmd.Node == "ext" {
			return cmd.Datacenter, true
		}
	}
	return "", false
}

// finish records how an operation ended.
func (c *client) finish(op *lin.Op, resp *wire.Response, stale bool) {
	switch resp.Code {
	case wire.OK:
		op.Outcome = lin.Done
	case wire.Unknown:
		op.Outcome = lin.Unknown
	default:
		op.Outcome = lin.Failed
		if op.Kind.Reads() {
			op.Outcome = lin.Unknown
		}
	}
	if op.Outcome == lin.Done {
		if c.at != c.w {
			c.w.cover("answered by another datacenter")
		}
		c.done(op, resp)
	} else {
		c.w.stats.Unknown++
	}
	c.w.note("op", uint64(c.id), uint64(op.Kind), uint64(op.Outcome), op.Index)
	if stale {
		if op.Outcome == lin.Done {
			c.w.stale = append(c.w.stale, *op)
		}
		return
	}
	c.w.history.Add(*op)
}

func (c *client) done(op *lin.Op, resp *wire.Response) {
	if resp.Result != nil {
		if resp.Result.Err != "" {
			c.w.fail("workload", "%v was refused: %s", op, resp.Result.Err)
		}
		op.Index, op.Swapped = resp.Result.Index, resp.Result.OK
		if t := resp.Result.Txn; t != nil {
			op.Swapped = len(t.Errors) == 0
		}
		c.w.stats.Writes++
		c.w.checks.acknowledged(op.Index)
		return
	}
	c.w.stats.Reads++
	op.Index, op.Got = resp.Applied, map[string]string{}
	switch v := resp.Answer.Value.(type) {
	case *catalog.DirEntry:
		c.seen[op.Key] = seen{}
		if v != nil {
			op.Got[v.Key] = string(v.Value)
			c.seen[op.Key] = seen{string(v.Value), v.ModifyIndex}
		}
	case []*catalog.DirEntry:
		for _, e := range v {
			op.Got[e.Key] = string(e.Value)
		}
	case []*catalog.CheckServiceNode:
		for _, i := range v {
			op.Got[i.Service.ID] = i.Service.Meta["value"]
		}
	}
}
